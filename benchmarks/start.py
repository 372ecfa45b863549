"""How long `emu fit` takes to its first step, in CPU seconds, of several versions of emu, interleaved.

    python benchmarks/start.py SRC [SRC ...] --pictures FOLDER [--rounds 5]

Each SRC is the `src` folder of a version. FOLDER is a set of 64 px pictures, such as the needles that `emu demo` makes.
Every version encodes the set into a cache of its own first, then the same command starts again and again: one thread,
four prompts drawn in one step. CPU seconds are of the process and its children, from start to the first optimizer step.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

# `optimizer_step` of the module is what Lightning calls for a step, whatever the loop before it does. It is put in
# place when the command itself imports the module, so that all is imported as the command does.
TO_FIRST_STEP = """
import importlib.util, os, resource, sys
def leave(*args, **kwargs):
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    os.write(int(os.environ["EMU_START_TO"]), b"%.3f" % sum(one.ru_utime + one.ru_stime for one in used))
    os._exit(0)
class Finder:
    def find_spec(name, path, target=None):
        if name == "emu.module.module":
            sys.meta_path.remove(Finder)
            spec = importlib.util.find_spec(name)
            execute = spec.loader.exec_module
            def exec_module(module):
                execute(module)
                module.TextToImageModule.optimizer_step = leave
            spec.loader.exec_module = exec_module
            return spec
sys.meta_path.insert(0, Finder)
from emu.cli import main
main()
"""


def command(folder: Path, pictures: Path, out: Path) -> list[str]:
    """The flags of one run, but for the command's name."""
    given = {"data.root": pictures, "data.prompts": folder / "prompts.jsonl", "data.cache": out / "cache"}
    given |= {"trainer.default_root_dir": out / "run", "model.sampler.num_inference_steps": 1}
    return ["-c", "latent/tiny", *(word for key, value in given.items() for word in (f"--{key}", str(value)))]


def environment(source: Path) -> dict[str, str]:
    """One thread, and the version's own package."""
    return {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}


def seconds(source: Path, flags: list[str]) -> float:
    """CPU seconds to the first step of one run."""
    read, write = os.pipe()
    subprocess.run(
        [sys.executable, "-c", TO_FIRST_STEP, "fit", *flags],
        env={**environment(source), "EMU_START_TO": str(write)}, pass_fds=(write,), check=True, capture_output=True,
    )  # fmt: skip
    os.close(write)
    with os.fdopen(read) as said:
        return float(said.read())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", type=Path)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        lines = [json.dumps({"prompt": f"a red lamp in place {i}", "seed": i}) for i in range(4)]
        (folder / "prompts.jsonl").write_text("\n".join(lines))
        flags = {source: command(folder, given.pictures, folder / str(i)) for i, source in enumerate(given.sources)}
        for source in given.sources:
            words = [sys.executable, "-m", "emu", "encode", *flags[source]]
            subprocess.run(words, env=environment(source), check=True, capture_output=True)
        measured: dict[Path, list[float]] = {source: [] for source in given.sources}
        for _ in range(given.rounds):
            for source in given.sources:
                measured[source].append(seconds(source, flags[source]))
    first = statistics.median(measured[given.sources[0]])
    for source, values in measured.items():
        middle = statistics.median(values)
        print(f"{source}: median {middle:.2f} s of CPU ({min(values):.2f} to {max(values):.2f}), {middle / first:.2f}")


if __name__ == "__main__":
    main()

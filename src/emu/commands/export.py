"""`emu export`: a run or a checkpoint as what other programs load: a pipeline folder, or a LoRA file."""

import argparse
from pathlib import Path

from emu.class_paths import named
from emu.commands.parser import STAGE, Parser, a_model
from emu.errors import UserError
from emu.terminal.counted import many


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """The command and its flags."""
    parser = commands.add_parser("export", help="a run or a checkpoint as a pipeline folder or a LoRA file")
    parser.set_defaults(action=export, parser=parser)
    parser.add_argument("run", type=Path, help="a run folder, or one of its checkpoints")
    parser.add_argument("out", type=Path, help="the folder, or the .safetensors file, to write")
    parser.add_argument(
        "--format",
        default="diffusers",
        metavar=f"NAME|{named.FORM}",
        help="diffusers (default), single-file, comfyui (also as NAME,dtype=bf16), lora, lora-comfyui, lora-kohya, or "
        "a class of emu.formats.Format of your own",
    )
    parser.add_argument("--before", metavar=STAGE, help="the model whose pictures the run's starts from")
    then = "what makes its pictures larger; more than once for several. OUT is then a folder of all stages"
    parser.add_argument("--then", action="append", default=[], metavar=STAGE, help=then)


def export(given: argparse.Namespace) -> None:
    """Writes the folder, and says how near its picture is to the run's."""
    if given.before or given.then:
        export_cascade(given)
        return
    with a_model():
        from emu.exporting.export import export
        from emu.formats import find

        written_as = find(given.format)
        difference = export(given.run, given.out, written_as)
    print(f"{given.out}: {written_as.says}; largest difference to the model's picture {difference}")


def export_cascade(given: argparse.Namespace) -> None:
    """Writes the run among the stages before and after it, and says how near plain diffusers draws."""
    if given.format != "diffusers":
        raise UserError(f"--format {given.format}: several stages are written as diffusers folders alone; leave it out")
    with a_model():
        from emu.exporting.cascade import ship
        from emu.sampling.cascade import read_stages
        from emu.sampling.sample import Stage

        before = read_stages([given.before], flag="--before") if given.before else []
        stages = [*before, Stage(str(given.run)), *read_stages(given.then, flag="--then")]
        difference = ship(stages, given.out)
    print(
        f"{given.out}: {many(len(stages), 'stage')} and draw.py; largest difference to the picture of emu {difference}"
    )

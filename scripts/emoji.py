"""Real pictures through the same code: three tiny models learn 3,063 emoji and clip arts, then 1,101 fine renders.

    python scripts/emoji.py --data ../shared/data --minutes 15 --threads 1     every stage, in order
    python scripts/emoji.py --data ../shared/data muse tune-muse results       some of them

Each stage writes into --work and can be run again; `results` fills in the figures of docs/results/emoji.md.
"""

import argparse
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.utils import logging
from emoji_learning import learn_look, learn_match
from emoji_parts import make_autoencoder, make_text_encoders, make_tokens
from emoji_pictures import Pictures, lay_out, read, read_prompts, where_shown
from emoji_results import write_results
from pretraining import pretrain
from untrained import ARCHITECTURES, plan

from emu import flags
from emu.bundled import resolve
from emu.class_paths import trust
from emu.cli import fail
from emu.errors import UserError
from emu.training import fit

# Fewer steps and less guidance than published models take: these are small, and every check draws 275 prompts.
SAMPLER = {
    "latent": {"num_inference_steps": 20, "guidance_scale": 4.0},
    "pixel": {"num_inference_steps": 20, "guidance_scale": 4.0},
    "muse": {"num_inference_steps": 12, "guidance_scale": 4.0},
}


@dataclass(frozen=True)
class Budget:
    """How much of everything; `every` takes every so many-th picture only, and 0 prompts are all."""

    minutes: float = 12
    every: int = 1
    word_steps: int = 600
    autoencoder_steps: int = 1500
    judge_epochs: int = 12
    tune_steps: int = 300
    check_every: int = 60
    prompts: int = 0


QUICK = Budget(
    minutes=0.05, every=12, word_steps=20, autoencoder_steps=3, judge_epochs=1, tune_steps=2, check_every=1, prompts=8
)


def stage_judges(work: Path, budget: Budget) -> None:
    pictures, prompts = read(work / "pool") + read(work / "needles"), read_prompts(work)
    vae = AutoencoderKL.from_pretrained(work / "vae")
    learn_look(pictures, prompts, vae, work / "judges", epochs=budget.judge_epochs)
    learn_match(pictures, prompts, work / "judges", epochs=2 * budget.judge_epochs)


def stage_pretrain(name: str, work: Path, budget: Budget) -> None:
    """The whole pool, from the shipped backbone on, around the parts that know these pictures and captions."""
    learn(name, work, read(work / "pool"), minutes=budget.minutes, backbone=f"emu://bases/{name}")


def stage_emoji(name: str, work: Path, budget: Budget) -> None:
    """Then its emoji alone, half as long: every prompt's concept is among them, once and flat."""
    pool = read(work / "pool")
    emoji = pool.where([source != "openclipart" for source in pool.sources])
    learn(name, work, emoji, minutes=budget.minutes / 2, start=str(work / name))


def learn(name: str, work: Path, pictures: Pictures, *, minutes: float, **begin: str) -> None:
    shown, rng = where_shown(pictures.images), np.random.default_rng(0)
    pretrain(
        name,
        work,
        pictures.images,
        pictures.captions,
        rng=rng,
        minutes=minutes,
        caption_dropout=0.1,
        where=shown,
        **begin,
    )


def stage_tune(name: str, work: Path, budget: Budget) -> None:
    """`emu encode` and `emu fit` as a user runs them, in a fresh run folder."""
    run = work / "tuned" / name
    shutil.rmtree(run, ignore_errors=True)
    judges = {"quality.appeal": "emoji_judges.Look", "quality.faithfulness": "emoji_judges.Match"}
    given = {
        "config": f"{name}/tiny",
        "trainer.default_root_dir": run,
        "model.init_args.pretrained": work / name,
        "model.init_args.sampler": json.dumps(SAMPLER[name]),
        "data.root": work / "needles",
        "data.prompts": work / "prompts.jsonl",
        "data.num_prompts": budget.prompts,
        "data.resolution": plan(name).resolution,
        "data.cache": work / "cache" / name,
        "quality.max_steps": budget.tune_steps,
        "quality.check_every": budget.check_every,
        **{f"{criterion}.class_path": judge for criterion, judge in judges.items()},
        **{f"{criterion}.init_args.folder": work / "judges" for criterion in judges},
    }
    args = flags.check([f"--{key}={value}" for key, value in given.items()])
    fit.encode(args)
    fit.run("fit", args)


def stages(options: argparse.Namespace, budget: Budget) -> dict[str, Callable[[], None]]:
    """Every stage by its name, in order."""
    work, bases = options.work, list(ARCHITECTURES)
    common: dict[str, Callable[[], None]] = {
        "data": partial(lay_out, options.data, work, every=budget.every),
        "text": partial(make_text_encoders, work, steps=budget.word_steps),
        "vae": partial(make_autoencoder, work, start=options.vae, steps=budget.autoencoder_steps),
        "vq": partial(make_tokens, work, steps=budget.autoencoder_steps),
        "judges": partial(stage_judges, work, budget),
    }
    learned = {name: partial(stage_pretrain, name, work, budget) for name in bases}
    learned |= {f"{name}-emoji": partial(stage_emoji, name, work, budget) for name in bases}
    tuned = {f"tune-{name}": partial(stage_tune, name, work, budget) for name in bases}
    runs = [work / "tuned" / name for name in bases]
    results = {"results": partial(write_results, runs, work, options.results, threads=options.threads)}
    return {**common, **learned, **tuned, **results}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="*", help="all of them where none is named")
    parser.add_argument("--data", type=Path, required=True, help="the folder that has emoji-pool.tar and the others")
    parser.add_argument("--work", type=Path, default=Path("runs/emoji"))
    parser.add_argument(
        "--vae",
        type=Path,
        default=Path(resolve("emu://bases/latent/vae")),
        help="the autoencoder to begin with, if there",
    )
    parser.add_argument("--results", type=Path, default=Path("docs/results/emoji.md"), help="whose figures to fill in")
    parser.add_argument("--minutes", type=float, help="of pre-training, an architecture")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a few steps of everything: shows that it runs")
    options = parser.parse_args()
    budget = QUICK if options.quick else Budget()
    budget = replace(budget, minutes=options.minutes) if options.minutes else budget
    trust.take_over(["emoji_judges"])  # the runs' configs name its classes
    try:
        run(options, budget)
    except UserError as error:
        fail(str(error))


def run(options: argparse.Namespace, budget: Budget) -> None:
    """The stages that were asked for; how long each took is kept in WORK/seconds.json."""
    known = stages(options, budget)
    for name in options.stages:
        if name not in known:
            raise UserError(f"{name}: no such stage; there are {', '.join(known)}")
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    logging.set_verbosity_error()  # it lists every caption that is cut, 256 at a time
    taken = options.work / "seconds.json"
    for name in options.stages or known:
        torch.manual_seed(0)
        begun = time.monotonic()
        known[name]()
        seconds = json.loads(taken.read_text()) if taken.exists() else {}
        taken.write_text(json.dumps({**seconds, name: round(time.monotonic() - begun)}))


if __name__ == "__main__":
    main()

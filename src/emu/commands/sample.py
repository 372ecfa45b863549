"""`emu sample`: draws prompts with a pipeline folder, a hub name or a checkpoint."""

import argparse
from pathlib import Path

from emu.class_paths import named
from emu.commands.parser import STAGE, Parser, a_model, add_model, add_sampler
from emu.storage import documents
from emu.storage.shapes import Arguments


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """The command and its flags."""
    parser = commands.add_parser("sample", help="draw prompts with any pipeline folder or checkpoint")
    parser.set_defaults(action=sample, parser=parser)
    add_model(parser)
    prompts = ".txt, .csv, .tsv, .jsonl, .json or .toml; a folder of pictures, or a run, to make larger; see "
    parser.add_argument("prompts", type=Path, help=f"{prompts}docs/prompts.md")
    parser.add_argument("out", type=Path, help="the folder to draw into; what is there already is not drawn again")
    parser.add_argument(
        "--limit", type=int, default=0, help="draw only so many prompts, spread evenly over the file (0: all)"
    )
    seeds = "seed of the first prompt, one more for each further one, unless its line names a seed (0)"
    parser.add_argument("--seed", type=int, default=0, help=seeds)
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="pictures at a time (16)")
    lora = "a LoRA, LoHa or LoKr of any trainer to draw with; the model is its base. More than once for several"
    parser.add_argument("--lora", action="append", default=[], metavar="FILE[:STRENGTH]", help=lora)
    add_sampler(parser, "guidance_scale=5")
    then = "what makes its pictures larger, as MODEL; more than once for several"
    parser.add_argument("--then", action="append", default=[], metavar=STAGE, help=then)


def sample(given: argparse.Namespace) -> None:
    """Draws the prompts, through one model or several."""
    with a_model():
        from emu.layouts import runs
        from emu.sampling.cascade import draw, draw_run, read_stages, unfolded
        from emu.sampling.sample import Plan, Stage

        first = Stage(given.model, settings(given.sampler), given.lora, given.architecture, given.config, given.vae)
        stages = [*unfolded(first), *read_stages(given.then, flag="--then")]
        if runs.complete_steps(given.prompts):
            draw_run(stages, given.prompts, given.out, limit=given.limit, batch_size=given.batch_size)
            return
        plan = Plan.read(given.prompts, limit=given.limit, seed=given.seed, batch_size=given.batch_size)
        draw(stages, plan, given.out)


def settings(pairs: list[str]) -> Arguments:
    """`["guidance_scale=5"]` -> {"guidance_scale": 5}."""
    texts = dict(named.setting(pair, flag="--sampler", like="guidance_scale=5") for pair in pairs)
    return {key: documents.parse(text, where=f"--sampler {key}={text}") for key, text in texts.items()}

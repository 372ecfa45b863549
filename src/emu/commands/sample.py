"""`emu sample`: draws prompts with a pipeline folder, a hub name or a checkpoint."""

import argparse
from pathlib import Path

from emu import documents, named
from emu.commands.parser import Parser, add_model, add_sampler
from emu.shapes import Arguments
from emu.starting import starting


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """The command and its flags."""
    parser = commands.add_parser("sample", help="draw prompts with any pipeline folder or checkpoint")
    parser.set_defaults(action=sample, parser=parser)
    add_model(parser)
    parser.add_argument("prompts", type=Path, help=".txt, .csv, .tsv, .jsonl, .json or .toml; see docs/prompts.md")
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


def sample(given: argparse.Namespace) -> None:
    """Draws the prompts."""
    with starting():
        from emu.sample import Plan, sample

        sampler = settings(given.sampler)
        sample(
            given.model,
            Plan.read(given.prompts, limit=given.limit, seed=given.seed, batch_size=given.batch_size),
            given.out,
            architecture=given.architecture,
            config=given.config,
            vae=given.vae,
            sampler=sampler,
            loras=given.lora,
        )


def settings(pairs: list[str]) -> Arguments:
    """`["guidance_scale=5"]` -> {"guidance_scale": 5}."""
    texts = dict(named.setting(pair, flag="--sampler", like="guidance_scale=5") for pair in pairs)
    return {key: documents.parse(text, where=f"--sampler {key}={text}") for key, text in texts.items()}

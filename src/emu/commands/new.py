"""`emu new`: an untrained pipeline from a config of its components."""

import argparse
from pathlib import Path

from emu.commands.parser import Parser, a_model


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """The command and its flags."""
    parser = commands.add_parser("new", help="an untrained pipeline from a config of its components")
    parser.set_defaults(action=new, parser=parser)
    parser.add_argument("-c", "--config", required=True, help="a config, or the name of a bundled one: new/latent-tiny")
    parser.add_argument(
        "out", type=Path, nargs="?", help="the pipeline folder to write; without it only sizes are printed"
    )
    sources = "pictures as emu fit takes them, or .txt, .tsv or .jsonl of prompts"
    parser.add_argument("--captions", help=f"what small text encoders learn to read from: {sources}")
    parser.add_argument("--seed", type=int, default=0, help="seed of the weights (0)")


def new(given: argparse.Namespace) -> None:
    """Prints the sizes; writes the folder where one is named."""
    from emu.flags import find_config

    config = find_config(given.config, of="new")
    captions = read_captions(given.captions) if given.captions else []
    with a_model():
        from emu.untrained import new

        print(new(config, given.out, captions=captions, seed=given.seed))
    if given.out:
        print(f"{given.out}: untrained; emu fit takes it as --model.init_args.pretrained")


def read_captions(source: str) -> list[str]:
    """The captions of a prompt file or of a set of pictures. UserError: there are none."""
    from emu.data import load_prompts
    from emu.data.sources import Entry, read_source
    from emu.errors import UserError
    from emu.parts.text_encoder import words_of

    if Path(source).suffix in (".txt", ".tsv", ".jsonl"):
        captions = [row["prompt"] for row in load_prompts(source)]
    else:
        captions = [text for entry in read_source(source) if isinstance(entry, Entry) for text in entry.texts]
    if not any(map(words_of, captions)):
        raise UserError(f"--captions {source}: holds no caption with a word")
    return captions

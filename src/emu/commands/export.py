"""`emu export`: a run or a checkpoint as what other programs load: a pipeline folder, or a LoRA file."""

import argparse
from pathlib import Path

from emu import named
from emu.commands.parser import Parser
from emu.starting import starting


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


def export(given: argparse.Namespace) -> None:
    """Writes the folder, and says how near its picture is to the run's."""
    with starting():
        from emu.export import export
        from emu.formats import find

        written_as = find(given.format)
        difference = export(given.run, given.out, written_as)
    print(f"{given.out}: {written_as.says}; largest difference to the run's picture {difference}")

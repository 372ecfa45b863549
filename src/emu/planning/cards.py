"""Which graphics cards hold a run, and what would help those that do not."""

from collections.abc import Iterator

from emu import flags
from emu.errors import UserError
from emu.planning.memory import DRAWING, ENCODING, Memory, Whole, share, whole
from emu.planning.outline import Outline
from emu.terminal.aligned import aligned
from emu.terminal.counted import amount
from emu.training.fit import Settings

CARDS = (12, 16, 24, 48, 80)
"""Sizes in GB that cards are sold by. They have 1.07 times as many bytes: the rest is left to CUDA and to gaps."""

HELP = {
    "--model.gradient_checkpointing true": (["--model.gradient_checkpointing", "true"], True),
    "-c cards/24gb": (["-c", "cards/24gb"], False),
    "-c adapters/lora": (["-c", "adapters/lora"], True),
    "-c adapters/lora -c cards/24gb": (["-c", "adapters/lora", "-c", "cards/24gb"], False),
    "-c cards/16gb-lora": (["-c", "cards/16gb-lora"], False),
}
"""What is said -> its words, and whether encoding and drawing take the same as without them."""
DEVICES = (2, 4, 8)
SMALL = 16  # GB: what a card of this size holds needs no help


def describe(args: list[str], settings: Settings, of: Whole, held: Memory) -> str:
    """Which cards hold a run, and a line for whatever would make it smaller, counted as the run itself was."""
    short = ", ".join(f"{card} GB by {amount(held.total - card * 1e9)}" for card in CARDS if held.total > card * 1e9)
    fitting = holding(held.total)
    lines = [
        f"cards: {f'{fitting[0]} GB and more hold it' if fitting else 'none holds it'}"
        + f"; too small are {short}" * bool(short)
    ]
    if held.total > SMALL * 1e9:
        rows = [(name, total) for name, total in helping(args, settings, of) if total < held.total]
        lines += aligned([(f"  {name}", amount(total), _smallest(total)) for name, total in rows], left=1)
    return "\n".join(lines)


def holding(size: int) -> list[int]:
    """The cards that hold so many bytes."""
    return [card for card in CARDS if size <= card * 1e9]


def _smallest(size: int) -> str:
    return f"a card of {holding(size)[0]}" if holding(size) else "no card"


def helping(args: list[str], settings: Settings, of: Whole) -> Iterator[tuple[str, int]]:
    """What else the command could say -> bytes on a device then."""
    alike = {kind: of.work[kind] for kind in (ENCODING, DRAWING) if kind in of.work}
    for name, (words, same) in HELP.items():
        try:
            other = Settings([*args, *flags.check(words)], command="plan")
            other.datamodule = settings.datamodule  # which is read already
            yield (
                name,
                share(whole(Outline(other.model), other, known=alike if same else {}), other.config, among=1).total,
            )
        except UserError:  # as of an adapter for a network without linear layers, or of a card config that asks more
            continue
    for number in DEVICES if settings.model.base_dtype is None else ():
        yield f"-c multi-gpu/fsdp2, {number} devices", share(of, settings.config, among=number).total

"""Published names from diffusers': by the tables of the families, and of U-Nets and autoencoders by counting."""

import re
from functools import cache

from emu.originals.tables import AUTOENCODER

WORDS = {"N": r"(?P<N>\d+)", "M": r"(?P<M>\d+)", "B": r"(?P<B>\w+)", "P": r"(?P<P>[\w.]+)"}

UNET = {  # of what lies outside of the blocks, and of what a residual block holds
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "class_embedding.linear_1": "label_emb.0.0",
    "class_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
RESIDUAL = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def renamed(name: str, table: str) -> str:
    """A name by a table: every line that begins it changes it, one after the other."""
    for pattern, target in _rules(table):
        name = pattern.sub(target, name)
    return name


@cache
def _rules(table: str) -> list[tuple[re.Pattern[str], str]]:
    rules = []
    for line in table.split("\n"):
        if line:
            ours, theirs = line.split()
            pattern = re.sub(r"\b[NMBP]\b", lambda word: WORDS[word[0]], ours.replace(".", r"\."))
            rules.append((re.compile(rf"^{pattern}(?=\.|$)"), re.sub(r"\b([NMBP])\b", r"\\g<\1>", theirs)))
    return rules


def unet(name: str, *, layers: int, attended: set[int]) -> str:
    """A U-Net's: its blocks are counted through where diffusers' are nested.

    Args:
        layers: a block's (`layers_per_block`).
        attended: the upward blocks with attention.

    ValueError: of a layer that no published U-Net has.
    """
    outside = next((key for key in UNET if name.startswith(f"{key}.")), None)
    if outside:
        return UNET[outside] + name.removeprefix(outside)
    if found := re.match(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)", name):
        kind, i, inner = found.groups()
        return f"middle_block.{2 * int(i) if kind == 'resnets' else 1}.{_inner(kind, inner)}"
    if not (found := re.match(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.+)", name)):
        raise ValueError(f"none that was published has {name}")
    side, block, kind, i, inner = found.groups()
    first = int(block) * (layers + 1)
    if kind in ("downsamplers", "upsamplers"):
        tail = inner.removeprefix("conv.")
        down = f"input_blocks.{first + layers + 1}.0.op.{tail}"
        return down if side == "down" else f"output_blocks.{first + layers}.{1 + (int(block) in attended)}.conv.{tail}"
    place = f"input_blocks.{first + 1 + int(i)}" if side == "down" else f"output_blocks.{first + int(i)}"
    return f"{place}.{int(kind == 'attentions')}.{_inner(kind, inner)}"


def _inner(kind: str, inner: str) -> str:
    part, _, tail = inner.partition(".")
    return f"{RESIDUAL[part]}.{tail}" if kind == "resnets" else inner


def autoencoder(name: str, *, blocks: int) -> str:
    """An AutoencoderKL's: its upward blocks are counted from the other end, `blocks` of them."""
    found = renamed(name, AUTOENCODER).replace(".conv_shortcut.", ".nin_shortcut.")
    return re.sub(r"^decoder\.up\.(\d+)", lambda up: f"decoder.up.{blocks - 1 - int(up[1])}", found)

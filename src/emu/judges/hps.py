"""HPS v2 and v2.1: which of two pictures of a prompt people would prefer.

The published file is one of open_clip (github.com/tgxs002/HPSv2). It is loaded into transformers' own CLIPModel by
renaming its tensors, so that it needs no further package and sees pictures as the other CLIPs here do.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import AutoConfig, CLIPModel

from emu.errors import UserError
from emu.judges.clip import Clip, CosineJudge
from emu.judges.judge import Card
from emu.judges.weights import WeightsFile, loaded

WANTED = "a checkpoint of HPS v2"
BASE = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"

# open_clip's name -> transformers' name, for all that is not in a block.
NAMES = {
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final": "text_model.final_layer_norm",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.ln_pre": "vision_model.pre_layrnorm",
    "visual.ln_post": "vision_model.post_layernorm",
}
IN_BLOCK = {
    "attn.out_proj": "self_attn.out_proj",
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
BLOCK = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+)")


class Hps(CosineJudge):
    """How well people would like a picture for its prompt (Wu et al. 2023, arXiv 2306.09341).

    A CLIP that learned from choices between pictures of one prompt: the score is 100 times its cosine. Scores compare
    within one prompt and one version of the file only. It judges liking and fitting at once and is known to favour
    saturated, detailed, illustration-like pictures: it may reject, and should not select alone.

    Args:
        checkpoint: HPS_v2_compressed.pt or HPS_v2.1_compressed.pt, as published.
        base: the CLIP that it was tuned from, by hub name or folder: its config, tokenizer and processor are read.
        sha256: that the file must have, or its beginning; another is refused.
    """

    name = "hps"
    tie = 0.1  # the chance that one is preferred is then between 47.5 and 52.5 %

    def __init__(self, checkpoint: str, base: str = BASE, *, sha256: str | None = None) -> None:
        super().__init__(OpenClip(Path(checkpoint), base, sha256=sha256))

    def score_many(self, images: Sequence[Tensor], prompts: Sequence[str]) -> Tensor:
        return 100 * self.cosines(images, prompts)

    def describe(self) -> Card:
        base = self.embedder.prepares.name
        return {**super().describe(), "base": base, "score": "100 cosine, arXiv 2306.09341"}


class OpenClip(Clip):
    """A CLIP whose weights lie in a file of open_clip, and everything else with the model that it was tuned from."""

    def __init__(self, checkpoint: Path, base: str, *, sha256: str | None = None) -> None:
        super().__init__(checkpoint.name, base)
        self.checkpoint = WeightsFile(checkpoint, sha256)

    @cached_property
    def model(self) -> Any:
        path = self.checkpoint.path
        held = self.checkpoint.read(wanted=WANTED)
        if not isinstance(held, dict) or not isinstance(held.get("state_dict"), dict):
            raise UserError(f"{path}: no state_dict in it; name HPS_v2_compressed.pt or HPS_v2.1_compressed.pt")
        config = self.prepares.read(AutoConfig)
        return loaded(CLIPModel, config, renamed(held["state_dict"]), of=f"{path} for {self.prepares.name}")

    @cached_property
    def sha256(self) -> str:
        """Of the published file."""
        return self.checkpoint.sha256

    def require(self) -> None:
        """UserError where there is no file, or no model that it was tuned from; it is read with the first picture."""
        self.checkpoint.require(wanted=WANTED)
        self.prepares.read(AutoConfig)


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """open_clip's state dict -> transformers' for CLIPModel.

    Queries, keys and values lie in one matrix there, and projections the other way round.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name in ("text_projection", "visual.proj"):
            found[f"{'visual' if name == 'visual.proj' else 'text'}_projection.weight"] = tensor.T.contiguous()
        elif block := BLOCK.fullmatch(name):
            found |= _in_block(tensor, *block.groups())
        elif name != "attn_mask":  # of older files: what is ahead of a token; computed, not learned
            stem, dot, kind = name.rpartition(".")
            found[NAMES[name] if name in NAMES else f"{NAMES.get(stem, stem)}{dot}{kind}"] = tensor
    return found


def _in_block(tensor: Tensor, visual: str | None, number: str, rest: str) -> dict[str, Tensor]:
    place = f"{'vision' if visual else 'text'}_model.encoder.layers.{number}"
    if rest.startswith("attn.in_proj_"):
        kind, parts = rest.removeprefix("attn.in_proj_"), tensor.chunk(3)
        return {f"{place}.self_attn.{q}_proj.{kind}": part.clone() for q, part in zip("qkv", parts, strict=True)}
    stem, _, kind = rest.rpartition(".")
    return {f"{place}.{IN_BLOCK.get(stem, stem)}.{kind}": tensor}

"""Tiny CLIP and SigLIP of the real classes, untrained and seeded, as folders with tokenizer and image processor."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
)

from emu.parts.tokenizer import clip_tokenizer

TOKENS, SIDE = 12, 24
BODY = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
SIGHT = {**BODY, "image_size": SIDE, "patch_size": 8}


def save_clip(folder: Path, *, width: int) -> Path:
    """Embeddings of `width` numbers; reads the middle 24 x 24 of a picture whose shortest side is 24 pixels."""
    config = CLIPConfig(text_config=save_tokenizer(folder), vision_config=SIGHT, projection_dim=width)
    CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}).save_pretrained(
        folder
    )
    return save_model(folder, CLIPModel, config)


def save_siglip(folder: Path) -> Path:
    """Embeddings of 32 numbers; reads all of a picture at 24 x 24 pixels, by a bilinear filter."""
    config = SiglipConfig(text_config={**save_tokenizer(folder), "projection_size": 32}, vision_config=SIGHT)
    SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE}, resample=2).save_pretrained(folder)
    return save_model(folder, SiglipModel, config)


def save_tokenizer(folder: Path) -> dict[str, Any]:
    """Saves it; returns the text config that fits it."""
    tokens = clip_tokenizer(["a red boat at noon", "a blue bird in the snow"], vocab_size=300, max_length=TOKENS)
    tokens.save_pretrained(folder)
    special = {name: getattr(tokens, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    return {**BODY, **special, "vocab_size": len(tokens), "max_position_embeddings": TOKENS}


def save_model(folder: Path, kind: Any, config: Any) -> Path:
    """The same weights each time, far enough from zero that pictures and texts differ."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = kind(config)
        for weight in filter(lambda weight: weight.ndim > 1, model.parameters()):
            torch.nn.init.normal_(weight, std=0.2)
    model.save_pretrained(folder)
    return folder

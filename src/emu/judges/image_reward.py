"""ImageReward: how well people would like a picture for its prompt, read by BLIP.

The published file (github.com/THUDM/ImageReward, ImageReward.pt) is BLIP's vision transformer, its text encoder that
looks at the picture at every layer, and five layers on the first token. Both encoders are loaded into transformers' own
Blip classes by renaming their tensors; sizes are read off the tensors.
"""

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, BlipTextConfig, BlipVisionConfig, BlipVisionModel
from transformers.models.blip.modeling_blip_text import BlipTextModel

from emu.errors import UserError
from emu.judges.judge import Card, Judge, versions
from emu.judges.preprocessing import Preprocessing
from emu.judges.pretrained import Pretrained
from emu.judges.weights import WeightsFile, loaded

WANTED = "ImageReward.pt"
TOKENS = 35  # the longest prompt that it learned from
HEAD_WIDTH = 64  # of each attention head, in both of BLIP's encoders
MEAN, STD = 0.16717362830052426, 1.0333394966054072  # of its raw rewards: the published package's own
COLOURS = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))  # mean, std

PREFIXES = ("blip.visual_encoder.", "blip.text_encoder.", "mlp.")
# BLIP's name -> transformers' name, in the vision transformer.
SIGHT = [
    (r"cls_token", "embeddings.class_embedding"),
    (r"pos_embed", "embeddings.position_embedding"),
    (r"patch_embed\.proj\.", "embeddings.patch_embedding."),
    (r"norm\.", "post_layernorm."),
    (r"blocks\.(\d+)\.norm(\d)\.", r"encoder.layers.\1.layer_norm\2."),
    (r"blocks\.(\d+)\.attn\.qkv\.", r"encoder.layers.\1.self_attn.qkv."),
    (r"blocks\.(\d+)\.attn\.proj\.", r"encoder.layers.\1.self_attn.projection."),
    (r"blocks\.(\d+)\.mlp\.", r"encoder.layers.\1.mlp."),
]


class ImageReward(Judge):
    """Reward of a picture for its prompt (Xu et al. 2023, arXiv 2304.05977), about -2 to 2.

    It learned from experts' rankings of pictures by models of 2022, judges liking and fitting at once, and reads the
    first 35 tokens of a prompt. A model tuned until this judge is content is known to overfit to it: it may reject, and
    should not select alone.

    Args:
        checkpoint: ImageReward.pt, as published.
        tokenizer: BERT's, by hub name or folder.
        sha256: that the file must have, or its beginning; another is refused.
    """

    name = "image-reward"
    family = "blip"
    tie = 0.1  # the chance that one is preferred is then between 47.4 and 52.6 %

    def __init__(
        self, checkpoint: str, tokenizer: str = "google-bert/bert-base-uncased", *, sha256: str | None = None
    ) -> None:
        self.file = WeightsFile(Path(checkpoint), sha256)
        self.words = Pretrained(tokenizer, "a folder of BERT's", "judge's tokenizer")

    @torch.inference_mode()
    def score(self, images: Tensor, prompts: list[str]) -> Tensor:
        sight, reading, head = (part.to(images.device) for part in self.parts)
        rewards: list[Tensor] = []
        for image, prompt in zip(images, prompts, strict=True):  # one by one: a score must not depend on its batch
            seen = sight(pixel_values=self.preprocessing(image[None])).last_hidden_state
            words = self.tokenizer(
                prompt, padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt"
            ).to(images.device)
            read = reading(
                input_ids=words["input_ids"], attention_mask=words["attention_mask"], encoder_hidden_states=seen
            ).last_hidden_state
            rewards.append((head(read[:, 0])[0, 0] - MEAN) / STD)
        return torch.stack(rewards)

    def require(self) -> None:
        self.file.require(wanted=WANTED)
        _ = self.tokenizer

    def describe(self) -> Card:
        return {
            "model": self.file.path.name,
            "sha256": self.file.sha256,
            "preprocessing": str(self.preprocessing),
            "text": f"the prompt as it is, cut at {TOKENS} tokens of {self.words.name}",
            "score": f"(reward - {MEAN:.4g}) / {STD:.4g}, arXiv 2304.05977",
            "versions": versions("torch", "transformers"),
        }

    @cached_property
    def preprocessing(self) -> Preprocessing:
        size = int(self.parts[0].config.image_size)
        return Preprocessing(size, (size, size), "bicubic", *COLOURS)

    @cached_property
    def tokenizer(self) -> Any:
        return self.words.read(AutoTokenizer)

    @cached_property
    def parts(self) -> tuple[Any, Any, nn.Module]:
        """Sight, reading and head, in float32. UserError: any other file."""
        path, held = self.file.path, self.file.read(wanted=WANTED)
        try:
            sight, reading, layers = (_under(prefix, held) for prefix in PREFIXES)
            configs = vision_config(sight), text_config(reading)
            renamed = {_rename(name): tensor for name, tensor in sight.items()}
            head = read_layers(layers)
        except (KeyError, IndexError, AttributeError, TypeError, RuntimeError) as error:
            raise UserError(f"{path}: not the layout of ImageReward.pt ({error})") from error
        reading = {name: tensor for name, tensor in reading.items() if name != "embeddings.position_ids"}
        return (
            loaded(BlipVisionModel, configs[0], renamed, of=str(path)),
            loaded(_Reading, configs[1], reading, of=str(path)),
            head,
        )


class _Reading(BlipTextModel):
    """BLIP's text encoder as ImageReward has it: without the pooling layer that transformers adds."""

    def __init__(self, config: BlipTextConfig) -> None:
        super().__init__(config, add_pooling_layer=False)


def vision_config(tensors: Mapping[str, Tensor]) -> BlipVisionConfig:
    """The sizes of a vision transformer whose tensors these are."""
    width, _, patch, _ = tensors["patch_embed.proj.weight"].shape
    side = int((tensors["pos_embed"].shape[1] - 1) ** 0.5)
    return BlipVisionConfig(
        hidden_size=width,
        intermediate_size=tensors["blocks.0.mlp.fc1.weight"].shape[0],
        num_hidden_layers=sum(name.endswith(".norm1.weight") for name in tensors),
        num_attention_heads=width // HEAD_WIDTH,
        image_size=side * patch,
        patch_size=patch,
        layer_norm_eps=1e-6,  # BLIP's own; transformers' default is another
    )


def text_config(tensors: Mapping[str, Tensor]) -> BlipTextConfig:
    """The sizes of a text encoder whose tensors these are."""
    words, width = tensors["embeddings.word_embeddings.weight"].shape
    return BlipTextConfig(
        vocab_size=words,
        hidden_size=width,
        encoder_hidden_size=tensors["encoder.layer.0.crossattention.self.key.weight"].shape[1],
        intermediate_size=tensors["encoder.layer.0.intermediate.dense.weight"].shape[0],
        num_hidden_layers=sum(name.endswith(".intermediate.dense.bias") for name in tensors),
        num_attention_heads=width // HEAD_WIDTH,
        max_position_embeddings=tensors["embeddings.position_embeddings.weight"].shape[0],
        is_decoder=True,  # transformers' word for "looks at the picture"; each token still sees all others
    )


def read_layers(tensors: Mapping[str, Tensor]) -> nn.Module:
    """The layers on the first token, one after the other without activations: (b,width) -> (b,1)."""
    numbers = sorted({int(name.split(".")[1]) for name in tensors})
    layers: list[nn.Module] = []
    for number in numbers:
        after, before = tensors[f"layers.{number}.weight"].shape
        layer = nn.Linear(before, after, device="meta")
        weights = {kind: tensors[f"layers.{number}.{kind}"].float() for kind in ("weight", "bias")}
        layer.load_state_dict(weights, assign=True)
        layers.append(layer)
    return nn.Sequential(*layers).eval().requires_grad_(False)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    if not found:
        raise KeyError(f"no {prefix}* in it")
    return found


def _rename(name: str) -> str:
    for pattern, new in SIGHT:
        if re.match(pattern, name):
            return re.sub(pattern, new, name, count=1)
    return name

"""Tiny CLIP and SigLIP of the real classes, untrained and seeded, as folders with tokenizer and image processor."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
)

from emu.parts.tokenizer import clip_tokenizer

TOKENS, SIDE = 12, 24
BODY = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
CHAT = (
    "{% for turn in messages %}USER: {% for part in turn.content %}"
    "{{ '<image>' if part.type == 'image' else part.text }} {% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
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


def save_vlm(folder: Path) -> Path:
    """A model of Llava's kind that reads all of a 24 x 24 picture and a question, and answers with some token."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    pairs = Tokenizer(models.BPE(unk_token="<unk>"))
    pairs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<pad>", "<unk>", "<image>", "USER:", "ASSISTANT:"]
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    pairs.train_from_iterator(["Yes", "No", "Yes", "No", "a red boat", "a blue bird"], trainer)
    tokens = PreTrainedTokenizerFast(
        tokenizer_object=pairs, pad_token="<pad>", unk_token="<unk>", extra_special_tokens={"image_token": "<image>"}
    )
    sight = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    LlavaProcessor(
        sight, tokens, patch_size=8, vision_feature_select_strategy="default", chat_template=CHAT,
        num_additional_image_tokens=1,
    ).save_pretrained(folder)  # fmt: skip
    seeing = {"model_type": "clip_vision_model", **SIGHT, "projection_dim": 16}
    words = {"model_type": "llama", **BODY, "num_key_value_heads": 2, "vocab_size": len(tokens)}
    config = LlavaConfig(
        vision_config=seeing, text_config=words, image_token_index=tokens.convert_tokens_to_ids("<image>")
    )
    return save_model(folder, LlavaForConditionalGeneration, config)


def save_vit(folder: Path, *labels: str, **more: Any) -> Path:
    """A classifier of pictures with these labels; reads all of a picture at 24 x 24 pixels."""
    config = ViTConfig(**SIGHT, id2label=dict(enumerate(labels)), **more)
    ViTImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return save_model(folder, ViTForImageClassification, config)


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

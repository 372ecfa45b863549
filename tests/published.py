"""Tiny files of the layouts that judges are published in, with random weights, and what their models are by hand."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import BertTokenizer

from embedders import BODY, SIDE, TOKENS

WIDTH, PATCH, WORDS = 128, 8, 30  # two heads of 64, as BLIP's are


def random(*shape: int) -> Tensor:
    return torch.randn(*shape) / max(shape[-1], 1) ** 0.5


def layer(name: str, before: int, after: int) -> dict[str, Tensor]:
    return {f"{name}.weight": random(after, before), f"{name}.bias": 0.1 * torch.randn(after)}


def norm(name: str, width: int) -> dict[str, Tensor]:
    return {f"{name}.weight": 1 + 0.1 * torch.randn(width), f"{name}.bias": 0.1 * torch.randn(width)}


# ---- open_clip's checkpoint, as HPS v2 is published


def open_clip_checkpoint(words: int, *, width: int) -> dict[str, Any]:
    """Fits the model of `embedders.save_clip`."""
    hidden = BODY["hidden_size"]
    tensors = {
        "positional_embedding": random(TOKENS, hidden), "text_projection": random(hidden, width),
        "logit_scale": torch.tensor(4.6), "token_embedding.weight": torch.randn(words, hidden),
        **norm("ln_final", hidden),
        "visual.class_embedding": torch.randn(hidden), "visual.proj": random(hidden, width),
        "visual.positional_embedding": random((SIDE // PATCH) ** 2 + 1, hidden),
        "visual.conv1.weight": 0.1 * torch.randn(hidden, 3, PATCH, PATCH),
        **norm("visual.ln_pre", hidden), **norm("visual.ln_post", hidden),
    }  # fmt: skip
    for tower in ("", "visual."):
        for number in range(BODY["num_hidden_layers"]):
            block = f"{tower}transformer.resblocks.{number}"
            tensors |= {f"{block}.attn.in_proj_weight": random(3 * hidden, hidden)}
            tensors |= {f"{block}.attn.in_proj_bias": 0.1 * torch.randn(3 * hidden)}
            tensors |= layer(f"{block}.attn.out_proj", hidden, hidden)
            tensors |= norm(f"{block}.ln_1", hidden) | norm(f"{block}.ln_2", hidden)
            tensors |= layer(f"{block}.mlp.c_fc", hidden, hidden) | layer(f"{block}.mlp.c_proj", hidden, hidden)
    return {"epoch": 5, "name": "tiny", "state_dict": tensors}


def open_clip_blocks(tensors: Mapping[str, Tensor], x: Tensor, tower: str, *, causal: bool) -> Tensor:
    """The transformer of one tower, with torch's own attention, which has open_clip's layout: (1,n,d) -> (1,n,d)."""
    hidden, heads = BODY["hidden_size"], BODY["num_attention_heads"]
    ahead = torch.triu(torch.full((x.shape[1],) * 2, -torch.inf), 1) if causal else None
    for number in range(BODY["num_hidden_layers"]):
        block = f"{tower}transformer.resblocks.{number}."
        own = {name.removeprefix(block): tensor for name, tensor in tensors.items() if name.startswith(block)}
        attention = torch.nn.MultiheadAttention(hidden, heads, batch_first=True)
        attention.load_state_dict({n.removeprefix("attn."): t for n, t in own.items() if n.startswith("attn.")})
        y = F.layer_norm(x, (hidden,), own["ln_1.weight"], own["ln_1.bias"])
        x = x + attention(y, y, y, need_weights=False, attn_mask=ahead)[0]
        y = F.layer_norm(x, (hidden,), own["ln_2.weight"], own["ln_2.bias"])
        y = F.linear(y, own["mlp.c_fc.weight"], own["mlp.c_fc.bias"])
        x = x + F.linear(y * torch.sigmoid(1.702 * y), own["mlp.c_proj.weight"], own["mlp.c_proj.bias"])  # quick GELU
    return x


def open_clip_image(tensors: Mapping[str, Tensor], pixels: Tensor) -> Tensor:
    """float (1,3,h,w), normalised -> (d,) of length 1."""
    hidden = (BODY["hidden_size"],)
    x = F.conv2d(pixels, tensors["visual.conv1.weight"], stride=PATCH).flatten(2).transpose(1, 2)
    x = torch.cat([tensors["visual.class_embedding"][None, None], x], 1) + tensors["visual.positional_embedding"]
    x = F.layer_norm(x, hidden, tensors["visual.ln_pre.weight"], tensors["visual.ln_pre.bias"])
    x = open_clip_blocks(tensors, x, "visual.", causal=False)
    x = F.layer_norm(x[0, 0], hidden, tensors["visual.ln_post.weight"], tensors["visual.ln_post.bias"])
    return F.normalize(x @ tensors["visual.proj"], dim=0)


def open_clip_text(tensors: Mapping[str, Tensor], ids: Tensor, end: int) -> Tensor:
    """Token ids (n,) -> (d,) of length 1, read at the first `end`."""
    x = (tensors["token_embedding.weight"][ids] + tensors["positional_embedding"])[None]
    x = open_clip_blocks(tensors, x, "", causal=True)
    x = F.layer_norm(x, x.shape[-1:], tensors["ln_final.weight"], tensors["ln_final.bias"])
    return F.normalize(x[0, ids.tolist().index(end)] @ tensors["text_projection"], dim=0)


# ---- ImageReward.pt


def image_reward_checkpoint() -> dict[str, Tensor]:
    """Two layers in either encoder, pictures of 24 x 24, text as wide as sight, and the five layers of the reward."""
    sight, text = "blip.visual_encoder", "blip.text_encoder"
    tensors = {
        f"{sight}.cls_token": torch.randn(1, 1, WIDTH),
        f"{sight}.pos_embed": torch.randn(1, (SIDE // PATCH) ** 2 + 1, WIDTH),
        f"{sight}.patch_embed.proj.weight": 0.1 * torch.randn(WIDTH, 3, PATCH, PATCH),
        f"{sight}.patch_embed.proj.bias": torch.randn(WIDTH), **norm(f"{sight}.norm", WIDTH),
        f"{text}.embeddings.position_ids": torch.arange(40)[None],
        f"{text}.embeddings.word_embeddings.weight": torch.randn(WORDS, WIDTH),
        f"{text}.embeddings.position_embeddings.weight": torch.randn(40, WIDTH),
        **norm(f"{text}.embeddings.LayerNorm", WIDTH),
        **layer("blip.vision_proj", WIDTH, 8), **layer("blip.text_proj", WIDTH, 8),
    }  # fmt: skip
    for number in range(2):
        block = f"{sight}.blocks.{number}"
        tensors |= norm(f"{block}.norm1", WIDTH) | norm(f"{block}.norm2", WIDTH)
        tensors |= layer(f"{block}.attn.qkv", WIDTH, 3 * WIDTH) | layer(f"{block}.attn.proj", WIDTH, WIDTH)
        tensors |= layer(f"{block}.mlp.fc1", WIDTH, 2 * WIDTH) | layer(f"{block}.mlp.fc2", 2 * WIDTH, WIDTH)
        block = f"{text}.encoder.layer.{number}"
        for attention in ("attention", "crossattention"):
            for part in ("self.query", "self.key", "self.value", "output.dense"):
                tensors |= layer(f"{block}.{attention}.{part}", WIDTH, WIDTH)
            tensors |= norm(f"{block}.{attention}.output.LayerNorm", WIDTH)
        tensors |= layer(f"{block}.intermediate.dense", WIDTH, 2 * WIDTH)
        tensors |= layer(f"{block}.output.dense", 2 * WIDTH, WIDTH) | norm(f"{block}.output.LayerNorm", WIDTH)
    sizes = {0: (WIDTH, 1024), 2: (1024, 128), 4: (128, 64), 6: (64, 16), 7: (16, 1)}
    for number, size in sizes.items():
        tensors |= layer(f"mlp.layers.{number}", *size)
    return tensors


def reward_by_hand(tensors: Mapping[str, Tensor], pixels: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """The published model's own steps: pixels float (1,3,h,w) normalised, ids and mask (1,n) -> the raw reward."""

    def linear(name: str, x: Tensor) -> Tensor:
        return F.linear(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    def normed(name: str, x: Tensor, eps: float) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], tensors[f"{name}.weight"], tensors[f"{name}.bias"], eps)

    def attend(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None = None) -> Tensor:
        q, k, v = (part.unflatten(-1, (-1, 64)).transpose(1, 2) for part in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed).transpose(1, 2).flatten(2)

    sight, text = "blip.visual_encoder", "blip.text_encoder"
    patches = {kind: tensors[f"{sight}.patch_embed.proj.{kind}"] for kind in ("weight", "bias")}
    x = F.conv2d(pixels, **patches, stride=PATCH).flatten(2).transpose(1, 2)
    x = torch.cat([tensors[f"{sight}.cls_token"], x], 1) + tensors[f"{sight}.pos_embed"]
    for number in range(2):
        block = f"{sight}.blocks.{number}"
        qkv = linear(f"{block}.attn.qkv", normed(f"{block}.norm1", x, 1e-6)).chunk(3, -1)
        x = x + linear(f"{block}.attn.proj", attend(*qkv))
        y = F.gelu(linear(f"{block}.mlp.fc1", normed(f"{block}.norm2", x, 1e-6)))
        x = x + linear(f"{block}.mlp.fc2", y)
    seen = normed(f"{sight}.norm", x, 1e-6)
    x = tensors[f"{text}.embeddings.word_embeddings.weight"][ids]
    x = x + tensors[f"{text}.embeddings.position_embeddings.weight"][: ids.shape[1]]
    x = normed(f"{text}.embeddings.LayerNorm", x, 1e-12)
    for number in range(2):
        block = f"{text}.encoder.layer.{number}"
        for name, other in (("attention", None), ("crossattention", seen)):
            at = x if other is None else other
            parts = [linear(f"{block}.{name}.self.{p}", y) for p, y in (("query", x), ("key", at), ("value", at))]
            found = attend(*parts, mask[:, None, None].bool() if other is None else None)
            x = normed(f"{block}.{name}.output.LayerNorm", linear(f"{block}.{name}.output.dense", found) + x, 1e-12)
        y = linear(f"{block}.output.dense", F.gelu(linear(f"{block}.intermediate.dense", x)))
        x = normed(f"{block}.output.LayerNorm", y + x, 1e-12)
    reward = x[:, 0]
    for number in (0, 2, 4, 6, 7):
        reward = linear(f"mlp.layers.{number}", reward)
    return reward[0, 0]


def save_bert_tokenizer(folder: Path) -> Path:
    """A BERT tokenizer of 30 words, as a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = special + ["a", "red", "blue", "boat", "bird", "at", "noon", "in", "the", "snow", "two", "green", "hills"]
    (folder / "vocab.txt").write_text("\n".join(words + [f"word{i}" for i in range(WORDS - len(words))]))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder

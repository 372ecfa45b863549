"""Small text encoders, taught to tell what a caption names before any picture model learns from them."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

Labels = dict[str, str]


def clip_text_model(tokenizer: CLIPTokenizer, *, width: int, layers: int) -> CLIPTextModelWithProjection:
    """CLIP's text transformer with its projection; `hidden_states` and `text_embeds` are both `width` wide."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 16,
        max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModelWithProjection(config)


def t5_encoder(tokenizer: T5Tokenizer, *, width: int, layers: int) -> T5EncoderModel:
    """T5's encoder, `width` wide."""
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=width,
        d_ff=2 * width,
        d_kv=16,
        num_layers=layers,
        num_heads=width // 16,
        feed_forward_proj="gated-gelu",
        dropout_rate=0.0,
    )
    return T5EncoderModel(config)


def learn_attributes(
    pool: Callable[[list[str]], Tensor],
    encoder: nn.Module,
    captions: Iterable[tuple[str, Labels]],
    classes: dict[str, Sequence[str]],
    *,
    steps: int = 600,
    batch: int = 128,
) -> float:
    """Train `encoder` until linear heads on `pool(captions)` (b, width) read what a caption names, "nothing" included.

    Returns the share of attributes read right in the last 20 batches.
    """
    stream = iter(captions)
    width = pool(["a"]).shape[-1]
    heads = nn.ModuleDict({name: nn.Linear(width, len(values) + 1) for name, values in classes.items()})
    optimizer = torch.optim.AdamW([*encoder.parameters(), *heads.parameters()], lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    right: list[float] = []
    encoder.train()
    for _ in range(steps):
        texts, labels = zip(*islice(stream, batch), strict=True)
        pooled = pool(list(texts))
        loss = pooled.new_zeros(())
        for name, values in classes.items():
            index = {value: i + 1 for i, value in enumerate(values)}
            target = torch.tensor([index.get(label.get(name, ""), 0) for label in labels])
            logits = heads[name](pooled)
            loss = loss + F.cross_entropy(logits, target)
            right.append(float((logits.argmax(-1) == target).float().mean()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    encoder.eval()
    recent = right[-20 * len(classes) :]
    return sum(recent) / len(recent)

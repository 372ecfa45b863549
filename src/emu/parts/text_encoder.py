"""Small text encoders, taught to tell what a caption names before any picture model learns from them."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from emu.terminal.bars import Bar

Pooled = Callable[[list[str]], Tensor]  # texts -> float (b, width)
LONGEST = 77  # tokens of a caption, where a tokenizer knows no end


def pooled(tokenizer: PreTrainedTokenizerBase, encoder: PreTrainedModel) -> Pooled:
    """What an encoder says of whole texts: CLIP's own summary, else the mean over a text's tokens."""

    def pool(texts: list[str]) -> Tensor:
        length = tokenizer.model_max_length if tokenizer.model_max_length <= LONGEST else None
        padding = "max_length" if length else "longest"
        tokens = tokenizer(texts, padding=padding, truncation=True, max_length=length or LONGEST, return_tensors="pt")
        output = encoder(tokens.input_ids, attention_mask=tokens.attention_mask)
        summary: Tensor | None = output.get("text_embeds", output.get("pooler_output"))
        if summary is None:
            mask = tokens.attention_mask[..., None]
            summary = (output.last_hidden_state * mask).sum(1) / mask.sum(1)
        return summary

    return pool


def words_of(text: str, *, lower: bool = True) -> list[str]:
    """The words of a caption, in lower case or as they are; anything but letters and digits parts them."""
    letters = text.lower() if lower else text
    return "".join(letter if letter.isalnum() else " " for letter in letters).split()


def learn_words(pool: Pooled, encoder: nn.Module, captions: Iterable[str], *, steps: int, batch: int = 128) -> float:
    """Train `encoder` until a linear head on `pool(captions)` tells which words of all captions occur in each.

    Returns the share of a caption's words that are among as many likeliest ones, over the last 20 batches.
    """
    texts = sorted({"", *captions})
    places_of = {word: i for i, word in enumerate(sorted({word for text in texts for word in words_of(text)}))}
    head = nn.Linear(pool(["a"]).shape[-1], len(places_of))
    parameters = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    found: list[float] = []
    encoder.train()
    for _ in Bar(range(steps), desc="a text encoder learns to read", unit="step"):
        chosen = [texts[i] for i in torch.randint(len(texts), (batch,))]
        logits, goal = head(pool(chosen)), _words_in(chosen, places_of)
        number = goal.sum(1, keepdim=True)
        share = goal / number.clamp(min=1)
        optimizer.zero_grad()
        (-(logits.log_softmax(1) * share).sum(1).mean()).backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        places = logits.argsort(1, descending=True).argsort(1)
        found.append(float((share * (places < number)).sum() / (number > 0).sum()))
    encoder.eval()
    return sum(found[-20:]) / len(found[-20:])


def _words_in(texts: list[str], places: dict[str, int]) -> Tensor:
    """float (n,w): 1 where text i holds the word of place j."""
    held = torch.zeros(len(texts), len(places))
    for row, text in enumerate(texts):
        held[row, [places[word] for word in words_of(text)]] = 1
    return held

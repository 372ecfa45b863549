"""Tokenizers learned from captions, as the classes that published pipelines hold: CLIP's BPE and T5's unigram."""

import json
import math
import string
from collections import Counter
from collections.abc import Iterable
from typing import Any

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer, T5Tokenizer

from emu.parts.text_encoder import words_of

CHARACTERS = string.ascii_letters + string.digits + string.punctuation  # so that no later word is unknown


def clip_tokenizer(captions: Iterable[str], *, vocab_size: int = 512, max_length: int = 77) -> CLIPTokenizer:
    """A byte-pair tokenizer of at most `vocab_size` entries; prompts are cut and padded to `max_length` tokens."""
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.Lowercase()
    words = pre_tokenizers.Split(Regex(r"[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), behavior="removed", invert=True)
    learner.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<|startoftext|>", "<|endoftext|>"],
        end_of_word_suffix="</w>",
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learner.train_from_iterator([*captions, " ".join(CHARACTERS)], trainer)
    model = json.loads(learner.to_str())["model"]
    merges: Any = [tuple(pair) for pair in model["merges"]]  # pairs, whatever its annotation says
    return CLIPTokenizer(vocab=model["vocab"], merges=merges, model_max_length=max_length)


def t5_tokenizer(captions: Iterable[str], *, max_length: int | None = None) -> T5Tokenizer:
    """A unigram tokenizer of the captions' words, with single characters for any other word.

    Words are as they are written and in lower case: T5's tokenizers tell the two apart.
    """
    counts: Counter[str] = Counter()
    characters = set(CHARACTERS)
    for caption in captions:
        counts.update(words_of(caption))
        counts.update(word for word in words_of(caption, lower=False) if word != word.lower())
        characters.update("".join(caption.split()))
    total = sum(counts.values())
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [(f"\u2581{word}", math.log(count / total)) for word, count in counts.most_common()]
    known = {piece for piece, _ in pieces}
    rare = math.log(0.1 / total)
    pieces += [(piece, rare) for piece in ["\u2581", *sorted(characters)] if piece not in known]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=max_length)

"""Tiny tokenizers of the classes that large language models are published with, learned from a few captions."""

import json
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GemmaTokenizer, PreTrainedTokenizerFast, Qwen2Tokenizer

from emu.parts.text_processor import TextProcessor

CAPTIONS = ["a red boat at noon", "a blue bird in the snow", "two green hills under a yellow moon", ""]
TEMPLATES = [  # what pipelines put around a prompt: each word a token, so that the parts that they drop are these
    "Describe the image by detailing the color, shape, size, texture, quantity, text, spatial relationships of the "
    "objects and background:",
    "You are a prompt engineer. Describe",
    "system\nuser\nassistant\n\nthink",
    "You are an AI that reasons about image descriptions. You give structured responses focusing on object "
    "relationships, object\nattribution and actions without speculation.",
]
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
PARTS_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% for part in message.content %}{{ part.text }}{% endfor %}<|im_end|>\n{% endfor %}"
)
VISION = ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def learned(special: list[str]) -> Tokenizer:
    """Byte pairs of the captions and templates, after the special tokens."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learner.train_from_iterator((CAPTIONS + TEMPLATES) * 3, trainer)
    return learner


def parts(learner: Tokenizer) -> tuple[dict[str, int], Any]:
    model = json.loads(learner.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def qwen(max_length: int = 4096) -> Qwen2Tokenizer:
    vocab, merges = parts(learned(SPECIAL))
    tokens = Qwen2Tokenizer(vocab=vocab, merges=merges, additional_special_tokens=SPECIAL[1:])
    tokens.model_max_length = max_length
    tokens.chat_template = CHAT
    return tokens


# A folder's index names it by its module and name.
Published = type(
    "Qwen3VLProcessor", (TextProcessor,), {"__module__": "transformers.models.qwen3_vl.processing_qwen3_vl"}
)


def qwen_processor(max_length: int = 262144) -> TextProcessor:
    """What prompts need of Qwen3-VL's, which itself needs torchvision; saved as that is."""
    words = qwen(max_length)
    words.add_special_tokens({"additional_special_tokens": VISION})
    made: TextProcessor = Published(words, chat_template=PARTS_CHAT)
    return made


def glm(max_length: int = 4096) -> PreTrainedTokenizerFast:
    learner = learned(["<|endoftext|>", "[gMASK]", "<sop>"])
    learner.post_processor = processors.TemplateProcessing(
        single="[gMASK] <sop> $A", special_tokens=[("[gMASK]", 1), ("<sop>", 2)]
    )
    ends = {"pad_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
    return PreTrainedTokenizerFast(tokenizer_object=learner, padding_side="left", model_max_length=max_length, **ends)


def gemma(max_length: int = 4096) -> GemmaTokenizer:
    vocab, merges = parts(learned(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]))
    vocab |= {piece: len(vocab) + number for number, piece in enumerate(["\u2581"]) if piece not in vocab}
    tokens = GemmaTokenizer(vocab=vocab, merges=merges)
    tokens.model_max_length = max_length
    tokens.padding_side = "right"
    return tokens

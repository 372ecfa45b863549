"""What models are built from learns what it is for, and is saved and loaded as the real classes."""

import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, VQModel
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from emu.parts.text_encoder import learn_words, pooled
from emu.parts.tokenizer import clip_tokenizer, t5_tokenizer
from emu.world import World

SCRIPTS = str(Path(__file__).parents[2] / "scripts")
CAPTIONS = [World(0).haystack(i).caption for i in range(400)]


def images(size: int) -> Iterator[Tensor]:
    for start in count(0, 8):
        pictures = np.stack([np.asarray(World(0).needle(start + i).render(size)) for i in range(8)])
        yield torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def test_clip_tokenizer_round_trip(tmp_path: Path) -> None:
    tokenizer = clip_tokenizer(CAPTIONS, max_length=24)
    tokenizer.save_pretrained(tmp_path)
    loaded = CLIPTokenizer.from_pretrained(tmp_path)
    for text in (*CAPTIONS[:20], "", "zebra, 7 quails & co."):
        ids = loaded(text, padding="max_length", truncation=True).input_ids
        assert ids == tokenizer(text, padding="max_length", truncation=True).input_ids
        assert len(ids) == 24
        assert ids[0] == loaded.bos_token_id
        assert ids[-1] == loaded.eos_token_id
        assert (
            loaded.decode(ids, skip_special_tokens=True).split()
            == loaded.decode(loaded(text).input_ids, skip_special_tokens=True).split()
        )
    words = loaded("zebra quail").input_ids
    assert loaded.eos_token_id not in words[1:-1]  # an unknown word must not read as the end of the caption


def test_t5_tokenizer_has_the_words_whole_and_others_by_letter(tmp_path: Path) -> None:
    tokenizer = t5_tokenizer(CAPTIONS)
    tokenizer.save_pretrained(tmp_path)
    loaded = T5Tokenizer.from_pretrained(tmp_path)
    assert len(loaded("a red house").input_ids) == 4
    assert loaded.unk_token_id not in loaded("zebra quail").input_ids
    assert loaded("zebra").input_ids == tokenizer("zebra").input_ids
    assert tokenizer.unk_token_id not in tokenizer("Zebra QUAIL").input_ids


def test_t5_tokenizer_has_words_as_they_are_written_and_in_lower_case() -> None:
    tokenizer = t5_tokenizer(["A Red house in \u00c9vry", "the house"])
    for text in ("Red", "red", "house", "\u00c9vry", "\u00e9vry"):
        assert len(tokenizer(text).input_ids) == 2
    assert tokenizer.unk_token_id not in tokenizer("RED House, v\u00c9ry").input_ids


def test_text_encoders_learn_to_read() -> None:
    torch.manual_seed(0)
    clip, t5 = clip_tokenizer(CAPTIONS, max_length=24), t5_tokenizer(CAPTIONS)
    clip_model = CLIPTextModelWithProjection(
        CLIPTextConfig(
            vocab_size=len(clip), hidden_size=32, intermediate_size=64, projection_dim=32, num_hidden_layers=1,
            num_attention_heads=2, max_position_embeddings=24, bos_token_id=clip.bos_token_id,
            eos_token_id=clip.eos_token_id, pad_token_id=clip.pad_token_id,
        )
    )  # fmt: skip
    t5_model = T5EncoderModel(
        T5Config(
            vocab_size=len(t5),
            d_model=32,
            d_ff=64,
            d_kv=16,
            num_layers=1,
            num_heads=2,
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
        )
    )
    assert learn_words(pooled(clip, clip_model), clip_model, CAPTIONS, steps=120, batch=64) > 0.8
    assert learn_words(pooled(t5, t5_model), t5_model, CAPTIONS, steps=120, batch=64) > 0.8
    alone, beside = (
        pooled(t5, t5_model)(texts)[0] for texts in (["a red boat"], ["a red boat", "by the lake at noon"])
    )
    torch.testing.assert_close(alone, beside)  # padding is not read


class Largest(TorchDispatchMode):
    """How many elements the largest tensor has that is made meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, function: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        made = function(*given, **(named or {}))
        if isinstance(made, Tensor):
            self.elements = max(self.elements, made.numel())
        return made


def test_what_it_takes_to_learn_to_read_does_not_grow_with_captions_times_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    captions = [f"word{i}" for i in range(2000)]
    table = torch.nn.Embedding(3000, 8)

    def pool(texts: list[str]) -> Tensor:
        return table(torch.tensor([len(text) for text in texts]))

    with Largest() as largest:
        learn_words(pool, table, captions, steps=2, batch=4)
    assert largest.elements <= 3000 * 8
    assert "learns to read" in capsys.readouterr().err


def test_an_autoencoder_learns_and_its_latents_have_unit_variance() -> None:
    sys.path.append(SCRIPTS)
    from small_networks import train_kl

    torch.manual_seed(0)
    stream = images(32)
    vae = AutoencoderKL(
        block_out_channels=(16, 16), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, layers_per_block=1, norm_num_groups=8, sample_size=32,
    )  # fmt: skip
    losses = list(train_kl(vae, stream, steps=60))
    assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:10])
    latents = (vae.encode(next(stream)).latent_dist.mean * vae.config.scaling_factor).detach()
    assert 0.7 < float(latents.std()) < 1.3


def test_tokens_are_trained_by_the_commands_that_a_user_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, SCRIPTS])
    from small_tokens import train_tokens
    from untrained import teach_readers

    teach_readers(tmp_path, CAPTIONS, steps=1)
    shown = np.stack([np.asarray(World(0).needle(i).render()) for i in range(20)])
    train_tokens(tmp_path, shown, steps=1)
    made = VQModel.from_pretrained(tmp_path / "vq")
    tokens = made.quantize(made.encode(torch.rand(2, 3, 32, 32)).latents)[2][2].reshape(2, 8, 8)
    assert made.decode(tokens, force_not_quantize=True, shape=(2, 8, 8, 8)).sample.shape == (2, 3, 32, 32)

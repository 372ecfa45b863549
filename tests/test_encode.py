import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import pipelines
from emu import models
from emu.data import CuratedData
from emu.errors import UserError
from emu.module import TextToImageModule
from emu.storage.cache import Cache
from emu.training.encode import encode
from needles import make_folder

CLASSES: dict[str, type[TextToImageModule]] = {
    "latent": models.LatentDiffusion,
    "latent_xl": models.LatentDiffusionXL,
    "pixel": models.PixelDiffusion,
    "muse": models.Muse,
    "flow": models.FlowMatching,
}
SIZES = [(32, 32)] * 5 + [(64, 16)] * 2


@pytest.fixture(scope="module", params=CLASSES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TextToImageModule:
    folder = tmp_path_factory.mktemp(request.param)
    pipelines.build(request.param).save_pretrained(folder)
    module = CLASSES[request.param](str(folder))
    module.configure_model()
    return module


def curated(root: Path, **kw: Any) -> CuratedData:
    return CuratedData(str(root), resolution=32, bucket_step=16, batch_size=3, num_workers=0, held_out=1, **kw)


def batches(data: CuratedData) -> Iterator[dict[str, Any]]:
    data.setup("fit")
    yield from data.train_dataloader()
    yield from data.val_dataloader()[0]


def test_training_from_the_cache_is_training_without_it_to_the_bit(model: TextToImageModule, tmp_path: Path) -> None:
    root = make_folder(tmp_path, SIZES)
    folder = encode(model, curated(root), tmp_path / "cache")
    cached = curated(root, cache=str(tmp_path / "cache"))
    assert folder == tmp_path / "cache" / model.fingerprint()
    assert cached.cache_fingerprint == model.fingerprint()
    compared = list(zip(batches(curated(root)), batches(cached), strict=True))
    assert len(compared) >= 3
    for plain, served in compared:
        for key in ("text", "name"):
            assert plain[key] == served[key]
        for key in ("size", "weight"):
            assert torch.equal(plain[key], served[key])
        with torch.no_grad():  # one by one: see encode.py of what a batch does to the last bits
            x = torch.cat([model.encode_images(image[None]) for image in plain["image"]])
            conds = [model.encode_prompts([text]) for text in plain["text"]]
        cond = {name: torch.cat([one[name] for one in conds]) for name in conds[0]}
        assert x.dtype == served["x"].dtype
        assert cond.keys() == served["cond"].keys()
        losses = []
        for seen in ({"x": x, "cond": cond}, served):
            torch.manual_seed(0)
            losses.append(model.loss(seen["x"], {**seen["cond"], "size": plain["size"]}))
        assert torch.equal(*losses)


class Slow:
    """An encoder with nothing to load: halves pictures, counts letters, notes its work and takes its time over it."""

    device = torch.device("cpu")

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.pictures = 0
        self.prompts: list[str] = []

    def configure_model(self) -> None: ...

    def fingerprint(self) -> str:
        return "slow"

    def encode_images(self, images: Tensor) -> Tensor:
        time.sleep(self.seconds)
        self.pictures += len(images)
        return images / 2

    def encode_prompts(self, prompts: list[str]) -> dict[str, Tensor]:
        self.prompts += prompts
        return {"prompt_embeds": torch.tensor([[float(len(prompt))] for prompt in prompts])}

    encode_negatives = encode_prompts


def contents(folder: Path) -> dict[str, list[Any]]:
    cache = Cache(folder)
    keys = cache.keys()
    return {key: [(name, value.tolist()) for name, value in sorted(cache.get(key).items())] for key in keys}


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")  # CPython 3.12 on
def test_a_killed_run_is_taken_up_where_it_was(tmp_path: Path) -> None:
    root = make_folder(tmp_path, [(32, 32)] * 40)
    folder = tmp_path / "cache" / "slow"

    def work() -> None:
        encode(Slow(seconds=0.02), curated(root), tmp_path / "cache", flush_seconds=0.0)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    while process.is_alive() and len(list(folder.glob("shard-*.safetensors"))) < 5:
        time.sleep(0.005)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    done = len(Cache(folder).keys())
    assert 5 <= done < 40

    second = Slow()
    encode(second, curated(root), tmp_path / "cache")
    assert second.pictures == 40 - done
    third = Slow()
    encode(third, curated(root), tmp_path / "cache")
    assert (third.pictures, third.prompts) == (0, [])
    encode(Slow(), curated(root), tmp_path / "unbroken")
    assert contents(folder) == contents(tmp_path / "unbroken" / "slow")


def test_ranks_share_the_work_without_doubles(tmp_path: Path) -> None:
    root = make_folder(tmp_path, SIZES)
    ranks = [Slow() for _ in range(3)]
    for rank, model in enumerate(ranks):
        encode(model, curated(root), tmp_path / "shared", rank=rank, world=3)
    alone = Slow()
    encode(alone, curated(root), tmp_path / "alone")
    assert [model.pictures for model in ranks] == [3, 2, 2]
    assert sorted(prompt for model in ranks for prompt in model.prompts) == sorted(alone.prompts)
    assert sorted(alone.prompts) == ["", *(f"number {i}" for i in range(7))]
    assert contents(tmp_path / "shared" / "slow") == contents(tmp_path / "alone" / "slow")


def test_what_the_cache_lacks_is_named(tmp_path: Path) -> None:
    root = make_folder(tmp_path, SIZES)
    encode(Slow(), curated(root), tmp_path / "cache", rank=0, world=2)
    data = curated(root, cache=str(tmp_path / "cache"))
    data.setup("fit")
    with pytest.raises(UserError, match=r"lacks \d, first \d.png; run `emu encode`") as error:
        data.train_dataloader()
    assert "\n" not in str(error.value)


def test_another_bucket_is_another_picture(tmp_path: Path) -> None:
    root = make_folder(tmp_path, SIZES)
    encode(Slow(), curated(root), tmp_path / "cache")
    model = Slow()
    encode(model, curated(root, aspect_ratios=False), tmp_path / "cache")
    assert model.pictures == 2  # those that were in the wide bucket
    assert model.prompts == []


def test_one_of_several_caches_is_to_be_named(tmp_path: Path) -> None:
    root = make_folder(tmp_path, SIZES)
    folder = encode(Slow(), curated(root), tmp_path / "cache")
    Cache(tmp_path / "cache" / "other").put_many({"key": {"x": torch.zeros(1)}})
    with pytest.raises(UserError, match=r"caches of several encoders \(other, slow\)"):
        _ = curated(root, cache=str(tmp_path / "cache")).cache_fingerprint
    assert curated(root, cache=str(folder)).cache_fingerprint == "slow"


@pytest.mark.parametrize("max_bad", [0, 1])
def test_a_picture_that_cannot_be_decoded_weighs_nothing_from_the_cache_too(tmp_path: Path, max_bad: int) -> None:
    root = make_folder(tmp_path, [(32, 32)] * 6)
    (root / "3.png").write_bytes((root / "3.png").read_bytes()[:200])
    if not max_bad:
        with pytest.raises(UserError, match="data.max_bad allows 0: 3.png"):
            encode(Slow(), curated(root), tmp_path / "cache")
        return
    encode(Slow(), curated(root, max_bad=1), tmp_path / "cache")
    plain, cached = curated(root, max_bad=1), curated(root, max_bad=1, cache=str(tmp_path / "cache"))
    for one, other in zip(batches(plain), batches(cached), strict=True):
        assert torch.equal(one["weight"], other["weight"])
        assert torch.equal(one["image"] / 2, other["x"])


def test_an_encoding_that_is_not_finite_is_named_and_not_cached(tmp_path: Path) -> None:
    class Overflowing(Slow):
        def encode_images(self, images: Tensor) -> Tensor:
            return images / 0

    root = make_folder(tmp_path, SIZES)
    with pytest.raises(UserError, match=r"\.\w+: the encoder made numbers that are not finite"):
        encode(Overflowing(), curated(root), tmp_path / "cache")
    assert not list(Cache(tmp_path / "cache" / "slow").keys())

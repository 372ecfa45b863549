import itertools
import json
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from emu.data import CuratedData
from emu.errors import UserError
from needles import make_folder

SHARED = Path(__file__).parents[3] / "shared" / "data"
SIZES = [(16, 16)] * 9 + [(40, 10)] * 4 + [(10, 41)] * 3


def curated(root: Path, **kw: Any) -> CuratedData:
    kw = {"resolution": 32, "bucket_step": 16, "batch_size": 4, "num_workers": 0, **kw}
    return CuratedData(str(root), **kw)


def ready(root: Path, **kw: Any) -> CuratedData:
    data = curated(root, **kw)
    data.setup("fit")
    return data


def names(loader: Any) -> list[str]:
    return [name for batch in loader for name in batch["name"]]


class Diary(L.LightningModule):
    """Trains one number, and notes what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[int, list[str], list[str]]] = []

    def training_step(self, batch: dict[str, Any], index: int) -> torch.Tensor:
        self.seen.append((self.current_epoch, batch["name"], batch["text"]))
        return self.weight * batch["image"].mean()

    def validation_step(self, batch: dict[str, Any], index: int, dataloader_idx: int = 0) -> None:
        self.seen.append((dataloader_idx, batch.get("name", batch.get("prompt")), []))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class KeepAll(L.Callback):
    """A checkpoint after every step and every epoch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        trainer.save_checkpoint(self.folder / f"step-{trainer.global_step}.ckpt")

    def on_train_epoch_end(self, trainer: L.Trainer, *args: Any) -> None:
        trainer.save_checkpoint(self.folder / f"epoch-{trainer.current_epoch}.ckpt")


def fit(data: CuratedData, folder: Path, *, steps: int, resume: Path | None = None) -> Diary:
    model = Diary()
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=steps,
        max_epochs=-1,
        logger=False,
        callbacks=[KeepAll(folder)],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    trainer.fit(model, datamodule=data, ckpt_path=resume, weights_only=True)
    return model


def test_a_batch_is_what_the_architecture_page_says(tmp_path: Path) -> None:
    for batch in ready(make_folder(tmp_path, SIZES)).train_dataloader():
        b, channels, height, width = batch["image"].shape
        assert channels == 3
        assert batch["image"].dtype == torch.float32
        assert -1 <= batch["image"].min() <= batch["image"].max() <= 1
        assert batch["size"].dtype == torch.int64
        assert batch["size"].shape == (b, 6)
        assert batch["size"][:, 4:].tolist() == [[height, width]] * b
        assert batch["weight"].tolist() == [1.0] * b
        assert batch["weight"].dtype == torch.float32
        assert len(batch["text"]) == len(batch["name"]) == b
        assert set(batch) == {"image", "size", "weight", "noise_seed", "text", "name"}


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")  # CPython 3.12 on
def test_every_picture_once_an_epoch_and_in_another_order(tmp_path: Path, num_workers: int) -> None:
    loader = ready(make_folder(tmp_path, SIZES), num_workers=num_workers).train_dataloader()
    first, second = names(loader), names(loader)
    assert sorted(first) == sorted(second) == sorted(f"{i}.png" for i in range(len(SIZES)))
    assert first != second


def test_one_square_where_aspect_ratios_are_off(tmp_path: Path) -> None:
    data = ready(make_folder(tmp_path, SIZES), aspect_ratios=False, resolution=24)
    assert {batch["image"].shape[2:] for batch in data.train_dataloader()} == {(24, 24)}


def test_held_out_pictures_are_not_trained_on(tmp_path: Path) -> None:
    root = make_folder(tmp_path, SIZES)
    data = ready(root, held_out=5)
    (held_out,) = data.val_dataloader()
    assert len(names(held_out)) == 5
    assert names(held_out) == names(held_out) == names(ready(root, held_out=5).val_dataloader()[0])
    assert sorted(names(held_out) + names(data.train_dataloader())) == sorted(f"{i}.png" for i in range(len(SIZES)))
    assert sorted(data.captions()) == sorted(f"number {i}" for i in range(len(SIZES)))


def test_so_many_pictures_are_trained_on_as_are_asked_for(tmp_path: Path) -> None:
    root = make_folder(tmp_path, SIZES)
    few, more, all_of_them = (ready(root, held_out=5, num_pictures=number) for number in (3, 7, 0))
    chosen = [set(names(data.train_dataloader())) for data in (few, more, all_of_them)]
    assert [len(one) for one in chosen] == [3, 7, len(SIZES) - 5]
    assert chosen[0] < chosen[1] < chosen[2]
    assert all(names(data.val_dataloader()[0]) == names(few.val_dataloader()[0]) for data in (more, all_of_them))
    assert "8 of 16 used, 5 held out" in few.describe()
    assert chosen[0] != set(names(ready(root, held_out=5, num_pictures=3, seed=1).train_dataloader()))


def test_captions_of_held_out_pictures_are_whole(tmp_path: Path) -> None:
    data = ready(make_folder(tmp_path, SIZES), held_out=5, caption_dropout=1.0)
    assert {text for batch in data.train_dataloader() for text in batch["text"]} == {""}
    assert all(text.startswith("number") for batch in data.val_dataloader()[0] for text in batch["text"])


def test_what_is_used_is_said(tmp_path: Path) -> None:
    data = ready(make_folder(tmp_path, SIZES), held_out=2)
    head, *lines = data.describe().splitlines()
    assert "16 of 16 used, 2 held out" in head
    rows = [line for line in lines if " x " in line]
    assert sum(int(row.split()[3]) for row in rows) == 14
    assert sum(int(row.split()[5]) for row in rows) == len(data.train_dataloader())


def test_a_resumed_run_sees_what_an_unbroken_one_sees(tmp_path: Path) -> None:
    root = make_folder(tmp_path, SIZES)
    steps = 11  # two epochs of five, and one more
    whole = fit(curated(root, caption_dropout=0.5), tmp_path / "whole", steps=steps).seen
    for kept, done in [("step-1", 1), ("step-3", 3), ("step-5", 5), ("epoch-0", 5), ("step-6", 6), ("epoch-1", 10)]:
        checkpoint = tmp_path / "whole" / f"{kept}.ckpt"
        rest = fit(curated(root, caption_dropout=0.5), tmp_path / kept, steps=steps, resume=checkpoint).seen
        assert [shown for _, *shown in rest] == [shown for _, *shown in whole[done:]], kept
    for epoch in (whole[:5], whole[5:10]):
        assert sorted(name for _, shown, _ in epoch for name in shown) == sorted(f"{i}.png" for i in range(len(SIZES)))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")  # CPython 3.12 on
def test_a_resumed_run_keeps_its_place_though_workers_read_ahead(tmp_path: Path) -> None:
    loader = ready(make_folder(tmp_path, SIZES), num_workers=2).train_dataloader()
    seen = names(itertools.islice(loader, 2))
    again = ready(tmp_path / "needles", num_workers=0).train_dataloader()
    again.load_state_dict(loader.state_dict())
    assert sorted(seen + names(again)) == sorted(f"{i}.png" for i in range(len(SIZES)))


def test_a_place_under_another_plan_is_worth_nothing(tmp_path: Path) -> None:
    root = make_folder(tmp_path, SIZES)
    loader = ready(root).train_dataloader()
    list(itertools.islice(loader, 2))
    other = ready(root, batch_size=2).train_dataloader()
    with pytest.warns(UserWarning, match=r"other number of pictures a step: its epoch begins anew"):
        other.load_state_dict(loader.state_dict())
    assert len(names(other)) == len(SIZES)


class Report(L.Callback):
    """Each process leaves its diary in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, Diary)
        (self.folder / f"{trainer.global_rank}.json").write_text(json.dumps(pl_module.seen))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")  # CPython 3.12 on
def test_two_processes_of_lightning_share_an_epoch(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a\nb\nc\n")
    prompts = {"prompts": str(tmp_path / "prompts.txt"), "sample_batch_size": 1}
    trainer = L.Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp_fork",
        max_epochs=1,
        logger=False,
        callbacks=[Report(tmp_path)],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(Diary(), datamodule=curated(make_folder(tmp_path, SIZES), held_out=3, **prompts))
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert len(ranks[0]) == len(ranks[1])
    seen = [name for diary in ranks for _, shown, texts in diary if texts for name in shown]
    shared = {name for name in seen if seen.count(name) > 1}
    assert len(set(seen)) == 13
    assert len(shared) <= 3  # fillers, at most one in the last batch of each bucket


def test_prompts_come_after_the_held_out_pictures(tmp_path: Path) -> None:
    root = make_folder(tmp_path, SIZES)
    (tmp_path / "prompts.txt").write_text("a cat\na dog\n")
    data = curated(root, held_out=4, prompts=str(tmp_path / "prompts.txt"), sample_batch_size=1)
    model = Diary()
    L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False).validate(model, data, verbose=False)
    assert [what for which, what, _ in model.seen if which == 1] == [["a cat"], ["a dog"]]
    assert sum(len(what) for which, what, _ in model.seen if which == 0) == 4


def spoil(root: Path, number: int, *, header: bool) -> None:
    """Cut a picture short: within its header, or behind it, where only decoding can find out."""
    file = root / f"{number}.png"
    file.write_bytes(file.read_bytes()[: 10 if header else 200])


def test_bad_pictures_are_named_and_refused(tmp_path: Path) -> None:
    root = make_folder(tmp_path, SIZES)
    spoil(root, 3, header=True)
    with pytest.raises(UserError, match=r"1 bad, data.max_bad allows 0: 3.png: not a picture") as error:
        curated(root).setup("fit")
    assert "\n" not in str(error.value)


def test_bad_pictures_within_the_limit_are_named_and_skipped(tmp_path: Path) -> None:
    root = make_folder(tmp_path, SIZES)
    spoil(root, 3, header=True)
    data = curated(root, max_bad=1)
    with pytest.warns(UserWarning, match="skipped, within data.max_bad 1: 3.png: not a picture"):
        data.setup("fit")
    assert "15 of 16 used" in data.describe()
    assert len(names(data.train_dataloader())) == 15


def test_many_bad_pictures_are_one_line(tmp_path: Path) -> None:
    root = make_folder(tmp_path, SIZES)
    for number in range(10):
        spoil(root, number, header=True)
    with pytest.raises(UserError, match="10 bad, .* and 5 more") as error:
        curated(root, max_bad=9).setup("fit")
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")  # CPython 3.12 on
@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_file_that_fails_only_when_decoded(
    tmp_path: Path, num_workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folder(tmp_path, [(32, 32)] * 6)
    spoil(root, 3, header=False)
    loader = ready(root, max_bad=1, num_workers=num_workers).train_dataloader()
    weights = [
        dict(zip(batch["name"], batch["weight"].tolist(), strict=True)) for batch in itertools.chain(loader, loader)
    ]
    assert [batch["3.png"] for batch in weights if "3.png" in batch] == [0.0, 0.0]
    assert sum(sum(batch.values()) for batch in weights) == 10
    assert caplog.text.count("3.png") == 1  # not again each epoch


def test_a_file_that_fails_only_when_decoded_counts_as_bad(tmp_path: Path) -> None:
    root = make_folder(tmp_path, [(32, 32)] * 6)
    spoil(root, 3, header=False)
    with pytest.raises(UserError, match=r"data.max_bad allows 0: 3.png") as error:
        list(ready(root).train_dataloader())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("kw", "message"),
    [
        ({"resolution": 40}, "data.resolution 40: not a multiple of data.bucket_step 16"),
        ({"caption_dropout": 1.5}, "data.caption_dropout 1.5"),
        ({"held_out": 16}, r"16 pictures, none left to train on beside data.held_out 16"),
        (
            {"held_out": 9, "num_pictures": 8},
            "16 pictures, fewer than data.num_pictures 8 and data.held_out 9",
        ),
        ({"held_out": -1}, "data.held_out -1: give 0 or more"),
        ({"batch_size": 0}, "data.batch_size 0: give 1 or more"),
        ({"max_pixels": 100, "max_bad": 16}, "holds no picture"),
        ({"prompts": "nowhere.txt"}, "nowhere.txt: no such prompt file; give one of .txt"),
        ({"prompts": "runs/demo/nothing.jsonl"}, "nothing.jsonl: no such prompt file; emu demo makes it; or name your"),
        ({"cache": "nowhere"}, "data.cache nowhere: no cache there; run `emu encode`"),
    ],
)
@pytest.mark.filterwarnings("ignore:data.root .* skipped")
def test_what_cannot_be_is_one_line(tmp_path: Path, kw: dict[str, Any], message: str) -> None:
    root = make_folder(tmp_path, SIZES)
    with pytest.raises(UserError, match=message) as error:
        ready(root, **kw).train_dataloader()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name", ["captions.jsonl", "labels.csv", "data.tsv", "captions.txt", "metadata.json", "all.caption"]
)
def test_captions_that_are_missing_have_the_files_named_in_which_they_may_be(tmp_path: Path, name: str) -> None:
    root = make_folder(tmp_path, SIZES[:2])
    (root / "metadata.jsonl").unlink()

    def said(folder: Path) -> str:
        with pytest.raises(UserError, match=r"2 bad, .*no caption beside it") as error:
            curated(folder).setup("fit")
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "not read" not in said(root)
    for folder in (root, tmp_path):  # beside the pictures, and beside their folder
        (folder / name).write_text("file_name,text\n")
        assert f"captions of many pictures are read from metadata.jsonl or .csv; not read: {name}: " in said(folder)
        (folder / name).unlink()


def test_an_empty_metadata_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "gone.png", "text": "a"}) + "\n")
    with pytest.raises(UserError, match=r"1 bad, data.max_bad allows 0: metadata.jsonl line 1: no such file"):
        curated(tmp_path).setup("fit")
    (tmp_path / "metadata.jsonl").write_text("")
    with pytest.raises(UserError, match="holds no picture"):
        curated(tmp_path).setup("fit")


@pytest.mark.skipif(not SHARED.exists(), reason="the real pictures are not beside the checkout")
def test_real_tars_are_used_to_the_last_picture() -> None:
    needles = ready(SHARED / "emoji-needles.tar", held_out=101)
    assert "1,101 of 1,101 used, 101 held out" in needles.describe()
    messy = ready(SHARED / "clipart-raw.tar", resolution=64)
    assert "1,879 of 1,879 used" in messy.describe()
    assert len({picture.bucket for picture in messy.train_pictures}) > 3

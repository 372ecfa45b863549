"""Which arms of a study share what the frozen encoders make."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from emu.data import CuratedData
from emu.data.keys import picture_key
from emu.data.options import ENCODED_ALIKE, Options
from emu.study.plan import Study
from emu.study.processes import Job
from emu.study.run import _encodes
from sets import picture, write

OTHERWISE = {"cache": "runs/cache", "caption_dropout": 0.5, "held_out": 4, "num_pictures": 0, "seed": 7}


def encodings(*arms: dict[str, Any]) -> list[Job]:
    return _encodes(Study("latent/tiny", {str(i): arm for i, arm in enumerate(arms)}, cache=True), Path("out"))


@pytest.mark.parametrize("key", [field.name for field in fields(Options) if field.name not in ENCODED_ALIKE])
def test_arms_that_differ_in_what_is_encoded_have_encodings_of_their_own(key: str) -> None:
    assert len(encodings({f"data.{key}": "this"}, {f"data.{key}": "that"}, {f"data.{key}": "this"})) == 2


@pytest.mark.parametrize("key", ["data", "data.root", "stages", "config", "c"])
def test_so_have_those_of_other_sets_however_they_are_named(key: str) -> None:
    assert len(encodings({key: "this"}, {key: "that"}, {})) == 3


def test_arms_that_train_otherwise_share_one() -> None:
    arms: list[dict[str, Any]] = [{f"data.{key}": 1} for key in ENCODED_ALIKE]
    assert len(encodings(*arms, {"model.init_args.noise_offset": 0}, {"quality.max_steps": 3}, {})) == 1


def test_all_pictures_are_encoded_wherever_their_number_stands() -> None:
    (job,) = encodings({"data.num_pictures": 8}, {"data.num_pictures": 4})
    assert [flag for flag in job.args if "num_pictures" in flag][-1] == "--data.num_pictures=0"


@pytest.mark.parametrize("key", ENCODED_ALIKE)
def test_what_arms_may_share_leaves_what_is_encoded_as_it_is(key: str, tmp_path: Path) -> None:
    """The law that the list of `data.options` rests on."""

    sizes = [(64, 48), (48, 64), (64, 64)]
    pictures = {f"{i}.png": picture(i, size=sizes[i % 3]) for i in range(9)}
    captions = {f"{i}.txt": f"caption {i}\nand {i}" for i in range(9)}
    root = write(tmp_path / "set", {**pictures, **captions})
    write(tmp_path, {"prompts.txt": "a lamp\na tent\na duck --n a boat\n"})

    def encoded(**options: Any) -> tuple[set[str], set[Any]]:
        data = CuratedData(str(root), **{"resolution": 64, "prompts": str(tmp_path / "prompts.txt"), **options})
        data.setup("fit")
        pictures = data.train_pictures + data.held_out_pictures
        texts = {*data.captions(), *data.drawn_texts()}
        return {picture_key(picture.entry.open, picture.bucket) for picture in pictures}, texts

    assert encoded(**{key: OTHERWISE.get(key, 3)}) == encoded()

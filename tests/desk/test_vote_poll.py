"""A poll is of its pictures: it moves with them, and refuses others; its options are fixed but for the votes."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

pytest.importorskip("sqlalchemy", reason="the extra `desk` is not installed")

from emu.compare.reading import read_run
from emu.desk.database import Database
from emu.desk.pictures import Pictures, degrade, encode
from emu.desk.vote.drawing import CardPictures, foreign_to
from emu.desk.vote.poll import open_poll
from emu.errors import UserError
from emu.layouts import runs
from voters import make_poll, write_run


def test_a_run_folder_may_move_and_the_study_goes_on(tmp_path: Path) -> None:
    first = make_poll(write_run(tmp_path / "run"))
    first.database.close()
    shutil.move(tmp_path / "run", tmp_path / "moved")
    second = make_poll(tmp_path / "moved")
    assert second.secret == first.secret
    assert list(second.matches) == list(first.matches)
    second.database.close()


def test_pictures_drawn_again_are_another_study(tmp_path: Path) -> None:
    make_poll(write_run(tmp_path / "run")).database.close()
    write_run(tmp_path / "run", tuned=7)
    with pytest.raises(UserError, match="other pictures"):
        make_poll(tmp_path / "run")


def test_the_message_does_not_tell_the_databases_password(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/votes.sqlite")
    assert "***" in database.engine.url.set(password="hush", username="u").render_as_string()
    database.close()


def test_options_are_fixed_at_the_first_start_but_for_the_votes(tmp_path: Path) -> None:
    make_poll(write_run(tmp_path / "run"), checks=0.1, prompts=4).database.close()
    database = Database.in_file(tmp_path / "run" / "votes.sqlite")
    read = [read_run(tmp_path / "run")]
    poll = open_poll(database, read)
    assert (poll.options.checks, poll.options.prompts, poll.options.appeal, len(poll.matches)) == (0.1, 4, 5, 4)
    assert open_poll(database, read, appeal=7).options.appeal == 7
    assert open_poll(database, read).options.appeal == 7
    with pytest.raises(UserError, match="begun with 0.1"):
        open_poll(database, read, checks=0.2)
    database.close()


@pytest.mark.parametrize(
    "options", [{"checks": 0.6}, {"repeats": -0.1}, {"prompts": 0}, {"training": -1}, {"appeal": 0, "faithfulness": 0}]
)
def test_options_that_are_none(tmp_path: Path, options: dict[str, float]) -> None:
    with pytest.raises(UserError, match="--"):
        make_poll(write_run(tmp_path / "run"), **options)


def test_one_run_twice_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    shutil.copytree(run, tmp_path / "copy")
    with pytest.raises(UserError, match="same pictures"):
        make_poll(run, tmp_path / "copy")


def test_a_file_that_is_no_picture_is_told_before_voting(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    path = runs.step_folder(run, 20) / runs.picture_name(3)
    path.write_text("<svg/>")
    with pytest.raises(UserError, match="00003.png"):
        make_poll(run)


def test_prompts_are_spread_over_the_list(tmp_path: Path) -> None:
    poll = make_poll(write_run(tmp_path / "run", 9), prompts=3)
    assert [match.seed for match in poll.matches.values()] == [0, 3, 6]
    poll.database.close()


def test_a_foreign_picture_shares_the_fewest_words(tmp_path: Path) -> None:
    poll = make_poll(write_run(tmp_path / "run", prompts=["a red fox", "a red boat", "two green hills"]))
    found = {match.prompt: foreign_to(poll, match).prompt for match in poll.matches.values()}
    assert found["a red fox"] == found["a red boat"] == "two green hills"
    poll.database.close()


# Pictures.


def test_pixels_arrive_as_drawn_and_nothing_else_does() -> None:
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)), Image.new("RGB", (30, 40))]
    notes = PngInfo()
    notes.add_text("model", "tuned")
    tainted = io.BytesIO()
    pictures[0].save(tainted, "PNG", pnginfo=notes, dpi=(300, 300), exif=b"Exif\0\0tuned")
    with Image.open(tainted) as opened:
        opened.load()
        first, second = encode(opened, pictures[1])
    assert len(first) == len(second)
    assert len(first) % 4096 == 8 + 3 * 12 + 13  # pages of pixels in a file of signature, three chunks and a head
    for content, picture in zip((first, second), pictures, strict=True):
        with Image.open(io.BytesIO(content)) as read:
            read.load()
            assert (read.info, read.getexif()) == ({}, {})
            assert np.array_equal(np.asarray(read), np.asarray(picture))
        assert b"tuned" not in content


def test_a_spoiled_copy_is_plainly_worse() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    spoiled = degrade(picture)
    assert spoiled.size == picture.size
    assert np.asarray(spoiled).std() < 0.25 * np.asarray(picture).std()
    assert degrade(Image.new("RGB", (3, 200))).size == (3, 200)


def test_pictures_are_made_once_and_memory_is_bounded() -> None:
    made = []

    def make(key: object) -> tuple[Image.Image, Image.Image]:
        made.append(key)
        return (Image.new("RGB", (8, 8)),) * 2

    one = sum(map(len, encode(*make(0))))
    made.clear()
    pictures = Pictures(make, kept=3 * one)
    for key in (1, 1, 2, 3, 1, 4, 1, 2):
        pictures.sides(key)
    assert made == [1, 2, 3, 4, 2]


def test_swapped_cards_show_swapped_pictures(tmp_path: Path) -> None:
    from dataclasses import dataclass

    @dataclass
    class Shown:
        kind: str
        pair: str
        swapped: bool

    poll = make_poll(write_run(tmp_path / "run"))
    pictures, key = CardPictures(poll), next(iter(poll.matches))
    one, other = (pictures.sides(Shown("match", key, swapped)) for swapped in (False, True))  # type: ignore[arg-type]
    assert one == other[::-1]
    again = pictures.sides(Shown("repeat", key, False))  # type: ignore[arg-type]
    assert again[0] is one[0]
    same = pictures.sides(Shown("identical", key, False))  # type: ignore[arg-type]
    assert same[0] == same[1]
    poll.database.close()

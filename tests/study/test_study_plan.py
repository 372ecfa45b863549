"""What is mistyped in a study is answered before anything runs, in one line."""

from pathlib import Path

import pytest
import yaml

from emu.errors import UserError
from emu.study.plan import Study, find

CONFIGS = Path(__file__).parents[2] / "configs"
BUNDLED = ("bar", "card", "length", "needles", "noise-offset", "overfit")
GOOD = {"base": "latent/tiny", "arms": {"few": {"data.num_pictures": 10}, "all": {}}, "reference": "all"}


def read(folder: Path, **changes: object) -> Study:
    """GOOD with these keys changed, written and read; None leaves a key out."""
    document = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    (folder / "study.yaml").write_text(yaml.safe_dump(document))
    return Study.read(str(folder / "study.yaml"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"arms": {"few": {"data.num_picture": 10}}}, "arm few: unknown flag --data.num_picture; did you mean"),
        ({"arms": {"few": {"quality.patiense": 1}}}, "did you mean --quality.patience?"),
        ({"set": {"data.rot": "x"}}, "did you mean --data.root?"),
        ({"base": "latent/tinny"}, "did you mean latent/tiny?"),
        ({"arm": {}}, "unknown key arm; did you mean arms?"),
        ({"arms": None}, "names no arms"),
        ({"base": None}, "names no base"),
        ({"arms": {"few": 10}}, "arms.few is a mapping"),
        ({"arms": ["few"]}, "arms is a mapping"),
        ({"arms": {"../few": {}}, "reference": None}, "names a folder"),
        ({"reference": "al"}, "reference al is no arm; did you mean all?"),
        ({"seeds": 3}, "give a list of whole numbers"),
        ({"seeds": []}, "give a list of whole numbers"),
        ({"seeds": [0, "a"]}, "give a list of whole numbers"),
        ({"seeds": [0, 1, 0]}, "one stands there twice"),
    ],
)
def test_what_is_mistyped_is_one_line(tmp_path: Path, changes: dict[str, object], says: str) -> None:
    with pytest.raises(UserError) as told:
        read(tmp_path, **changes)
    assert says in str(told.value)
    assert "\n" not in str(told.value)


def test_noise_offset_is_refused_for_a_masked_transformer() -> None:
    with pytest.raises(UserError, match="arm 0: unknown flag --model.init_args.noise_offset"):
        Study.read("noise-offset", base="muse/tiny")


def test_an_unknown_study_names_those_there_are() -> None:
    with pytest.raises(UserError, match=", ".join(BUNDLED)):
        Study.read("neddles")


def test_an_arm_overrides_what_all_have_and_the_command_what_all_have(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**GOOD, "set": {"data.num_pictures": 5, "data.held_out": 4}}))
    study = Study.read(str(path), base="muse/tiny", seeds=[7], settings={"data.held_out": "3"})
    flags = study.flags("few", 7)
    assert flags[:4] == ["-c", "muse/tiny", "--seed_everything=7", "--data.seed=7"]
    assert sorted(flags[4:]) == ["--data.held_out=3", "--data.num_pictures=10"]
    assert sorted(study.flags("all", 7)[4:]) == ["--data.held_out=3", "--data.num_pictures=5"]


@pytest.mark.parametrize(
    ("value", "word"), [(True, "true"), (None, "null"), (0, "0"), (1e-3, "0.001"), ("{world}/a", "{world}/a")]
)
def test_values_become_the_words_of_flags(tmp_path: Path, value: object, word: str) -> None:
    study = read(tmp_path, arms={"all": {"data.aspect_ratios": value}})
    assert study.flags("all", 0)[-1] == f"--data.aspect_ratios={word}"


def test_mappings_and_lists_come_back_from_a_flag_as_they_were(tmp_path: Path) -> None:
    sampler = {"num_inference_steps": 10, "names": ["a", "b"]}
    study = read(tmp_path, arms={"all": {"model.init_args.sampler": sampler}})
    assert yaml.safe_load(study.flags("all", 0)[-1].partition("=")[2]) == sampler


def test_the_bundled_studies_are_those_that_are_named() -> None:
    assert sorted(path.stem for path in (CONFIGS / "studies").glob("*.yaml")) == sorted(BUNDLED)


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_study_is_a_document_that_reads(name: str) -> None:
    study = Study.read(name)
    lines = find(name).read_text().splitlines()
    assert study.question
    assert f"#   emu study {name} --out" in "\n".join(lines)
    assert len(lines) < 40
    assert max(map(len, lines)) <= 120

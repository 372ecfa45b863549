"""Whatever a file holds that emu reads, it is taken or refused in one line: no other exception leaves a reader."""

import io
import json
import random
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

import mutations
from emu import flags
from emu.checkpoints import sums_of, verify
from emu.checkpoints.durable import write
from emu.compare.people import match_key, read_people
from emu.compare.recipe import recipe
from emu.curate import ledger
from emu.curate.config import Funnel
from emu.curate.decide import column
from emu.curate.folder import read_curated
from emu.data.prompts import load_prompts
from emu.data.sources import Fault, read_source
from emu.desk.review.plan import read_plan
from emu.errors import UserError
from emu.judges.head import Head, read_head, write_head
from emu.layouts import runs
from emu.layouts.curated_folder import MANIFEST
from emu.layouts.review_json import read_review
from emu.models.loading import from_config, read_checkpoint, read_config
from emu.pipeline_folders import folders
from emu.quality.stopping import StopRule
from emu.storage import documents
from emu.storage.cache import Cache
from emu.storage.files import write_json
from emu.study.plan import Study
from emu.study.processes import Job
from emu.study.scored import read_scored
from emu.taste.decisions import decisions
from emu.training import same_set
from emu.training.resume import changed, finished
from needles import make_folder

CARD = {"name": "eye", "tie": 0.1}
RATE = {"n": 2, "win": 50.0, "tie": 0.0, "lose": 50.0, "ci95": [10.0, 90.0]}
FOUND = {
    "guard": "drift", "sentence": "x", "state": "held", "value": 1.0, "ci95": [0.5, 1.5], "threshold": 2.0, "unit": "%",
    "parts": [],
}  # fmt: skip
CHECK = {
    "step": 20, "appeal": RATE, "faithfulness": RATE, "faithfulness_net": {"net": 0.0, "ci95": [-1.0, 1.0]},
    "held_out_ratio": 1.0, "guards": [FOUND],
}  # fmt: skip
QUALITY = {
    "name": "a", "model": "Muse", "best_step": 20, "stop_reason": "step 20", "checks": [CHECK],
    "judges": {"appeal": CARD, "faithfulness": CARD}, "headline": {"appeal": "appeal"},
}  # fmt: skip
CONFIG = {
    "seed_everything": 0,
    "trainer": {"max_steps": 10},
    "model": {"class_path": "emu.models.LatentDiffusion", "init_args": {"pretrained": "x", "sampler": {"a": 1}}},
    "data": {"root": "x", "resolution": 32},
    "quality": {"batch": 4},
}
FUNNEL = {
    "data": {"columns": {"license": "string"}},
    "stages": [
        {"class_path": "emu.curate.stages.Readable", "init_args": {"max_bytes": 1000}},
        {"class_path": "emu.curate.stages.Shape", "at_least": {"short_side": 1}, "at_most": {"aspect": 2}},
    ],
}
COUNT = {"stage": "readable", "came": 1, "dropped": 0, "failed": 0, "stays": 1}
NOTES = {"budget": {"x": 1}}
FOOTER = {"config": "c", "source": "s", "document": FUNNEL, "stages": [COUNT], "notes": NOTES, "schema": 2}
LOOKED = {"file": "0.png", "kept": True, "votes": {"wide": {"keep": 1, "reject": 0}}}
REVIEW = {
    "pictures": [LOOKED], "guideline": {"text": "x"},
    "passes": [{"name": "wide", "rule": "any", "pictures": 1, "reasons": {"dull": 1}, "alpha": 0.5}],
    "raters": [{"rater": 1, "pass": "wide", "looked": 1, "kept": 1, "seconds": 2.0}],
}  # fmt: skip
TALLY = {"majority": RATE, "pooled": RATE, "alpha": 0.5}

GREY = np.full((8, 8, 3), 128, dtype=np.uint8)  # black alone is no picture


def png(pixels: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


GREY_SUM = sha256(png(GREY)).hexdigest()
KEY = match_key("p 0", 0, [GREY_SUM, GREY_SUM])
VOTES = {
    "questions": {name: {"kept": TALLY, "all": TALLY} for name in ("appeal", "faithfulness")},
    "raters": [{"question": "appeal", "votes": 1, "kept": True}],
    "pairs": [{"prompt": "p 0", "seed": 0, "key": KEY, "appeal": {"after": 1, "tie": 0, "before": 0}}],
}
STUDY = {"base": "latent/tiny", "arms": {"a": {"quality.max_steps": 1}, "b": {}}, "seeds": [0], "reference": "a"}
PLAN = {"passes": [{"name": "wide", "page": "grid", "votes": 1, "reasons": ["dull"]}]}
SAMPLES = [{"file": f"{i}.png", "prompt": f"p {i}", "seed": i, "index": i, "sampler": {"a": 1}} for i in range(2)]
RULE = StopRule(patience=2, margin=2.0, min_steps=0, max_steps=40)

Reader = Callable[[Path], Any]  # a folder -> what is read there


def document(name: str, value: Any, read: Reader) -> tuple[str, bytes, Reader]:
    lines = value if isinstance(value, list) else [value]
    return name, ("\n".join(map(json.dumps, lines)) + "\n").encode(), read


def run_with(step: int = 20) -> Reader:
    """A run of two steps whose file is read with all that belongs to it."""

    def read(folder: Path) -> None:
        for at in (0, step):
            where = runs.step_folder(folder, at)
            if not (where / runs.SAMPLES).exists():
                runs.write_samples(where, SAMPLES)
            if not (where / runs.SCORES).exists():
                runs.write_scores(where, {row["file"]: {"appeal": 0.1, "faithfulness": 1.0} for row in SAMPLES})
            for row in SAMPLES:
                runs.save_picture(where / row["file"], GREY)
        read_scored(folder)

    return read


def compared(folder: Path) -> None:
    from emu.compare import compare

    if not (folder / runs.QUALITY).exists():
        write_json(folder / runs.QUALITY, QUALITY)
    run_with()(folder)
    compare([folder], out=folder / "page" / "report.html")


def config_of(run: Path) -> None:
    recipe(runs.read_config(run) or {})
    changed(run, CONFIG)


def voted(folder: Path) -> None:
    from emu.compare.reading import read_run

    write_json(folder / runs.QUALITY, QUALITY)
    run_with()(folder)
    read_people(read_run(folder))


def pictured(folder: Path) -> Path:
    for name in ("0.png", "1.png"):
        (folder / name).write_bytes(png(GREY))
    return folder


def carded(folder: Path) -> None:
    from emu.card.people import section

    review = read_review(folder)
    section(review)
    decisions(review)


def funnelled(folder: Path) -> None:
    from emu.card.funnel import section
    from emu.curate.explain import explain

    (folder / "metadata.jsonl").write_text('{"file_name": "0.png", "text": "x"}\n')
    curated = read_curated(pictured(folder))
    section(curated.footer)
    assert curated.concepts()
    explain(folder, "row 0")


DOCUMENTS = [
    document(f"step-000020/{runs.SAMPLES}", SAMPLES, lambda f: runs.read_samples(f / "step-000020")),
    document(f"step-000020/{runs.SCORES}", [{"file": "0.png", "appeal": 0.1}, {"file": "1.png", "appeal": 1.0}],
             lambda f: (runs.read_scores(f / "step-000020"))),
    document(runs.JUDGES, {"appeal": CARD}, runs.read_judges),
    document(runs.QUALITY, QUALITY, lambda f: (finished(f, runs.checkpoint(f, 20), RULE), run_with()(f))),
    document(runs.VOTES, VOTES, voted),
    document(runs.CONFIG, CONFIG, lambda f: from_config(read_config(f))),
    document(f"run/{runs.CONFIG}", CONFIG, lambda f: config_of(f / "run")),
    document("config.yaml", CONFIG, lambda f: flags.check([f"--config={f / 'config.yaml'}"])),
    document("funnel.yaml", FUNNEL, lambda f: Funnel(documents.read_mapping(f / "funnel.yaml", keys=()))),
    document("study.yaml", STUDY, lambda f: Study.read(str(f / "study.yaml"))),
    document("plan.yaml", PLAN, lambda f: read_plan(f / "plan.yaml")),
    document("review.json", REVIEW, carded),
    document("metadata.jsonl", [{"file_name": f"{i}.png", "text": "x"} for i in range(2)],
             lambda f: read_curated(pictured(f))),
]  # fmt: skip


def cards_of_curate(folder: Path) -> Any:
    from emu.curate import Origin, _require_same

    return _require_same(folder, Origin(Funnel(FUNNEL).sha256, "s"))


def footer(folder: Path) -> None:
    """The manifest with a footer as the file has it."""
    table = pa.table({"row": [0], "file": ["0.png"], "source": ["0.png"], "status": ["kept"], "stage": [None],
                      "text": ["x"], "source_columns": ["{}"], "reason": [None], "sha256": ["ab" * 32],
                      "short_side": [1], "aspect": [1.0], "concept": ["dog"]})  # fmt: skip
    text = (folder / "footer.json").read_bytes()
    path = folder / MANIFEST
    pa.parquet.write_table(table.replace_schema_metadata({ledger.FOOTER: text}), path)
    funnelled(folder)


def flagged(folder: Path) -> bool:
    write_json(folder / runs.QUALITY, QUALITY)
    return Job("a", "fit", [], run=folder, flags=["-c"]).done


def set_of(folder: Path) -> None:
    pictured(folder / "set")
    found = list(read_source(str(folder / "set"), image_column=None, text_column=None))
    if faulty := [item for item in found if isinstance(item, Fault)]:
        raise UserError(faulty[0].message.partition("\n")[0])


SET = [{"file_name": f"{i}.png", "text": "x"} for i in range(2)]
ROW = {"name": "0.png", "captions": "c", "size": [1, 2], "content": "d", "touched": [1, 2, 3]}
DOCUMENTS += [
    document(runs.DATA, {"pictures": [ROW, ROW], "prompts": "p"}, lambda f: same_set.read(f / runs.DATA)),
    document(folders.INDEX, {"_class_name": "X", "unet": ["diffusers", "U"]}, folders.read_index),
    document("prompts.jsonl", [{"prompt": "x", "group": "y"}] * 2, lambda f: load_prompts(f / "prompts.jsonl")),
    document("prompts.json", {"prompts": ["a", "b"]}, lambda f: load_prompts(f / "prompts.json")),
    document("set/metadata.jsonl", SET, set_of),
    ("flags.json", b'["-c", "x"]', flagged),
    document(".curate/run.json", {"config": Funnel(FUNNEL).sha256, "source": "s"}, cards_of_curate),
    document("footer.json", FOOTER, footer),
]


HEAD: Any = {"embedder": "x", "identity": "y", "eye": {}, "pass": None, "held out": {}, "penalty": 1.0}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Files that are no text, written with the real writers, once."""
    root = tmp_path_factory.mktemp("sound")
    cache = Cache(root / "cache")
    cache.put_many({"picture": {"x": torch.arange(6.0), "sound": torch.tensor(True)}})
    state = {"state_dict": {"a": torch.arange(3.0)}, "global_step": 3}
    write(state, root / "step-000003.ckpt")
    write_head(root / "taste.safetensors", Head(np.zeros(4), 0.5, HEAD))
    ledger.Ledger(root, "c").write(0, pa.table({"left": [1, 2], "failed": [False, True]}), input_sha256="i")
    make_folder(root, [(8, 8)])
    found = {
        "cache": next((root / "cache").glob("*.safetensors")),
        "checkpoint": root / "step-000003.ckpt",
        "sum": sums_of(root / "step-000003.ckpt"),
        "head": root / "taste.safetensors",
        "ledger": ledger.Ledger(root, "c").path(0),
    }
    return found.__getitem__


def read_cache(folder: Path) -> None:
    cache = Cache(folder)
    for key in cache.keys():  # noqa: SIM118  (a Cache is no mapping)
        cache.get(key)
    if aside := [*folder.glob("*.aside")]:
        raise UserError(f"{aside[0]}: set aside, as a warning says")


def read_shard(folder: Path) -> None:
    done = ledger.Ledger(folder, "c")
    if not done.done(0, "i"):
        raise UserError("damaged: it is measured again")
    column([done.path(0)], "left")


def read_sum(folder: Path) -> None:
    write({"state_dict": {"a": torch.arange(3.0)}, "global_step": 3}, folder / "made" / "step-000003.ckpt")
    (folder / "made" / "step-000003.ckpt").replace(folder / "step-000003.ckpt")
    verify(folder / "step-000003.ckpt")


BINARY = {
    "cache": ("shard-0.safetensors", read_cache),
    "checkpoint": ("step-000003.ckpt", lambda f: read_checkpoint(f / "step-000003.ckpt")),
    "sum": ("step-000003.ckpt.json", read_sum),
    "head": ("taste.safetensors", lambda f: read_head(f / "taste.safetensors")),
    "ledger": (".curate/shards/shard-000000.parquet", read_shard),
}


def tried(name: str, content: bytes, read: Reader, folder: Path) -> str | None:
    """What a reader says of a file: None where it takes it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    try:
        read(folder)
    except UserError as refused:
        said = str(refused)
        assert said
        assert len(said.splitlines()) == 1, said
        return said
    return None


def sweep(name: str, content: bytes, read: Reader, folder: Path, *, count: int) -> None:
    assert tried(name, content, read, folder / "sound") is None
    dice, refused = random.Random(name), 0
    for i in range(count):
        structured = content[:1] in b'{["' and i % 2
        broken = (mutations.of_json if structured else mutations.of_bytes)(content, dice)
        refused += tried(name, broken, read, folder / str(i)) is not None
    assert refused > count / 10  # else it was no test


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "content", "read"), DOCUMENTS, ids=[name for name, _, _ in DOCUMENTS])
def test_documents(name: str, content: bytes, read: Reader, tmp_path: Path) -> None:
    sweep(name, content, read, tmp_path, count=60)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", BINARY)
def test_other_files(kind: str, sound: Callable[[str], Path], tmp_path: Path) -> None:
    name, read = BINARY[kind]
    sweep(name, sound(kind).read_bytes(), read, tmp_path, count=60)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [runs.QUALITY, f"step-000020/{runs.SCORES}", f"step-000020/{runs.SAMPLES}"])
def test_a_comparison_of_whatever_the_folder_says(name: str, tmp_path: Path) -> None:
    compared(tmp_path / "made")
    sweep(name, (tmp_path / "made" / name).read_bytes(), compared, tmp_path, count=12)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "content", "read"), DOCUMENTS, ids=[name for name, _, _ in DOCUMENTS])
def test_documents_for_long(name: str, content: bytes, read: Reader, tmp_path: Path) -> None:
    sweep(name, content, read, tmp_path, count=1000)

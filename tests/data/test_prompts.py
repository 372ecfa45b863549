import json
from pathlib import Path

import pytest

from emu.data import load_prompts
from emu.data.prompts import prompt_batches
from emu.errors import UserError

PARTI = Path(__file__).parents[3] / "shared" / "data" / "PartiPrompts.tsv"


def test_a_text_file_is_a_prompt_a_line(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("a cat\n\n  a dog \n")
    assert load_prompts(file, seed=7) == [
        {"prompt": "a cat", "index": 0, "seed": 7},
        {"prompt": "a dog", "index": 1, "seed": 8},
    ]


def test_further_columns_are_kept(tmp_path: Path) -> None:
    tsv, jsonl = tmp_path / "p.tsv", tmp_path / "p.jsonl"
    tsv.write_text('Prompt\tCategory\tNote\na "red" cat\tAnimals\t\n')
    jsonl.write_text(json.dumps({"prompt": "a cat\u2028sat", "group": "seen"}, ensure_ascii=False), encoding="utf-8")
    assert load_prompts(tsv) == [{"prompt": 'a "red" cat', "Category": "Animals", "index": 0, "seed": 0}]
    assert load_prompts(jsonl) == [{"prompt": "a cat\u2028sat", "group": "seen", "index": 0, "seed": 0}]


def test_a_limit_is_spread_over_the_file_and_changes_no_seed(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("\n".join(f"prompt {i}" for i in range(100)))
    everything, some = load_prompts(file, seed=5), load_prompts(file, limit=10, seed=5)
    assert [row["index"] for row in some] == list(range(0, 100, 10))
    assert all(row in everything for row in some)
    assert load_prompts(file, limit=1000) == load_prompts(file)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.txt", "\n", "holds no prompt"),
        ("p.tsv", "Name\na cat\n", "names no column prompt or prompts or text or caption, but Name"),
        ("p.tsv", "Prompt\tCategory\n\tAnimals\n", "line 2: the prompt is empty"),
        ("p.jsonl", '{"prompt": "a"}\n{"prompt": 3}\n', "line 2: the prompt is 3, no text"),
        ("p.jsonl", '{"prompt": "a"}\n["b"]\n', "line 2: needs an object"),
        ("p.jsonl", "nonsense", "line 1: not JSON"),
        ("p.xlsx", "a", ".txt, .csv, .tsv, .jsonl, .json, .toml"),
        ("p.txt", None, "no such prompt file"),
    ],
)
def test_bad_files_are_named_in_one_line(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        load_prompts(file)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("world", [1, 2, 3, 12])
def test_ranks_share_the_prompts_without_doubles_and_in_step(world: int) -> None:
    settings = [{}, {"width": 64, "negative_prompt": "dull"}, {"width": 64}]
    rows = [
        {"prompt": f"prompt {i}", "group": "seen", "index": i, "seed": 100 + i, "settings": settings[i % 3]}
        for i in range(10)
    ]
    ranks = [prompt_batches(rows, batch_size=2, rank=rank, world=world) for rank in range(world)]
    assert len({len(batches) for batches in ranks}) == 1
    real = {}
    for batch in (batch for batches in ranks for batch in batches):
        for i, index in enumerate(batch["index"].tolist()):
            if index >= 0:
                assert index not in real
                negative = {"negative_prompt": batch["negative"][i]} if batch["negative"][i] else {}
                real[index] = {
                    "prompt": batch["prompt"][i],
                    "index": index,
                    "seed": int(batch["seed"][i]),
                    "settings": batch["settings"] | negative,
                    **batch["columns"][i],
                }
    assert [real[i] for i in range(10)] == rows
    # With FSDP every pass through the network is a collective one: ranks differ in neither size nor number of steps.
    for together in zip(*ranks, strict=True):
        assert all(batch["settings"] == together[0]["settings"] for batch in together)


@pytest.mark.skipif(not PARTI.exists(), reason="PartiPrompts.tsv is not beside the checkout")
def test_parti_prompts() -> None:
    rows = load_prompts(PARTI)
    assert len(rows) == 1632
    assert len({row["Category"] for row in rows}) == 12
    assert len({row["Category"] for row in load_prompts(PARTI, limit=200)}) == 12

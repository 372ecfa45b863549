"""Prompt files as they are published, and as people write them for other trainers."""

import json
from pathlib import Path
from typing import Any

import pytest

from emu.data import load_prompts
from emu.errors import UserError

KOHYA_TXT = """# what to look at
a red boat --n low quality, blurry --w 512 --h 768 --d 42 --l 7.5 --s 28

  # another comment
a blue bird, --ugly-- as it may be""".replace("--ugly--", "-- ugly --")
BOAT = {"negative_prompt": "low quality", "width": 512, "height": 768, "num_inference_steps": 28, "cfg_scale": 7.5}


def write(tmp_path: Path, name: str, content: Any) -> Path:
    file = tmp_path / name
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def said(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without what they have of their places alone."""
    return [{key: value for key, value in row.items() if key not in ("index", "seed")} for row in rows]


LAYOUTS: dict[str, tuple[str, Any, list[dict[str, Any]]]] = {
    "PartiPrompts": (
        "PartiPrompts.TSV",
        'Prompt\tCategory\tChallenge\tNote\n"G I G" painted in paint.\tIllustrations\tWriting & Symbols\t\n',
        [{"prompt": '"G I G" painted in paint.', "Category": "Illustrations", "Challenge": "Writing & Symbols"}],
    ),
    "GenEval": (
        "evaluation_metadata.jsonl",
        '{"tag": "counting", "include": [{"class": "cow", "count": 2}], "prompt": "a photo of two cows"}\n',
        [{"prompt": "a photo of two cows", "tag": "counting", "include": [{"class": "cow", "count": 2}]}],
    ),
    "HPS v2": ("anime.json", ["a cat, ink", "a dog"], [{"prompt": "a cat, ink"}, {"prompt": "a dog"}]),
    "DrawBench": (
        "drawbench.csv",
        'Prompts,Category\n"A cat, on a ""mat"".",Colors\nA dog.,Counting\n',
        [{"prompt": 'A cat, on a "mat".', "Category": "Colors"}, {"prompt": "A dog.", "Category": "Counting"}],
    ),
    "COCO": (
        "captions_val2017.json",
        {
            "info": {"year": 2017},
            "images": [{"id": 7, "file_name": "7.jpg", "width": 640, "height": 427}],
            "annotations": [
                {"image_id": 7, "id": 1, "caption": "A boat. "},
                {"image_id": 7, "id": 2, "caption": "Sea."},
            ],
        },
        [{"prompt": "A boat.", "image_id": 7, "id": 1}, {"prompt": "Sea.", "image_id": 7, "id": 2}],
    ),
    "MJHQ": (
        "meta_data.json",
        {"0a1": {"category": "people", "prompt": "a man"}},
        [{"name": "0a1", "category": "people", "prompt": "a man"}],
    ),
    "SimpleTuner": (
        "user_prompt_library.json",
        {"boat": "a red boat"},
        [{"name": "boat", "prompt": "a red boat"}],
    ),
    "kohya's txt": (
        "sample_prompts.txt",
        KOHYA_TXT,
        [
            {"prompt": "a red boat", "settings": {**BOAT, "negative_prompt": "low quality, blurry"}},
            {"prompt": "a blue bird, -- ugly -- as it may be"},
        ],
    ),
    "kohya's toml": (
        "prompts.toml",
        '[prompt]\nwidth = 512\nheight = 768\nscale = 7.5\nsample_steps = 28\n\n'
        '[[prompt.subset]]\nprompt = "a red boat"\nnegative_prompt = "low quality"\nseed = 42\n'
        '[[prompt.subset]]\nprompt = "a bird"\nwidth = 640\n',
        [
            {"prompt": "a red boat", "settings": BOAT},
            {
                "prompt": "a bird",
                "settings": {"width": 640, "height": 768, "cfg_scale": 7.5, "num_inference_steps": 28},
            },
        ],
    ),
    "kohya's json": (
        "prompts.json",
        [
            {"prompt": "a red boat", **BOAT, "seed": 42, "enum": 0},
            "a bird --d 7 --g 3.5",
        ],
        [
            {"prompt": "a red boat", "settings": BOAT, "enum": 0},
            {"prompt": "a bird", "settings": {"guidance_scale": 3.5}},
        ],
    ),
    "OneTrainer": (
        "samples.json",
        [
            {"enabled": True, "prompt": "a cat", "negative_prompt": "", "width": 512, "height": 512, "seed": 42,
             "random_seed": False, "diffusion_steps": 20, "cfg_scale": 7.0},
            {"enabled": False, "prompt": "a dog"},
        ],
        [
            {
                "prompt": "a cat",
                "settings": {"width": 512, "height": 512, "num_inference_steps": 20, "cfg_scale": 7.0},
                "random_seed": False,
            }
        ],
    ),
    "EveryDream": (
        "sample_prompts.json",
        {"num_inference_steps": 15, "samples": [{"prompt": "a man", "negative_prompt": "dull"}]},
        [{"prompt": "a man", "settings": {"num_inference_steps": 15, "negative_prompt": "dull"}}],
    ),
    "DiffusionDB": (
        "metadata.csv",
        "image_name,prompt,seed,step,cfg,width,height\n1.png,a cat,5,50,7.0,512,512\n",
        [
            {
                "prompt": "a cat",
                "image_name": "1.png",
                "settings": {"num_inference_steps": 50, "cfg_scale": 7.0, "width": 512, "height": 512},
            }
        ],
    ),
    "emu's own": (
        "samples.jsonl",
        {
            "file": "../../x.png", "prompt": "a cat", "seed": 9, "index": 70, "model": "another",
            "sampler": {"guidance_scale": 4.0, "height": 64, "clean_caption": False},
        },
        [
            {
                "prompt": "a cat",
                "prompt_file": "../../x.png",
                "prompt_index": 70,
                "prompt_model": "another",
                "settings": {"guidance_scale": 4.0, "height": 64, "clean_caption": False},
            }
        ],
    ),
    "Excel with semicolons": ("p.csv", "Text;No\na cat, asleep;x\n", [{"prompt": "a cat, asleep", "No": "x"}]),
    "Excel that says so": ("p.csv", "sep=;\r\nText;No\r\na cat, b;x\r\n", [{"prompt": "a cat, b", "No": "x"}]),
    "Excel that says so of tabs": ("p.tsv", "SEP=|\nprompt|No\na cat|x\n", [{"prompt": "a cat", "No": "x"}]),
    "others that fill it up": ("p.csv", '"sep=,",\nprompt,a\na cat;,x\n', [{"prompt": "a cat;", "a": "x"}]),
    "pandas with its index": ("p.csv", ",text\n0,a cat\n", [{"prompt": "a cat", "column 1": "0"}]),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_published_layouts(layout: str, tmp_path: Path) -> None:
    name, content, rows = LAYOUTS[layout]
    assert said(load_prompts(write(tmp_path, name, content))) == rows


def test_a_seed_is_the_prompt_s_own_where_it_names_one(tmp_path: Path) -> None:
    rows = load_prompts(write(tmp_path, "p.txt", "a\nb --d 42\nc"), seed=100)
    assert [(row["index"], row["seed"]) for row in rows] == [(0, 100), (1, 42), (2, 102)]


def test_a_mark_at_the_beginning_and_windows_lines(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes(b"\xef\xbb\xbfprompt,seed\r\na cat,3\r\n")
    assert load_prompts(tmp_path / "p.csv") == [{"prompt": "a cat", "index": 0, "seed": 3}]


REFUSED = [
    ("p.txt", "a cat\na dog --ar 16:9\n", "line 2: --ar is no setting of a prompt"),
    ("p.txt", "a cat.\n --w 384 --h 384\n", "line 2: has settings and no prompt"),  # musubi-tuner 371
    ("p.txt", '--prompt "a castle" --negative_prompt trees', "line 1: has settings and no prompt"),  # the web UI's
    ("p.txt", "a cat --w 512 --width 640", "line 1: width is given twice"),
    ("p.txt", "a cat --w", "line 1: --w has no value"),
    ("p.txt", "a cat --d -1", "line 1: seed '-1': give a whole number, 0 or more, or leave it out"),
    ("p.txt", "a cat --s 0", "num_inference_steps '0': give a whole number, 1 or more"),
    ("p.txt", "a cat --w 512.5", "width '512.5': give a whole"),
    ("p.txt", "a cat --l nan", "cfg_scale 'nan': give a number"),
    ("p.txt", "a cat --ss euler_a", "line 1: --ss is no setting"),
    ("p.txt", "a cat\na cat --d 0", "line 2: the prompt and the seed of .* line 1"),
    ("p.csv", "prompt\na cat, asleep\n", "line 2: 2 cells under 1 names; quote a text that holds commas"),
    ("p.csv", "sep=,\nprompt\na cat, asleep\n", "line 3: 2 cells under 1 names; quote a text that holds commas"),
    ("p.csv", "sep=|\nprompt\na cat| asleep\n", r"line 3: 2 cells under 1 names; quote a text that holds \|"),
    ("p.csv", "sep=;\n", "holds no prompt"),
    ("p.csv", "sep=;no\na;b\n", "its first line names no column prompt or .*, but sep=, no"),
    ("p.csv", 'prompt,x\n"a cat,1\nb,2\n', "unexpected end of data"),
    ("p.csv", "prompt,a,a\nx,1,2\n", "names the column a twice"),
    ("p.csv", "prompt,sampler\na cat,k_lms\n", "line 2: sampler 'k_lms': the scheduler is the one in the"),
    ("p.csv", "prompt,cfg,scale\na,7,8\n", "line 2: cfg_scale is given twice"),
    ("p.json", {"samples": [{"prompt": "a"}], "cfgs": [7, 4]}, "item 1: cfgs"),
    ("p.json", {"boat": {"prompt": "a", "adapter_strength": 0.5}}, "boat: adapter_strength 0.5: the model draws"),
    ("p.json", [{"prompt": "a", "random_seed": True}], "item 1: random_seed True"),
    ("p.json", [{"prompt": "a", "seed": True}], "item 1: seed True"),
    ("p.json", [{"prompt": "a", "seed": 2**80}], "item 1: seed 1208"),
    ("p.json", [{"prompt": "a", "width": [640, 384]}], r"item 1: width \[640, 384\]"),
    ("p.json", [{"prompt": "a", "negative_prompt": 3}], "give a text"),
    ("p.json", [["a", "b"]], "item 1: needs an object"),
    ("p.json", "3", "needs a list"),
    ("p.json", {"boat": 3}, "boat: needs an object"),
    ("p.json", "[" * 100_000, "not JSON"),
    ("p.jsonl", '{"prompt": "a", "x": NaN}', "line 1: a value that no file can keep"),
    ("p.jsonl", '{"prompt": "a \\ud800"}', "line 1: a value that no file can keep"),
    ("p.jsonl", '{"title": "a"}', "line 1: has no prompt, prompts, text or caption"),
    ("p.toml", "[prompt]\nwidth = 3", r"needs \[prompt\] and"),
    ("p.toml", "prompt = ", "not TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_done_is_refused_with_its_place(name: str, content: Any, message: str, tmp_path: Path) -> None:
    file = write(tmp_path, name, content)
    with pytest.raises(UserError, match=message) as refused:
        load_prompts(file)
    assert str(refused.value).startswith(f"{file}")
    assert "\n" not in str(refused.value)


def test_a_folder_of_texts_is_a_prompt_a_file(tmp_path: Path) -> None:
    """As DPG-Bench is published."""
    for name, text in {"b": "two boats,\nred\n", "a": "a boat --d 7", ".c": "hidden"}.items():
        write(tmp_path, f"{name}.txt", text)
    rows = load_prompts(tmp_path)
    assert [(row["name"], row["prompt"], row["seed"]) for row in rows] == [
        ("a", "a boat", 7),
        ("b", "two boats, red", 1),
    ]


def test_the_home_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, "p.txt", "a boat")
    assert load_prompts("~/p.txt") == load_prompts(tmp_path / "p.txt")

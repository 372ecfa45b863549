"""Runs of `emu fit` of what gives pictures back, on needles of 32 px."""

import json
from pathlib import Path
from typing import Any

import yaml

import pipelines
from emu.cli import main
from emu.world import World


def folder(root: Path, name: str) -> Path:
    """`root` with a pipeline in `root/pipeline`, of that name of `pipelines.build`, and pictures in `root/needles`."""
    pipelines.build(name).save_pretrained(root / "pipeline")
    (root / "needles").mkdir()
    rows = []
    for i in range(24):
        World(0).needle(i).render(32).save(root / "needles" / f"{i}.png")
        rows.append(json.dumps({"file_name": f"{i}.png", "text": World(0).needle(i).caption}))
    (root / "needles" / "metadata.jsonl").write_text("\n".join(rows))
    return root


def fit(root: Path, out: Path, *, architecture: str, steps: int, **model: Any) -> Path:
    """A run of `emu fit`, by `root/fit.yaml`, whose critic speaks from step 3 on."""
    optimizer = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 2e-3}}
    given = {"pretrained": str(root / "pipeline"), "optimizer": optimizer, "warmup_steps": 0, "adversarial_start": 3}
    given |= {"critic_width": 8, "ema_decay": 0.5, **model}
    data = {"root": str(root / "needles"), "resolution": 32, "batch_size": 8, "held_out": 8, "num_workers": 0}
    document = {
        "trainer": {"default_root_dir": str(out), "accelerator": "cpu", "enable_progress_bar": False},
        "model": {"class_path": f"emu.models.{architecture}", "init_args": given},
        "data": {**data, "aspect_ratios": False},
        "quality": {"batch": 8, "max_steps": steps, "check_every": 4},
    }
    (root / "fit.yaml").write_text(yaml.safe_dump(document))
    main(["fit", "-c", str(root / "fit.yaml")])
    return out

"""A run is gone on with beside the frozen networks that it began with alone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from architectures import CLASSES, make
from emu.adapters import Adapter
from emu.errors import UserError

Folder = Callable[[str], Path]


def another(folder: Path, component: str) -> None:
    """One weight of it is another."""
    (file,) = (folder / component).glob("*.safetensors")
    weights = load_file(file)
    first = min(weights)
    save_file({**weights, first: weights[first] + 1e-2}, file)


@pytest.mark.parametrize("adapter", [Adapter(rank=2), None], ids=["adapter", "all weights"])
@pytest.mark.parametrize("component", ["vae", "text_encoder"])
def test_a_run_goes_on_beside_its_own_frozen_parts_alone(
    component: str, adapter: Adapter | None, tiny_folder: Folder, tmp_path: Path
) -> None:
    """However they are held, and though a cache stands in for text encoders."""
    base = Path(shutil.copytree(tiny_folder("latent"), tmp_path / "base"))
    checkpoint: dict[str, Any] = {}
    make("latent", base, adapter=adapter).on_save_checkpoint(checkpoint)
    make("latent", base, adapter=adapter, encoders_dtype="bfloat16").on_load_checkpoint(checkpoint)
    another(base, component)
    model = CLASSES["latent"](str(base), adapter=adapter)
    model.reads_texts = False
    model.configure_model()
    with pytest.raises(UserError, match=f"its {component} has other weights than the run began with"):
        model.on_load_checkpoint(checkpoint)
    model.on_load_checkpoint({key: one for key, one in checkpoint.items() if key != "frozen"})  # of before


def test_a_text_encoder_that_is_gone_or_new_is_another_run(tiny_folder: Folder, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_folder("flow"), tmp_path / "less"))
    index = json.loads((folder / "model_index.json").read_text())
    without = index | {name: [None, None] for name in ("text_encoder_3", "tokenizer_3")}  # SD3 may do without T5
    (folder / "model_index.json").write_text(json.dumps(without))
    whole, less = make("flow", tiny_folder("flow")), make("flow", folder)
    saved: list[dict[str, Any]] = [{}, {}]
    whole.on_save_checkpoint(saved[0])
    less.on_save_checkpoint(saved[1])
    with pytest.raises(UserError, match="its text_encoder_3 is gone, and the run began with one"):
        less.on_load_checkpoint(saved[0])
    with pytest.raises(UserError, match="its text_encoder_3 was not there as the run began"):
        whole.on_load_checkpoint(saved[1])


def test_an_autoencoder_in_its_place_is_named_as_it_was_given(tiny_folder: Folder, tmp_path: Path) -> None:
    checkpoint: dict[str, Any] = {}
    make("latent", tiny_folder("latent")).on_save_checkpoint(checkpoint)
    other = Path(shutil.copytree(tiny_folder("latent") / "vae", tmp_path / "other" / "vae"))
    another(other.parent, "vae")
    with pytest.raises(UserError, match=f"model.vae {other}: its vae has other weights"):
        make("latent", tiny_folder("latent"), vae=str(other)).on_load_checkpoint(checkpoint)

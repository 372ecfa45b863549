"""`emu check` finds what breaks a model and names it, and is silent where only roundings differ."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import pipelines
from architectures import CLASSES, make, side
from emu import models
from emu.check import Checked, check, reference
from emu.check.parts import weights_of
from emu.cli import main
from emu.errors import UserError
from emu.networks import adapters
from emu.networks.adapters import Adapter
from emu.objectives import losses as objectives

pytestmark = pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")  # diffusers' multistep solvers

Folder = Callable[[str], Path]

KINDS = ["latent", "flow", "pixel", "muse"]
STEPS = {"num_inference_steps": 2}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def copy_of(name: str, tiny_folder: Folder, to: Path) -> Path:
    """A tiny pipeline as `emu export` leaves one: drawn in two steps."""
    shutil.copytree(tiny_folder(name), to)
    kind = CLASSES[name]
    described = {
        "class_path": f"{kind.__module__}.{kind.__name__}",
        "init_args": {"sampler": STEPS, "resolution": side(name)},
    }
    (to / "emu.json").write_text(json.dumps(described))
    return to


@pytest.fixture(scope="module", params=KINDS)
def stored(request: pytest.FixtureRequest, tiny_folder: Folder, tmp_path_factory: Any) -> tuple[str, Path, Path]:
    """A kind of model, its folder, and what is stored of it."""
    home = tmp_path_factory.mktemp(request.param)
    folder = copy_of(request.param, tiny_folder, home / "model")
    checked = check(str(folder), against=home / "stored.json", anew=True)
    assert checked.sound
    return request.param, folder, home / "stored.json"


def again(stored: tuple[str, Path, Path], folder: Path | None = None, **how: Any) -> Checked:
    return check(str(folder or stored[1]), against=stored[2], **how)


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def weights(folder: Path) -> Path:
    return next(folder.glob("*.safetensors"))


def change(file: Path, by: Callable[[torch.Tensor], torch.Tensor], *, only: str = "") -> None:
    """Rewrite the weights of a file, one of them alone where `only` is its name's end."""
    held = load_file(file)
    assert any(name.endswith(only) for name in held)
    tensors = {name: by(one) if name.endswith(only) else one for name, one in held.items()}
    save_file(tensors, file, {"format": "pt"})


# ---- what it has to find

LAYER = {
    "latent": "down_blocks.1.attentions.0.proj_in.weight",
    "pixel": "down_blocks.1.attentions.0.proj_in.weight",
    "flow": "transformer_blocks.0.attn.to_v.weight",
    "muse": "transformer_layers.0.attn1.to_v.weight",
}


def turn_sign(name: str, patch: pytest.MonkeyPatch) -> None:
    kind = CLASSES[name]
    if name == "flow":
        patch.setattr(kind, "sign", -1)
        return
    method = "_logits" if name == "muse" else "call_backbone"
    plain = getattr(kind, method)
    patch.setattr(kind, method, lambda *args, **named: -plain(*args, **named))


def turn_time(name: str, patch: pytest.MonkeyPatch) -> None:
    if name == "flow":
        patch.setattr(models.FlowMatching, "time_from_noise", True)
    elif name == "muse":
        drawn = objectives.draw_times
        patch.setattr(objectives, "draw_times", lambda *args: 1 - drawn(*args))
    else:
        plain: Any = CLASSES[name].predict  # type: ignore[attr-defined]
        patch.setattr(CLASSES[name], "predict", lambda self, noisy, t, cond: plain(self, noisy, 999 - t, cond))


def test_a_turned_sign(stored: tuple[str, Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    turn_sign(stored[0], monkeypatch)
    checked = again(stored)
    assert not checked.sound
    assert "likely: the sign" in checked.text


def test_a_turned_time(stored: tuple[str, Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    turn_time(stored[0], monkeypatch)
    checked = again(stored)
    assert not checked.sound
    assert ("run the other way?" if stored[0] == "muse" else "runs the other way") in checked.text


@pytest.mark.parametrize("stored", [kind for kind in KINDS if kind != "muse"], indirect=True)  # tokens have neither
def test_a_squared_shift_or_another_schedule(stored: tuple[str, Path, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(stored[1], tmp_path / "changed"))
    config = folder / "scheduler" / "scheduler_config.json"
    edit(config, **({"shift": 9.0} if stored[0] == "flow" else {"beta_schedule": "linear"}))
    checked = again(stored, folder)
    assert not checked.sound
    if stored[0] == "flow":
        assert "changed: scheduler: shift 3.0 -> 9.0" in checked.text
        assert "likely: noise levels and times are others" in checked.text
    else:
        assert "likely: noise is added otherwise: the noise schedule" in checked.text


def test_a_scale_that_is_off(stored: tuple[str, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(shutil.copytree(stored[1], tmp_path / "changed"))
    if stored[0] in ("latent", "flow"):
        edit(folder / "vae" / "config.json", scaling_factor=0.7)
    else:  # pixels of another range
        plain: Any = CLASSES[stored[0]].encode_images
        monkeypatch.setattr(CLASSES[stored[0]], "encode_images", lambda self, images: plain(self, images / 2 + 0.5))
    checked = again(stored, folder)
    assert not checked.sound
    assert "likely: " in checked.text
    if stored[0] in ("latent", "flow"):
        assert "the autoencoder's scaling" in checked.text.partition("likely: ")[2]
        assert "changed: vae: scaling_factor" in checked.text
    else:
        assert "pixels of another range" in checked.text.partition("likely: ")[2]


def test_a_text_encoder_of_another_model(stored: tuple[str, Path, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(stored[1], tmp_path / "changed"))
    name, _, _ = stored
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        other: Any = pipelines.BUILDERS[name]()
    shutil.rmtree(folder / "text_encoder")
    other.text_encoder.save_pretrained(folder / "text_encoder")
    checked = again(stored, folder)
    assert not checked.sound
    assert "likely: the text encoder is another" in checked.text


def test_one_layer_of_zeros(stored: tuple[str, Path, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(stored[1], tmp_path / "changed"))
    layer = LAYER[stored[0]]
    change(weights(folder / CLASSES[stored[0]].slot), torch.zeros_like, only=layer)
    checked = again(stored, folder)
    assert not checked.sound
    assert f"{layer} is all zeros, and was not" in checked.text


# ---- what it has to be silent about


def test_the_same_model_on_one_thread_or_two(stored: tuple[str, Path, Path]) -> None:
    for threads in (1, 2):
        torch.set_num_threads(threads)
        checked = again(stored)
        assert checked.sound, checked.text
        assert "the same weights" in checked.text


def test_the_same_model_in_bfloat16(stored: tuple[str, Path, Path], tmp_path: Path) -> None:
    assert again(stored, precision="bf16-mixed").sound
    folder = Path(shutil.copytree(stored[1], tmp_path / "rounded"))
    change(
        weights(folder / CLASSES[stored[0]].slot),
        lambda one: one.bfloat16().float() if one.is_floating_point() else one,
    )
    checked = again(stored, folder)
    assert checked.sound, checked.text
    assert "rounded otherwise" in checked.text


def test_a_library_that_names_weights_otherwise(stored: tuple[str, Path, Path], tmp_path: Path) -> None:
    """transformers 5.0 has `text_model.encoder...` where 5.24 has `encoder...`."""
    found, picture = reference.read(stored[2])
    parts = {
        name: replace(part, sizes={f"model.{tensor}": size for tensor, size in part.sizes.items()})
        for name, part in found.parts.items()
    }
    reference.write(tmp_path / "renamed.json", replace(found, parts=parts), picture)
    checked = check(str(stored[1]), against=tmp_path / "renamed.json", precision="bf16-mixed")
    assert checked.sound, checked.text
    others = {name: replace(part, sha256="0" if part.sha256 else "") for name, part in parts.items()}
    reference.write(tmp_path / "rounded.json", replace(found, parts=others), picture)
    checked = check(str(stored[1]), against=tmp_path / "rounded.json")
    assert checked.sound, checked.text


@pytest.mark.parametrize(("ratio", "sound"), [(0.999, True), (0.97, False)])
def test_a_law_that_held_by_what_rounding_moves_may_be_broken(
    stored: tuple[str, Path, Path], tmp_path: Path, ratio: float, sound: bool
) -> None:
    """Untrained networks read no captions: whether those of others are worse for them is a matter of the last bits."""
    measured, picture = reference.read(stored[2])
    own = np.array(measured.losses["own"])
    losses = {**measured.losses, "shuffled": (own / ratio).tolist()}
    reference.write(tmp_path / "lost.json", replace(measured, losses=losses), picture)
    checked = check(str(stored[1]), against=tmp_path / "lost.json")
    broken_now = own.mean() >= np.array(measured.losses["shuffled"]).mean()
    assert checked.sound == (sound or not broken_now), checked.text


def test_weights_are_known_whatever_they_are_called() -> None:
    layer = torch.nn.Linear(3, 4)
    inside = torch.nn.Sequential(layer)
    inside.register_buffer("places", torch.arange(4))  # integers, which some versions of a library keep
    assert weights_of(layer)[0] == weights_of(inside)[0]
    assert weights_of(layer)[0] != weights_of(torch.nn.Linear(3, 4))[0]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_run_with_an_adapter_has_the_weights_of_what_it_exports(tiny_folder: Folder) -> None:
    pytest.importorskip("bitsandbytes")  # of an extra of its own
    model = make("latent", tiny_folder("latent"), adapter=Adapter(rank=2), base_dtype="nf4")
    for weight in model.trained_parameters():
        torch.nn.init.normal_(weight.data, std=0.1)
    merged = {name: one.read() for name, one in adapters.tensors(model.backbone).items()}
    plain = make("latent", tiny_folder("latent")).backbone
    assert {name: one.shape for name, one in merged.items()} == {
        name: one.shape for name, one in plain.state_dict().items()
    }
    assert weights_of(model.backbone)[1].keys() == weights_of(plain)[1].keys()
    name, layer = next(adapters.layers(model.backbone))
    update = layer.get_delta_weight("default")
    torch.testing.assert_close(merged[f"{name}.weight"], layer.get_base_layer().weight + update)


# ---- the bundled bases, and what needs nothing stored


@pytest.mark.parametrize("name", ["latent", "pixel", "muse"])
def test_a_bundled_base_is_what_it_was(name: str, tmp_path: Path) -> None:
    again = f"emu check emu://bases/{name} --anew --against src/emu/demo/bases/{name}/check.json"
    assert shipped(name).is_file(), again
    checked = check(f"emu://bases/{name}")
    assert checked.sound, f"{checked.text}\nof a base that was trained anew: {again}"
    with Image.open(tmp_path / "checks" / f"{name}.now.png") as both, Image.open(shipped(name)) as one:
        assert both.width == 2 * (one.width + 4)


def shipped(name: str) -> Path:
    return Path(models.__file__).parents[1] / "demo" / "bases" / name / "check.png"


def bare(name: str, to: Path) -> Path:
    """A bundled base of which nothing is stored."""
    return Path(shutil.copytree(shipped(name).parent, to, ignore=shutil.ignore_patterns("check.*")))


def test_a_sound_base_is_stored_at_first_and_held_against_that_later(tmp_path: Path) -> None:
    bare("muse", tmp_path / "mine")
    for said in ("checks/mine.json: stored", "the same weights"):
        checked = check("mine")
        assert checked.sound, checked.text
        assert said in checked.text
    assert sorted(path.name for path in Path("checks").iterdir()) == ["mine.json", "mine.now.png", "mine.png"]


@pytest.mark.parametrize("broken", ["sign", "time", "text"])
def test_a_broken_base_is_found_though_nothing_is_stored(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bare("latent", tmp_path / "mine")
    if broken == "text":
        noise = torch.Generator().manual_seed(0)
        change(
            weights(folder / "text_encoder"),
            lambda one: torch.randn(one.shape, generator=noise).to(one) * one.std() if one.ndim > 1 else one,
        )
    else:
        {"sign": turn_sign, "time": turn_time}[broken]("latent", monkeypatch)
    checked = check("mine")
    assert not checked.sound
    words = {"sign": "the sign", "time": "the time runs the other way", "text": "captions tell it nothing"}
    assert words[broken] in checked.text.partition("likely: ")[2]
    assert not Path("checks").exists()


def test_numbers_that_are_not_finite_fail(tmp_path: Path) -> None:
    change(weights(bare("latent", tmp_path / "mine") / "unet"), lambda one: one * torch.nan, only="conv_in.weight")
    checked = check("mine")
    assert not checked.sound
    with pytest.raises(UserError, match="not finite"):
        check("mine", anew=True)
    change(weights(bare("muse", tmp_path / "other") / "transformer"), lambda one: one * torch.nan, only=LAYER["muse"])
    with pytest.raises(UserError, match="other: draws no picture"):  # no dice are thrown by numbers that are none
        check("other")


# ---- the command


@pytest.mark.parametrize("name", ["latent", "muse"])
def test_exit_codes_and_a_model_that_was_never_trained(name: str, tiny_folder: Folder, capsys: Any) -> None:
    folder = str(copy_of(name, tiny_folder, Path("mine")))
    with pytest.raises(SystemExit) as left:
        main(["check", folder])
    assert left.value.code == 1
    said = capsys.readouterr().out
    assert "FAIL " in said
    assert "never trained" in said
    assert not Path("checks").exists()
    main(["check", folder, "--anew"])
    main(["check", folder])
    with pytest.raises(SystemExit) as left:
        main(["check", folder, "--against", "nowhere.json"])
    assert left.value.code == 2


def test_a_model_of_ones_own(tiny_folder: Folder, capsys: Any) -> None:
    folder = str(copy_of("own_sana", tiny_folder, Path("mine")))
    main(["check", folder, "--anew"])
    main(["check", folder])
    assert "mine: Sana, 32 x 32" in capsys.readouterr().out
    with pytest.raises(SystemExit) as left:
        main(["check", folder, "--architecture", "emu.models.LatentDiffusion"])
    assert left.value.code == 2


def test_a_model_that_starts_from_a_picture(tiny_folder: Folder) -> None:
    folder = str(copy_of("upscaling", tiny_folder, Path("mine")))
    assert check(folder, anew=True).sound
    assert check(folder).sound


@pytest.mark.parametrize("stored", ["muse"], indirect=True)
def test_what_is_stored_of_another_model_or_damaged(stored: tuple[str, Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="of a Muse, and emu://bases/latent is a LatentDiffusion"):
        check("emu://bases/latent", against=stored[2])
    for path in (stored[2], stored[2].with_suffix(".png")):
        shutil.copy(path, tmp_path)
    (tmp_path / "stored.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="stored.png: cannot be read"):
        check(str(stored[1]), against=tmp_path / "stored.json")
    (tmp_path / "stored.json").write_text("{}")
    with pytest.raises(UserError, match="--anew"):
        check(str(stored[1]), against=tmp_path / "stored.json")


def test_the_pictures_are_of_any_shape() -> None:
    from emu.check.shown import captions, pictures

    assert pictures(32, 48).shape == (len(captions()), 3, 32, 48)
    assert np.isclose(pictures(64, 64).abs().amax(), 1, atol=0.1)

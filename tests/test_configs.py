"""Every bundled config is a short document that the parser takes as it stands."""

from pathlib import Path

import pytest
import yaml

from emu import flags

CONFIGS = Path(__file__).parents[1] / "configs"
APART = {"studies", "curate", "review", "new"}  # of other commands than fit; tested with those
FILES = sorted(file for file in CONFIGS.glob("*/*.yaml") if file.parent.name not in APART)
OVERLAYS = ("multi-gpu", "adapters", "cards", "pretraining")  # to lay over the others
LAYERS = [file for file in FILES if file.parent.name in OVERLAYS]
MODELS = [file for file in FILES if file not in LAYERS]


@pytest.fixture(params=FILES, ids=lambda file: str(file.relative_to(CONFIGS)))
def config(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_the_published_models_are_there() -> None:
    names = {str(file.relative_to(CONFIGS).with_suffix("")) for file in FILES}
    latent = {"latent/tiny", "latent/sd15", "latent/sdxl", "latent/sd3"}
    latent |= {
        f"latent/{name}"
        for name in ("z-image", "flux2-klein-4b", "qwen-image", "qwen-image-2.1", "krea2", "flux1-dev", "chroma")
    }
    latent |= {f"latent/{name}" for name in ("lumina2", "sana-1.6b", "prx-512", "sd35-medium", "auraflow")}
    pixel = {"pixel/tiny", "pixel/if-m", "pixel/if-l", "pixel/if-xl", "pixel/prx-pixel"}
    assert names >= latent | pixel | {"muse/tiny", "muse/amused-256", "muse/amused-512"}


def test_a_config_is_a_document(config: Path) -> None:
    lines = config.read_text().splitlines()
    assert len(lines) < 30
    assert max(map(len, lines)) <= 120
    name = config.relative_to(CONFIGS).with_suffix("")
    assert any(line.startswith("#") and "emu fit -c" in line and f"-c {name}" in line for line in lines)


def test_it_has_the_known_keys_and_no_other(config: Path) -> None:
    assert set(yaml.safe_load(config.read_text())) <= set(flags.SECTIONS)


def test_every_key_is_one_that_a_class_takes(config: Path) -> None:
    assert flags.check(["-c", str(config)]) == [f"--config={config}"]


def test_runs_of_different_configs_have_different_folders() -> None:
    folders = [yaml.safe_load(file.read_text())["trainer"]["default_root_dir"] for file in MODELS]
    assert len(set(folders)) == len(MODELS)


def test_the_parser_takes_them_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Types too; and the size given once reaches both the pictures and the model."""
    monkeypatch.chdir(tmp_path)  # where there are no runs to go on with
    from emu.training.fit import EmuCLI

    class Parsed(EmuCLI):
        def instantiate_classes(self) -> None:
            pass

    for model, *layers in [*([file] for file in MODELS), *([MODELS[0], layer] for layer in LAYERS)]:
        files = [f"--config={file}" for file in (model, *layers)]
        config = Parsed([*files, "--data.resolution=96"], command="fit").config
        first = 256 if config.stages else 96
        assert config.data.resolution == config.model.init_args.resolution == first
        assert config.checkpoint.every == config.quality.check_every

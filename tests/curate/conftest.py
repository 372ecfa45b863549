"""Tiny models of the real classes, built when a test first asks for one, and once a session."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import embedders  # here, so that tests without a model do not pay for transformers

    return embedders.save_clip(tmp_path_factory.mktemp("clip"), width=16)


@pytest.fixture(scope="session")
def vit_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import embedders

    return embedders.save_vit(tmp_path_factory.mktemp("vit"), "normal", "NSFW", "watermark")

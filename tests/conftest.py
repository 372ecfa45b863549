"""Tiny pipelines are built when a test first asks for one, and once a session."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("busy machines", deadline=None)
settings.load_profile("busy machines")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Name of an architecture in `pipelines.BUILDERS` -> its saved pipeline folder. Copy it before writing to it."""
    root = tmp_path_factory.mktemp("pipelines")

    def folder(name: str) -> Path:
        import pipelines  # here, so that tests without a model do not pay for diffusers

        if not (root / name).exists():
            pipelines.build(name).save_pretrained(root / name)
        return root / name

    return folder

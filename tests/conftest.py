"""Tiny pipelines are built when a test first asks for one, and once a session."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("busy machines", deadline=None)
settings.load_profile("busy machines")

# A minute or more each: they come first, so that at the end no worker is left alone with one of them.
LONG = ["test_checkpoints.py", "test_tour.py", "test_layouts.py", "test_kills.py", "test_study.py", "test_hostile.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


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

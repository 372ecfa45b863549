"""Folders of the pipelines that are published as one whole file."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from single_files import WHOLE


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("whole")

    def saved(name: str) -> Path:
        if not (root / name).is_dir():
            with torch.random.fork_rng([]):
                torch.manual_seed(0)
                WHOLE[name][1]().save_pretrained(root / name)
        return root / name

    return saved

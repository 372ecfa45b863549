"""One browser for all tests that drive one."""

from collections.abc import Iterator
from typing import Any

import pytest

from tabs import CHROMIUM
from voters import CHROMIUM_FLAGS


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield opened
        opened.close()

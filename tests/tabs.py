"""What tests in a real browser share: a rater's tab on either page, and what it complained of."""

import shutil
import time
from collections.abc import Callable
from typing import Any

CHROMIUM = shutil.which("chromium")
PATIENCE = 60_000  # ms: a busy machine is slow, and nothing that is right waits for it


def eventually(page: Any, holds: Callable[[], bool]) -> None:
    """Waits until it does, as long as it takes on a busy machine; the page goes on meanwhile."""
    until = time.monotonic() + PATIENCE / 1000
    while not holds():
        assert time.monotonic() < until
        page.wait_for_timeout(20)


class Page:
    """One rater's tab, and everything that it complained of."""

    def __init__(self, context: Any, port: int, token: str) -> None:
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.goto(f"http://127.0.0.1:{port}/join/{token}")
        self.page.wait_for_selector("body:not([data-screen=loading])")

    def begin(self) -> "Page":
        self.page.click("#start")
        return self

    @property
    def card(self) -> str:
        return str(self.page.get_attribute("#pair", "data-card"))

    def press(self, key: str) -> None:
        """A key, and the wait until the page has taken it."""
        before = self.card
        self.page.wait_for_timeout(170)  # keys right after a change are not taken, see SETTLE
        self.page.keyboard.press(key)
        self.page.wait_for_selector(f'#pair:not([data-card="{before}"]), body[data-screen=end] #pair', state="attached")


class Tab:
    """One rater's tab in one pass, and everything that it complained of."""

    def __init__(
        self, browser: Any, port: int, token: str, *, entry: int | None = None, width: int = 1000, height: int = 700
    ) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": height}, has_touch=width < 500)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.goto(f"http://127.0.0.1:{port}/join/{token}")
        if entry is not None:  # with one pass alone the page goes there by itself
            self.page.wait_for_selector("body[data-screen=home]")
            self.page.click(f"#passes button >> nth={entry}")
        self.page.wait_for_selector("body[data-look]")

    @property
    def look(self) -> str:
        return str(self.page.get_attribute("body", "data-look"))

    def press(self, *keys: str) -> None:
        """The last key leads on; those before it stay."""
        before = self.look
        self.page.wait_for_timeout(150)  # keys right after a change are not taken, see SETTLE
        for key in keys:
            self.page.keyboard.press(key)
        self.page.wait_for_selector(f'body:not([data-look="{before}"]), body[data-screen=end]', state="attached")

    def at(self, screen: str) -> None:
        self.page.wait_for_selector(f"body[data-screen={screen}]")

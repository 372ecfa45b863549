"""Models by hub name: where the hub cannot be found nobody waits for it."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emu.errors import UserError
from emu.judges import pretrained
from emu.judges.clip import ClipScore
from emu.judges.hps import Hps
from emu.judges.image_reward import ImageReward
from emu.judges.pick import PickScore
from emu.judges.pretrained import Pretrained
from emu.judges.vqa import VqaScore


class Asked:
    """Says how it was asked for."""

    @classmethod
    def from_pretrained(cls, name: str, **how: Any) -> dict[str, Any]:
        return how


@pytest.fixture(autouse=True)
def _without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(pretrained, "getproxies", dict)
    pretrained.hub_has_an_address.cache_clear()
    yield
    pretrained.hub_has_an_address.cache_clear()


def nowhere(*_: object) -> None:
    raise socket.gaierror("no such name")


def test_where_the_hub_has_no_address_only_what_is_here_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    assert Pretrained("somebody/model", "a model").read(Asked)["local_files_only"] is True


def test_judges_that_load_later_say_at_once_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    absent, present = str(tmp_path / "absent"), tmp_path / "weights.pt"
    present.touch()
    for judge in (ClipScore(absent), VqaScore(absent), Hps(absent), Hps(str(present), absent), ImageReward(absent),
                  ImageReward(str(present), absent), PickScore(absent)):  # fmt: skip
        with pytest.raises(UserError, match="absent"):
            judge.require()


def test_a_hub_that_has_one_or_a_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [])
    assert Pretrained("somebody/model", "a model").read(Asked)["local_files_only"] is False
    pretrained.hub_has_an_address.cache_clear()
    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    monkeypatch.setattr(pretrained, "getproxies", lambda: {"https": "http://proxy"})
    assert Pretrained("somebody/model", "a model").read(Asked)["local_files_only"] is False

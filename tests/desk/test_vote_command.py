"""`emu vote` as it is typed: who may listen where, links, and mistakes answered in one line."""

import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("starlette", reason="the extra `desk` is not installed")

import uvicorn

from emu.cli import main
from emu.desk.serving import Address, address, listen
from emu.errors import UserError
from emu.layouts import runs
from voters import write_run

Say = Callable[..., str]


@pytest.fixture(autouse=True)
def _same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", 3)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Say:
    def say(*argv: object) -> str:
        main(["vote", *map(str, argv)])
        return capsys.readouterr().out

    return say


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Say:
    def answer(*argv: object) -> str:
        with pytest.raises(SystemExit) as stopped:
            main(["vote", *map(str, argv)])
        assert stopped.value.code == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        return lines[0]

    return answer


def test_links_are_made_listed_and_closed(run: Path, said: Say) -> None:
    first = said(run, "--invite", "Ada", "--url", "https://vote.example.org/")
    assert first.startswith("https://vote.example.org/join/")
    assert said(run, "--invite", "Ada") != first
    assert said(run, "--raters").splitlines() == [
        "Ada: 0 appeal, 0 faithfulness", "appeal: 0 of 15 votes", "faithfulness: 0 of 9 votes",
    ]  # fmt: skip
    assert "closed" in said(run, "--revoke", "Ada")
    assert said(run, "--raters").startswith("Ada: 0 appeal, 0 faithfulness (link closed)")


def test_a_link_leads_to_where_the_page_was_opened_last(run: Path, said: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn.Server, "run", lambda server, sockets: [one.close() for one in sockets])
    assert said(run, "--invite", "Ada").startswith("http://127.0.0.1:8765/join/")
    page = urlsplit(said(run, "--port", "0", "--no-browser").split()[-1])
    assert page.port not in (0, 8765)
    assert said(run, "--invite", "Ada").startswith(f"http://127.0.0.1:{page.port}/join/")
    assert said(run, "--invite", "Ada", "--port", "9").startswith("http://127.0.0.1:9/join/")
    said(run, "--port", "0", "--no-browser", "--url", "https://vote.example.org")
    assert said(run, "--invite", "Ada").startswith("https://vote.example.org/join/")


def test_other_machines_need_links(run: Path, refused: Say, said: Say) -> None:
    assert "--invite NAME" in refused(run, "--host", "0.0.0.0", "--port", "0")
    said(run, "--invite", "Ada")
    said(run, "--revoke", "Ada")
    assert "--invite NAME" in refused(run, "--host", "0.0.0.0", "--port", "0")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_what_is_this_machine_alone(host: str) -> None:
    assert address(host, 1, None).loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", "", "127.0.0.1.example.org"])
def test_what_others_reach(host: str) -> None:
    where = address(host, 1, None)
    assert not where.loopback
    with pytest.raises(UserError, match="--invite"):
        listen(where, invited=[])


def test_host_names_are_any_only_where_it_listens_everywhere_without_a_proxy() -> None:
    assert Address("0.0.0.0", 1).names == ()
    assert "vote.example.org" in address("0.0.0.0", 1, "https://vote.example.org").names
    assert "evil.example" not in address("127.0.0.1", 1, None).names
    assert address("0.0.0.0", 1, "https://vote.example.org").secure
    assert not address("0.0.0.0", 1, "http://vote.example.org").secure


def test_a_port_that_is_taken_is_said(run: Path) -> None:
    listening, where = listen(Address("127.0.0.1", 0), invited=[])
    with pytest.raises(UserError, match=f"--port {where.port}"):
        listen(where, invited=[])
    listening.close()


@pytest.mark.parametrize("flag", ["--results", "--raters"])
def test_before_the_first_start_there_is_nothing_to_tell(run: Path, refused: Say, flag: str) -> None:
    assert "no votes yet" in refused(run, flag)
    assert not (run / "votes.sqlite").exists()


def test_mistakes_are_told_in_a_line_and_leave_no_file(run: Path, tmp_path: Path, refused: Say) -> None:
    assert "no such run folder" in refused(tmp_path / "none")
    (runs.step_folder(run, 20) / runs.SAMPLES).unlink()
    assert "holds 1 drawn steps" in refused(run)
    assert list(run.glob("votes*")) == []
    assert "add --results" in refused(run, "--dpo", tmp_path / "dpo.jsonl")
    assert "not allowed with" in refused(run, "--raters", "--results")


def test_unknown_raters_and_names_are_told(run: Path, refused: Say, said: Say) -> None:
    said(run, "--invite", "Ada")
    assert "no such rater" in refused(run, "--revoke", "Bo\x1b[2J")
    assert "1 to 80" in refused(run, "--invite", " ")
    assert "in UTF-8" in refused(run, "--invite", "\udcff")  # what a shell hands on of another encoding
    assert "no such rater" in refused(run, "--revoke", "\udcff")
    assert "--url" in refused(run, "--url", "vote.example.org", "--invite", "Cleo")
    assert "--db" in refused(run, "--db", "mysql+nothing://x")


@pytest.mark.parametrize("flag", ["--results", "--raters", "--revoke=Ada"])
def test_a_mistyped_database_is_not_made(run: Path, tmp_path: Path, refused: Say, said: Say, flag: str) -> None:
    said(run, "--invite", "Ada", "--db", f"sqlite:///{tmp_path}/votes.db")
    assert "no votes yet" in refused(run, flag, "--db", f"sqlite:///{tmp_path}/vote.db")
    assert not (tmp_path / "vote.db").exists()
    assert "no votes yet" in refused(run, flag, "--db", "sqlite://")


@pytest.mark.parametrize(
    "url",
    ["http://[::1", "https://vote.example.org:http", "https://vote.example.org/?a=b", "https://ada:x@example.org"],
)
def test_what_is_no_address_of_a_proxy(url: str) -> None:
    with pytest.raises(UserError, match="--url"):
        address("127.0.0.1", 1, url)


def test_a_host_that_is_none_is_told() -> None:
    with pytest.raises(UserError, match=r"--host a\.\.b"):
        listen(Address("a..b", 0), invited=["Ada"])


def test_hosts_are_known_as_browsers_ask_for_them() -> None:
    assert "vote.local" in address("Vote.Local", 1, None).names
    assert "xn--bcher-kva.example" in address("0.0.0.0", 1, "https://B\u00fccher.example").names


def test_cards_that_are_no_votes_leave_room_for_votes(run: Path, refused: Say) -> None:
    assert "at most 0.9 together" in refused(run, "--checks", "0.5", "--repeats", "0.5", "--invite", "Ada")

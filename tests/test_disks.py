"""A folder that cannot be read or written to, a full disk, Ctrl-C: a line that says what to do, and no traceback."""

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from emu import cli
from emu.cli import main
from emu.storage import files


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[BaseException], str]:
    """What `emu` says where a command ends with an error."""

    def answer(error: BaseException) -> str:
        def run(argv: list[str]) -> None:
            raise error

        monkeypatch.setattr(cli, "run", run)
        with pytest.raises(SystemExit) as stopped:
            main([])
        said = capsys.readouterr().err
        assert stopped.value.code == (2 if said else 130)
        return said

    return answer


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "the disk is full; make room and run the same command again"),
        (errno.EDQUOT, "the disk is full; make room and run the same command again"),
        (errno.EROFS, "cannot be read or written (Read-only file system); mend that and run the same command again"),
        (errno.EACCES, "cannot be read or written (Permission denied)"),
        (errno.EISDIR, "cannot be read or written (Is a directory)"),
        (errno.ENAMETOOLONG, "cannot be read or written (File name too long)"),
    ],
)
def test_what_the_system_refuses(failing: Callable[[BaseException], str], number: int, said: str) -> None:
    assert failing(OSError(number, os.strerror(number), "/a/file")).startswith(f"emu: /a/file: {said}")
    assert failing(OSError(number, os.strerror(number))).startswith(f"emu: {said}")  # it names no file


def test_what_libraries_make_of_a_disk_that_takes_no_more(tmp_path: Path) -> None:
    """Their own errors, which are none of the system's. A limit on the size of files stands in for a disk."""
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "a").write_text("a" * 10_000)
    words = Tokenizer(WordLevel({str(i): i for i in range(5000)}, unk_token="0"))
    writers: list[Callable[[], object]] = [
        lambda: save_file({"a": torch.zeros(10_000)}, tmp_path / "a"),
        lambda: words.save(str(tmp_path / "b")),
        lambda: shutil.copytree(tmp_path / "from", tmp_path / "to"),
    ]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for write in writers:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            with pytest.raises(Exception, match="File too large") as told:
                write()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        said = cli.mendable(told.value)
        assert said == "cannot be read or written (File too large); mend that and run the same command again"
    assert cli.mendable(RuntimeError("nothing of a disk")) is None


def test_a_file_that_a_library_could_not_write_is_named(tmp_path: Path) -> None:
    def full(beside: Path) -> None:
        beside.write_text("half")
        raise RuntimeError("I/O error: No space left on device (os error 28)")

    with pytest.raises(OSError, match="No space left") as told, files.replacing(tmp_path / "a") as beside:
        full(beside)
    assert told.value.filename == str(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_interrupted_it_says_nothing(failing: Callable[[BaseException], str]) -> None:
    assert failing(KeyboardInterrupt()) == ""


def test_a_fault_of_ours_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "run", lambda argv: argv[3])
    with pytest.raises(IndexError):
        main([])


def test_whoever_reads_the_output_may_leave() -> None:
    code = "import sys; from emu import cli; cli.run = lambda argv: print('x\\n' * 10**6); cli.main([])"
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stderr is not None
    writer.stdout.read(10)
    writer.stdout.close()
    assert writer.stderr.read() == b""
    writer.stderr.close()
    assert writer.wait() == 1


def test_a_full_disk_under_a_command(tmp_path: Path) -> None:
    """/dev/full takes nothing."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    (tmp_path / "report.html").symlink_to("/dev/full")
    code = (
        "from pathlib import Path; from emu import cli\n"
        f"cli.run = lambda argv: Path({str(tmp_path / 'report.html')!r}).write_text('x' * 10**6); cli.main([])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "emu: the disk is full; make room and run the same command again\n")


def test_ctrl_c_is_no_traceback() -> None:
    code = (
        "import signal, time; from emu import cli\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's job in the background ignores it
        "cli.run = lambda argv: (print('on', flush=True), time.sleep(60)); cli.main([])"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "")

"""A PostgreSQL server of the tests' own, where one is installed: in a folder, on a socket, gone afterwards."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OWNER = "postgres"  # whom the server runs as where the tests run as root, which it refuses


def programs() -> Path | None:
    """Where `initdb` and `pg_ctl` lie; Debian keeps them out of PATH."""
    found = shutil.which("initdb")
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return Path(found).resolve().parent if found else versions[-1].parent if versions else None


@contextmanager
def server() -> Iterator[str]:
    """The URL of a fresh database, as `--db` takes it."""
    there = programs()
    assert there is not None
    owner = OWNER if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="emu-pg-"))  # a short path: a socket's name has room for 107 bytes
    if owner:
        shutil.chown(folder, owner)
    data = folder / "data"

    def run(program: str, *arguments: str) -> None:
        done = subprocess.run(
            [there / program, *arguments], user=owner, cwd=folder, text=True, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    try:
        run("initdb", "--auth=trust", "--username=emu", "--no-sync", "-D", str(data))
        settings = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        run("pg_ctl", "-D", str(data), "-o", settings, "-w", "-l", str(folder / "log"), "start")
        try:
            yield f"postgresql+psycopg://emu@/postgres?host={folder}"
        finally:
            run("pg_ctl", "-D", str(data), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)

"""The engines by their names; what an engine brings is imported where it is asked for."""

from emu.curate.engine import Engine
from emu.errors import UserError

ENGINES = ("pool", "daft", "ray")


def make(name: str, *, workers: int) -> Engine:
    """`pool`: processes of this machine. `daft`: its native runner. `ray`: Daft on Ray. UserError: no such engine."""
    if name == "pool":
        from emu.curate.pool import Pool

        return Pool(workers)
    if name in ENGINES:
        from emu.curate.daft import Daft

        return Daft(workers, ray=name == "ray")
    raise UserError(f"--engine {name}: no such engine; there are {', '.join(ENGINES)}")

"""How many processor cores this process may use: on a shared machine a job has a part of them."""

import math
import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container, in microseconds of each period (cgroup version 2)


def cores() -> int:
    """Those that the scheduler of a cluster and a container's limit leave it, 1 at least."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(mine, _allowed(QUOTA) or mine))


def _allowed(file: Path) -> int | None:
    """By a container's limit; None where there is none."""
    try:
        quota, period = file.read_text().split()
        return None if quota == "max" else math.ceil(int(quota) / int(period))
    except (OSError, ValueError):
        return None

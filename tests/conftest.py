"""Tiny pipelines are built when a test first asks for one, and once a session."""

import os
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("busy machines", deadline=None)
settings.load_profile("busy machines")

# Configs of the tests name classes of theirs; processes that tests start know of it as well.
MODULES = [*Path(__file__).parent.rglob("*.py"), *(Path(__file__).parents[1] / "examples").glob("*.py")]
os.environ["EMU_TRUST"] = ",".join(sorted({path.stem for path in MODULES}))

# A minute or more each: they come first, so that at the end no worker is left alone with one of them.
LONG = ["test_checkpoints.py", "test_tour.py", "test_layouts.py", "test_kills.py", "test_study.py", "test_hostile.py"]

# With --no-skips, what may be skipped still, by a part of the reason: what no registry has, or what brings torchvision.
NOT_TO_BE_HAD = (
    "EMU_JUDGE_WEIGHTS",
    "not at hand",
    "not beside the checkout",
    "not beside this checkout",
    "disks may not be mounted",
    "open_clip",
    "torchvision",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="fail where a test is skipped that could run here (CI)")


def must_run(config: pytest.Config, report: pytest.TestReport | pytest.CollectReport) -> None:
    """With --no-skips, turn a skip into a failure that gives its reason."""
    if config.getoption("no_skips") and report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        if not any(part in reason for part in NOT_TO_BE_HAD):
            report.outcome, report.longrepr = "failed", f"{report.nodeid}: {reason}, and --no-skips was given"


# Reports are changed where they are made: pytest-xdist passes on no report of a module that is skipped whole.
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    must_run(item.config, report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    must_run(collector.config, report)
    return report


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

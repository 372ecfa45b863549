"""The 95 % intervals hold the truth 94 to 96 times in a hundred: the quick rows of `benchmarks/coverage.py`."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def bench() -> Any:
    spec = spec_from_file_location("studies", Path(__file__).parents[2] / "benchmarks" / "coverage.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("interval", "size"),
    [
        ("of_wins", (0.65, 300, 1)),
        ("of_wins", (0.65, 100, 5)),
        ("of_wins", (0.5, 300, 5)),
        ("of_net", (0.65, 100, 5)),
        ("of_mean", (30, 1)),
        ("of_mean", (2, 4)),
        ("of_mean", (5, 4)),
        ("of_ratio", (3,)),
    ],
)
def test_two_thousand_studies(bench: Any, interval: str, size: tuple[float, ...]) -> None:
    held, _ = bench.coverage(getattr(bench, interval)(*size), 2000)
    assert 0.94 <= held <= 0.96


def test_few_prompts_are_not_taken_for_sure(bench: Any) -> None:
    """Wins are counts, so that coverage goes in steps: of two prompts four draws each it is above 95 %."""
    for prompts in (2, 3, 5):
        for interval in (bench.of_wins, bench.of_net):
            held, _ = bench.coverage(interval(0.65, prompts, 4), 300)
            assert held >= 0.91


def test_draws_taken_for_prompts_are_too_sure(bench: Any) -> None:
    held, _ = bench.coverage(bench.by_draw(0.65, 100, 5), 500)
    assert held < 0.85

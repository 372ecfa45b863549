"""How often the intervals of `emu.statistics` hold the truth, in simulated studies whose truth is known.

    python benchmarks/coverage.py                  # 2,000 studies a row, minutes on one core
    python benchmarks/coverage.py --studies 200    # to see that it works

A study has k prompts; each has a chance of its own that the picture after tuning wins, and m draws (or votes) follow
it. The chances are spread as a beta distribution of the wanted mean and `SPREAD`, which makes the draws of a prompt
agree as those of raters do. `by draw` is the mistake: the same draws, each taken for a prompt.
"""

import argparse
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from emu.statistics import by_prompt, mean_difference, net_rate, ratio_interval, win_rate
from emu.statistics.intervals import Interval

SPREAD = 2.0  # a + b of the beta distribution: within a prompt, draws correlate by 1 / (1 + SPREAD)
TIED = 0.1
RESAMPLES = 2000  # of prompts, by the percentile bootstrap that the intervals are compared with
Study = Callable[[np.random.Generator], tuple[Interval, float]]


def main() -> None:
    """Prints the table of docs/results/statistics.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    studies = parser.parse_args().studies
    print("| interval | of what | prompts x draws | covers the truth | width |\n|---|---|---|---|---|")
    for name, what, size, study in rows():
        share, width = coverage(study, studies)
        print(f"| {name} | {what} | {size} | {100 * share:.1f} % | {width:.3g} |", flush=True)


def coverage(study: Study, studies: int, *, seed: int = 0) -> tuple[float, float]:
    """(share of studies whose interval holds the truth, mean width)."""
    rng = np.random.default_rng(seed)
    told = [study(rng) for _ in range(studies)]
    held = float(np.mean([low <= truth <= high for (low, high), truth in told]))
    return held, float(np.mean([high - low for (low, high), _ in told]))


def rows() -> Iterator[tuple[str, str, str, Study]]:
    """Every row of the table: interval, truth, size, study."""
    for k, m in ((100, 1), (300, 1), (30, 4), (100, 5), (300, 5)):
        for truth in (0.5, 0.65, 0.9):
            yield "win rate", f"{100 * truth:g} %", f"{k} x {m}", of_wins(truth, k, m)
    for k, m in ((100, 1), (100, 5), (300, 5)):
        yield "win - lose", f"{100 * (1 - TIED) * 0.3:g} points", f"{k} x {m}", of_net(0.65, k, m)
    for k, m in ((30, 1), (100, 5)):
        yield "mean difference", "0.3", f"{k} x {m}", of_mean(k, m)
    for k in (30, 100):
        yield "ratio of diversity", "0.9", f"{k} x 4", of_ratio(k)
    for k in (2, 3, 5, 10):
        yield "win rate", "65 %", f"{k} x 4", of_wins(0.65, k, 4)
        yield "win - lose", f"{100 * (1 - TIED) * 0.3:g} points", f"{k} x 4", of_net(0.65, k, 4)
        yield "mean difference", "0.3", f"{k} x 4", of_mean(k, 4)
        yield "ratio of diversity", "0.9", f"{k} x 4", of_ratio(k)
    for truth, k in ((0.65, 100), (0.97, 30), (0.97, 100)):
        yield "win rate", f"{100 * truth:g} %", f"{k} x 5", of_wins(truth, k, 5)
        yield "win rate, percentile bootstrap", f"{100 * truth:g} %", f"{k} x 5", by_bootstrap(truth, k, 5)
    for k in (100, 300):
        yield "win rate, by draw", "65 %", f"{k} x 5", by_draw(0.65, k, 5)


def drawn(rng: np.random.Generator, truth: float, k: int, m: int) -> tuple[NDArray[np.bool_], list[int]]:
    """Wins bool (k m,) and the prompt of each."""
    chances = rng.beta(truth * SPREAD, (1 - truth) * SPREAD, size=(k, 1)) if m > 1 else np.full((k, 1), truth)
    return (rng.random((k, m)) < chances).ravel(), np.repeat(np.arange(k), m).tolist()


def of_wins(truth: float, k: int, m: int) -> Study:
    def study(rng: np.random.Generator) -> tuple[Interval, float]:
        won, prompts = drawn(rng, truth, k, m)
        return win_rate([0.0] * len(won), (won * 2.0 - 1).tolist(), tie=0, prompts=prompts).ci95, 100 * truth

    return study


def of_net(truth: float, k: int, m: int) -> Study:
    def study(rng: np.random.Generator) -> tuple[Interval, float]:
        won, prompts = drawn(rng, truth, k, m)
        signs = (won * 2.0 - 1) * (rng.random(len(won)) >= TIED)
        net = net_rate([0.0] * len(won), signs.tolist(), tie=0, prompts=prompts)
        return net.ci95, 100 * (1 - TIED) * (2 * truth - 1)

    return study


def of_mean(k: int, m: int) -> Study:
    def study(rng: np.random.Generator) -> tuple[Interval, float]:
        values = 0.3 + np.repeat(rng.normal(0, 1, k), m) + rng.normal(0, 1, k * m)
        prompts = np.repeat(np.arange(k), m).tolist()
        ci95 = mean_difference([0.0] * (k * m), values.tolist(), prompts=prompts).ci95
        assert ci95 is not None
        return ci95, 0.3

    return study


def of_ratio(k: int) -> Study:
    def study(rng: np.random.Generator) -> tuple[Interval, float]:
        before = rng.gamma(9, 1, size=k)
        return ratio_interval(0.9 * before * rng.gamma(25, 1 / 25, size=k), before), 0.9

    return study


def by_draw(truth: float, k: int, m: int) -> Study:
    def study(rng: np.random.Generator) -> tuple[Interval, float]:
        won, _ = drawn(rng, truth, k, m)
        return win_rate([0.0] * len(won), (won * 2.0 - 1).tolist(), tie=0).ci95, 100 * truth

    return study


def by_bootstrap(truth: float, k: int, m: int) -> Study:
    def study(rng: np.random.Generator) -> tuple[Interval, float]:
        sums, counts = by_prompt(*drawn(rng, truth, k, m))
        shares = rng.multinomial(k, np.full(k, 1 / k), size=RESAMPLES) @ np.stack([sums, counts], axis=1)
        low, high = np.percentile(100 * shares[:, 0] / shares[:, 1], (2.5, 97.5))
        return (float(low), float(high)), 100 * truth

    return study


if __name__ == "__main__":
    main()

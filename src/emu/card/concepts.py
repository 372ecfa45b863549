"""Concept shares before and after the funnel, in a table and in plain sentences; scores by concept.

Both sides are counted, not sampled. The interval says where a share would lie by chance alone had the pictures that
stayed been drawn without a look at the concept: a share before that is outside of it was moved by the funnel.
"""

from collections import Counter

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from emu.card.blocks import Block, Cell, Quoted, Section, Table, counted, share
from emu.class_paths import named
from emu.curate.folder import Curated
from emu.curate.manifest import groups
from emu.curate.stage import Value
from emu.curate.stages.judged import Judged
from emu.statistics import simultaneous_level
from emu.terminal.counted import many

FEWEST = 5  # expected pictures: with fewer, a share says nothing
SHOWN = 40  # concepts in a table
OVER, UNDER, AS_BEFORE, FEW = "over-represented", "under-represented", "as before", "too few to tell"


def section(curated: Curated) -> Section:
    """What is over- and under-represented."""
    if curated.concept is None:
        return Section("Concepts", ["Not known: neither manifest nor metadata has a column of concepts."])
    after = Counter(curated.concepts().values())
    known = Counter(str(one) for one in curated.column(curated.concept).values() if one is not None)
    before = _before(curated)
    column = Quoted(curated.concept)
    blocks: list[Block] = []
    if before and known:
        level = simultaneous_level(len(before))
        blocks += [
            f"Of {many(before.total(), 'picture')} whose concept is known before, and "
            f"{many(known.total(), 'picture')} of those that stayed. The interval is that of the share after (Wilson, "
            "all of them together at 95 %): a share before that lies outside was moved by more than chance.",
            Table(
                [column, "Before", "Share", "After", "Share", "Interval", "Verdict"],
                [_row(name, before, known, level) for name, _ in before.most_common(SHOWN)],
                number=6,
            ),
            *_moved(before, known, level),
        ]
    else:
        blocks += [
            "Shares before and after the funnel are not both known.",
            counted(column, "Pictures", after, most=SHOWN),
        ]
    if len(before or after) > SHOWN:
        blocks += [f"The {SHOWN} largest of {len(before or after):,} concepts."]
    return Section("Concepts", [*blocks, *_scores(curated)])


def verdict(before: int, came: int, after: int, stayed: int, *, level: float) -> tuple[str, str]:
    """(interval of the share after, what that says of the share before), in words."""
    low, high = proportion_confint(after, stayed, alpha=1 - level, method="wilson")
    expected, interval = stayed * before / came, f"{100 * low:.1f} to {100 * high:.1f} %"
    if expected < FEWEST:
        return interval, FEW
    if low <= before / came <= high:
        return interval, AS_BEFORE
    times = after / expected
    return interval, f"{OVER}, {times:.1f} times" if times > 1 else f"{UNDER}, {times:.2f} times"


def _row(name: str, before: Counter[str], after: Counter[str], level: float) -> list[Cell]:
    interval, said = verdict(before[name], before.total(), after[name], after.total(), level=level)
    shares = (share(before[name], before.total()), share(after[name], after.total()))
    return [Quoted(name), f"{before[name]:,}", shares[0], f"{after[name]:,}", shares[1], interval, said]


def _moved(before: Counter[str], after: Counter[str], level: float) -> list[Block]:
    """The verdicts the other way round: each with its concepts."""
    by: dict[str, list[str]] = {word: [] for word in (OVER, UNDER, FEW)}
    for name in before:
        said = verdict(before[name], before.total(), after[name], after.total(), level=level)[1].partition(",")[0]
        if said in by:
            by[said].append(name)
    rows: list[list[Cell]] = [[word, Quoted(", ".join(names)) if names else "none"] for word, names in by.items()]
    return ["Said of the set as against its source:", Table(["What", "Concepts"], rows)]


def _before(curated: Curated) -> Counter[str]:
    found: Counter[str] = Counter()
    if curated.concept in curated.columns:
        for group in groups(curated.folder, [curated.concept]):
            values = pc.drop_null(group[curated.concept]).to_pylist()
            found.update(map(str, values))
    return found


def _scores(curated: Curated) -> list[Block]:
    concepts = curated.concepts()
    stages = [one for one in curated.config.stages or [] if named.leads_to(one.class_path, Judged)]
    names = [name for one in stages if (name := str((one.init_args or {}).get("column"))) in curated.columns]
    means = {name: _means(curated.column(name), concepts) for name in names}
    counts = Counter(concepts.values())
    rows: list[list[Cell]] = [
        [Quoted(concept), f"{number:,}", *(cell for name in names for cell in means[name].get(concept, ("-", "-")))]
        for concept, number in counts.most_common(SHOWN)
    ]
    heads: list[Cell] = ["Concept", "Pictures", *(head for name in names for head in (Quoted(name), "Interval"))]
    lead = "Scores of those that stayed, in the judges' own units; means with Student's 95 % interval:"
    return [lead, Table(heads, rows, number=len(heads) - 1)] if names else []


def _means(scores: dict[str, Value], concepts: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Concept -> (mean, interval), of the pictures that have a score."""
    by: dict[str, list[float]] = {}
    for file, score in scores.items():
        if isinstance(score, int | float):
            by.setdefault(concepts[file], []).append(float(score))
    return {name: (f"{np.mean(values):.3g}", _interval(np.array(values))) for name, values in by.items()}


def _interval(values: NDArray[np.float64]) -> str:
    if len(values) < FEWEST:
        return FEW
    if np.ptp(values) == 0:
        return "all alike"
    found = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    return f"{found.low:.3g} to {found.high:.3g}"

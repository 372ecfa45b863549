"""Compare: before against after, pair by pair, for any number of run folders.

Reads folders only: no GPU, no weights, no architecture. Torch is imported only where a judge has to run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emu.compare.attributes import AttributeReader, read_attributes
from emu.compare.curated import CuratedSet, CuratedSets
from emu.compare.guarding import drift, findings, look
from emu.compare.headline import headline
from emu.compare.judged import groups, judged, judges_of
from emu.compare.pairing import Pairing
from emu.compare.people import Heard, read_people
from emu.compare.reading import read_pairings
from emu.compare.report import Compared, report_page
from emu.compare.table import verdict_table
from emu.compare.verdict import Verdict, Verdicts
from emu.errors import UserError
from emu.guards import Evidence
from emu.layouts.runs import read_config
from emu.storage import files

if TYPE_CHECKING:
    from emu.compare.judging import Bench
    from emu.compare.reference import ReferenceSet
    from emu.judges import Embedder, Judge

__all__ = ["Against", "compare"]


@dataclass(frozen=True)
class Against:
    """What pictures are held against beside each other.

    Args:
        training: the curated set, as `data.root` takes it, for copies; None for what each run's config names, if it is
            here.
        reference: pictures that both sides are measured against as sets.
        attributes: reads in pictures what their prompts ask for, by the columns of the prompt file.
        embedder: tells near pictures from far ones; None for where light and dark lie (`emu.guards.looks`).
    """

    training: str | None = None
    reference: "ReferenceSet | None" = None
    attributes: AttributeReader | None = None
    embedder: "Embedder | None" = None


def compare(
    runs: Sequence[Path],
    *,
    out: Path,
    appeal: "Judge | Sequence[Judge]" = (),
    faithfulness: "Judge | Sequence[Judge]" = (),
    bench: "Bench | None" = None,
    against: Against = Against(),  # noqa: B008 - frozen
    paths: bool = False,
) -> str:
    """Write the page `out` and `verdict.json` beside it; return the table for the terminal.

    Args:
        runs: run folders, each compared at step 0 against its best step; or two plain folders of pictures, before and
            after, into which nothing is written.
        appeal, faithfulness: judges, the headline's first; those that have not scored the pictures yet do so, and the
            scores are kept in the run folders. Pictures that none has scored are paired and said to be not judged.
        bench: where judges sit, a device and a cache of scores; without it the CPU and none.
        paths: keep absolute paths of configs and judges in both files; without it their last part alone stays.

    Raises:
        UserError: `out` is no file of its own; a folder without a before or an after, or drawn with two samplers;
            votes on other pictures.
    """
    beside = out.with_name("verdict.json")
    if out.is_dir() or out == beside:
        raise UserError(f"--out {out}: name a file for the page, such as page.html; verdict.json goes beside it")
    given = {"appeal": appeal, "faithfulness": faithfulness}
    judges = {name: some if isinstance(some, Sequence) else (some,) for name, some in given.items() if some}
    sets = CuratedSets(against.training, against.embedder)
    compared = [_compared(one, sets, against) for one in read_pairings(runs, judges, bench)]
    if not paths:
        compared = [one.without_places() for one in compared]
    verdicts = [one.verdict for one in compared]
    comparison = Verdicts(headline(verdicts), verdicts)
    files.write(out, report_page(compared, comparison), alone=True)
    files.write_json(beside, comparison, indent=2, alone=True)
    return verdict_table(verdicts)


def _compared(pairing: Pairing, sets: CuratedSets, against: Against) -> Compared:
    curated, heard = sets.of(pairing.folder), read_people(pairing)
    seen = look(pairing, curated, against.embedder)
    verdict = _verdict(pairing, heard, curated, seen, against)
    return Compared(pairing, seen, heard, verdict, read_config(pairing.folder) or {})


def _verdict(pairing: Pairing, heard: Heard, curated: CuratedSet, seen: Evidence, against: Against) -> Verdict:
    attributes = read_attributes(pairing, against.attributes) if against.attributes else None
    return Verdict(
        name=pairing.name,
        model=pairing.quality.model,
        before=pairing.names[0],
        after=pairing.names[1],
        before_step=pairing.before_step,
        after_step=pairing.after_step,
        prompts=len(set(pairing.prompts)),
        pairs=len(pairing.pairs),
        **{name: judged(pairing, name) for name in pairing.criteria},
        people=heard.people,
        unheard=heard.unheard,
        groups=groups(pairing),
        attributes=attributes,
        guards=findings(pairing, seen, attributes),
        features=seen.features,
        drift=drift(seen),
        sets=against.reference.measure(pairing) if against.reference else None,
        unpaired=len(pairing.alone),
        alone=pairing.alone,
        black=pairing.black,
        unasked=sum(not pair.asked for pair in pairing.pairs),
        notes=[*pairing.notes, *filter(None, [curated.unread])],
        stop_reason=pairing.quality.stop_reason,
        judges=judges_of(pairing),
    )

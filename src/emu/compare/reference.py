"""Both sides of a run against a folder of pictures, as sets: what FID and its kin say.

They tell whether a set of samples looks like another set, not whether a picture is good or shows its prompt.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from emu.compare.pairing import Pairing
from emu.compare.pictures import MAX_PIXELS, open_picture
from emu.compare.verdict import ReferenceFolder, SetFigures, Sets
from emu.data.pictures import BadPicture, decode
from emu.data.sources.kinds import pictures_below
from emu.data.sources.openers import File
from emu.errors import UserError
from emu.judges import Embedder, sets
from emu.terminal.counted import many

ENOUGH = 10_000  # pictures on either side, below which FID's bias is known to mislead
FEW = (
    "small samples: with fewer than {enough:,} pictures on a side FID is too high by an amount that depends on their "
    "number, so read before against after, of equal numbers, and no figure against one of a paper; KID and CMMD are "
    "unbiased but noisy"
)


class ReferenceSet:
    """A folder of pictures, seen by an embedder.

    Args:
        folder: searched with all folders below it, for pictures of every kind that can be trained on.
        embedder: sees the pictures; its space gives the measures their meaning.
        device: where it computes.
    """

    def __init__(self, folder: Path, embedder: Embedder, *, device: str = "cpu") -> None:
        self.folder, self.embedder, self.device = folder, embedder, device
        self.paths = [folder / file for file in pictures_below(folder)]
        if len(self.paths) <= sets.NEIGHBOURS:
            raise UserError(
                f"--reference {folder}: holds {many(len(self.paths), 'picture')}; name a folder with more of them"
            )
        self._seen: Tensor | None = None

    def measure(self, pairing: Pairing) -> Sets:
        """Both sides against the reference. UserError: too few pairs."""
        number = len(pairing.pairs)
        if number <= sets.NEIGHBOURS:
            raise UserError(
                f"{pairing.name}: {many(number, 'pair is', 'pairs are')} too few to be measured as a set; "
                "leave --reference out"
            )
        if self._seen is None:
            self._seen = self._see(map(self._open, self.paths))
        few = min(number, len(self.paths)) < ENOUGH
        return Sets(
            reference=ReferenceFolder(self.folder.name, len(self.paths)),
            features=dict(self.embedder.describe()),
            before=self._figures([pair.before for pair in pairing.pairs], self._seen),
            after=self._figures([pair.after for pair in pairing.pairs], self._seen),
            warning=FEW.format(enough=ENOUGH) if few else None,
        )

    def _figures(self, paths: Sequence[Path], reference: Tensor) -> SetFigures:
        return set_figures(self._see(map(open_picture, paths)), reference)

    def _open(self, path: Path) -> Image.Image:
        """As training reads it, so that a set is like itself whatever its files are."""
        try:
            return decode(File(path), max_pixels=MAX_PIXELS)
        except BadPicture as reason:
            raise UserError(f"--reference {self.folder}: {path.name}: {reason}; remove it there") from None

    def _see(self, pictures: Iterable[Image.Image]) -> Tensor:
        """(n,d) on the CPU; one picture in memory at a time."""
        return torch.from_numpy(np.stack([self.embedder.see(picture, device=self.device) for picture in pictures]))


def set_figures(samples: Tensor, reference: Tensor) -> SetFigures:
    """All measures of samples (n,d) against a reference (m,d); n and m above `sets.NEIGHBOURS`."""
    kid, kid_sd = sets.kernel_distance(samples, reference)
    return SetFigures(
        pictures=len(samples),
        fid=sets.frechet_distance(samples, reference),
        kid=kid,
        kid_sd=kid_sd,
        cmmd=sets.cmmd(samples, reference),
        precision=sets.coverage(samples, by=reference),
        recall=sets.coverage(reference, by=samples),
    )

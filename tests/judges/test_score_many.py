"""Many pictures in one forward pass: what `score` says of each, but for the last bits."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from emu.judges import Judge
from emu.judges.clip import ClipScore
from emu.judges.clip_iqa import ClipIqa
from emu.judges.laion import LaionAesthetic
from emu.judges.photo_rules import PhotoRules
from emu.judges.pick import PickScore
from emu.judges.world import WorldAppeal, WorldFaithfulness
from judges_pictures import pictures, tensor

PROMPTS = ["a red boat at noon", "a blue bird in the snow", "a red boat in the snow", ""]


def laion(clip: str) -> Judge:
    head = Path(clip) / "head.safetensors"
    save_file({"weight": torch.linspace(-1, 1, 16)[None], "bias": torch.tensor([5.0])}, head)
    return LaionAesthetic(str(head), clip)


MADE: dict[str, Callable[[str], Judge]] = {
    "clip": ClipScore,
    "iqa": lambda clip: ClipIqa(model=clip),
    "pick": lambda clip: PickScore(clip, clip),
    "laion": laion,
    "appeal": lambda _: WorldAppeal(),
    "faithfulness": lambda _: WorldFaithfulness(),
    "rules": lambda _: PhotoRules(),
}


@pytest.mark.parametrize("kind", MADE)
def test_together_is_one_by_one_whatever_the_sizes(clip_folder: Path, kind: str) -> None:
    judge = MADE[kind](str(clip_folder))
    shown = [tensor(pictures(40 + 8 * i, 48 - 4 * i))[i] for i in range(4)]
    alone = torch.cat([judge.score(one[None], [text]) for one, text in zip(shown, PROMPTS, strict=True)])
    together = judge.score_many(shown, PROMPTS)
    assert together.shape == (4,)
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
    assert kind == "faithfulness" or len(set(alone.tolist())) > 1

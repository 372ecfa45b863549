"""LAION-Aesthetics: small heads on CLIP embeddings that guess how people would rate a picture.

Both published forms are read: version 1, one linear layer (github.com/LAION-AI/aesthetic-predictor), and version 2,
five of them without activations (github.com/christophschuhmann/improved-aesthetic-predictor).
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from emu.errors import UserError
from emu.judges.clip import Clip
from emu.judges.judge import BatchedJudge, Card
from emu.judges.weights import WeightsFile

Layouts = Mapping[str, Callable[[int], nn.Module]]


def version_1(width: int) -> nn.Module:
    """One layer, with the keys of its file."""
    return nn.Linear(width, 1)


def version_2(width: int) -> nn.Module:
    """Five layers, with the keys of its file: where the original drops out in training, an identity keeps the count."""
    identity = nn.Identity()
    layers = [nn.Linear(width, 1024), identity, nn.Linear(1024, 128), identity, nn.Linear(128, 64), identity]
    return nn.Sequential(OrderedDict(layers=nn.Sequential(*layers, nn.Linear(64, 16), nn.Linear(16, 1))))


VERSIONS: Layouts = {"weight": version_1, "layers.0.weight": version_2}  # the key that each alone has
WANTED = "version 1 (weight, bias) nor version 2 (layers.0.weight, ...) of LAION-Aesthetics"


class LaionAesthetic(BatchedJudge):
    """How high people would rate a picture, about 1 to 10, whatever its prompt.

    It may reject, and must never select alone: heads of this kind are known to prefer women, blurred backgrounds,
    softness and brightness, so a model tuned until this judge is content drifts there. Let people, or a judge of your
    own taste, confirm what it says; and do not let it judge pictures whose training set it has filtered.

    Args:
        head: the head's file, `.safetensors` or of torch. Raises UserError where it is neither version 1 nor 2.
        model: the CLIP model that the head was made for, by hub name or folder; loaded with the first picture.
        sha256: that the head's file must have, or its beginning; another is refused.
        model_sha256: the same for the weights of the CLIP model.
    """

    name = "laion-aesthetic"
    reads_prompts = False
    family = "clip"
    tie = 0.05  # points of a scale on which people voted in whole ones
    layouts = VERSIONS
    wanted = WANTED

    def __init__(
        self,
        head: str,
        model: str = "openai/clip-vit-large-patch14",
        *,
        sha256: str | None = None,
        model_sha256: str | None = None,
    ) -> None:
        self.file = WeightsFile(Path(head), sha256)
        self.head = read_head(self.file, self.layouts, wanted=self.wanted)
        self.embedder = Clip(model, sha256=model_sha256)

    @torch.inference_mode()
    def score_many(self, images: Sequence[Tensor], prompts: Sequence[str]) -> Tensor:
        seen = self.embedder.images(images)
        if (width := seen.shape[1]) != self.width:
            raise UserError(
                f"{self.file.path}: reads {self.width} numbers a picture, {self.embedder.files.name} gives {width}; "
                "name as `model` the one that the head was made for"
            )
        ratings: Tensor = self.head.to(seen.device)(seen)[:, 0]
        return ratings

    def require(self) -> None:
        self.embedder.require()

    def describe(self) -> Card:
        return {**self.embedder.describe(), "head": self.file.path.name, "sha256 of the head": self.file.sha256}

    @property
    def width(self) -> int:
        """How many numbers of a picture the head reads."""
        return int(next(self.head.parameters()).shape[1])


def read_head(file: WeightsFile, layouts: Layouts = VERSIONS, *, wanted: str = WANTED) -> nn.Module:
    """A head of one of the layouts: (d,) of length 1 -> (1,). Raises UserError for any other file."""
    tensors = file.read(wanted="the head's own file")
    try:
        first, made = next((key, made) for key, made in layouts.items() if key in tensors)
        with torch.device("meta"):  # no weights are drawn: that would move the seed of whatever is drawn next
            head = made(tensors[first].shape[1])
        head.load_state_dict(tensors, assign=True)
    except (StopIteration, TypeError, AttributeError, IndexError, RuntimeError) as error:
        raise UserError(f"{file.path}: neither {wanted}") from error
    return head.float().eval().requires_grad_(False)

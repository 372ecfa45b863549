"""A model, measured: what it makes of four pictures at fixed times and noise, link by link, and its first picture.

The links of a loss follow each other: pictures and captions are encoded, noise is added, the network is given a time
and answers, the answer is held against what it should be. Each link leaves a print, so that of two measurements the
first link that differs says where the fault lies. Notable: nothing here knows an architecture.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emu import starts
from emu.batch import Cond, Prompts
from emu.check.parts import Part, parts_of
from emu.check.prints import Print, print_of
from emu.check.shown import captions, pictures, scenes
from emu.check.watching import Seen, answering, tensors, watched
from emu.errors import UserError, first_line
from emu.module import TextToImageModule, asked
from emu.module.settings import draw
from emu.objectives import draws

TIMES = 8  # evenly spread over [0,1), as `emu.objectives.draws.at_times` has them
LIBRARIES = ("torch", "diffusers", "transformers")

Losses = list[list[float]]
"""[time][picture]"""
Links = dict[str, list[Print]]
"""Link -> a print a time, or one print where it does not depend on the time."""
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Measured:
    """All that is known of a model; with the first picture beside it, what is stored of one.

    Args:
        model: as it was named.
        kind: the class of the architecture.
        made_with: the libraries' versions.
        device: "cpu" or "cuda".
        precision: as `--trainer.precision` of `emu fit` has it.
        size: height and width in pixels of the pictures.
        parts: component -> what it holds.
        links: in the order in which they depend on each other.
        losses: as the model stands ("own"); with each caption at another picture ("shuffled"); with zeros for the
            network's answer ("zero"), and with its sign turned ("turned").
    """

    model: str
    kind: str
    made_with: dict[str, str]
    device: str
    precision: str
    size: tuple[int, int]
    parts: dict[str, Part]
    links: Links
    losses: dict[str, Losses]
    schema: Literal[1] = 1


@torch.no_grad()
def measure(
    model: TextToImageModule, name: str, *, precision: str, context: AbstractContextManager[Any]
) -> tuple[Measured, Pixels]:
    """The model, on the device that it is on, and its first picture, uint8 (h,w,3); `context`: of the precision."""
    with context:
        try:
            drawn = first_picture(model)
        except RuntimeError as error:
            raise UserError(f"{name}: draws no picture ({first_line(error)}); look at its weights") from error
        size = (drawn.shape[0], drawn.shape[1])
        links, losses = chain(model, pictures(*size).to(model.device))
    made_with = {library: version(library) for library in LIBRARIES}
    kind, device = type(model).__name__, model.device.type
    return Measured(name, kind, made_with, device, precision, size, parts_of(model), links, losses), drawn


def first_picture(model: TextToImageModule) -> Pixels:
    """Of the first caption and seed 0, or made of the first picture; what is not finite is black."""
    batch: Prompts = {"prompt": captions()[:1], "seed": torch.tensor([0]), "index": torch.tensor([0])}
    if model.starts_from_picture:
        batch["columns"] = [{starts.COLUMN: scenes()[0].render().resize((model.start_side,) * 2)}]
    drawn = draw(model, batch)[0].nan_to_num()
    pixels: Pixels = (drawn * 255).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
    return pixels


def chain(model: TextToImageModule, images: Tensor) -> tuple[Links, dict[str, Losses]]:
    """The prints of all links, and the losses, for float (b,3,h,w) in [-1,1]."""
    with model.pictures_as_held():
        x = as_cached(torch.cat([asked.pictures(model, image[None]) for image in images]))
    text = model.encode(captions()) if model.reads_captions else {}
    text = {key: as_cached(value) for key, value in text.items()}
    seen, losses = learn(model, x, text, images.shape[-2:])
    links = {
        "pictures": [print_of(list(images))],
        "tokens": [print_of([torch.tensor(ids) for ids in model.token_ids(captions())])],
        "captions": [print_of(list(text.values()))],
        "encoded pictures": [print_of(list(x))],
        **links_given(seen),
        "network's answer": [print_of([answer for _, answer in tensors(one.answers)]) for one in seen],
    }
    return links, losses


def as_cached(tensor: Tensor) -> Tensor:
    """As a cache gives it: in order, and float32, so that noise is drawn alike in any precision."""
    return (tensor.float() if tensor.is_floating_point() else tensor).contiguous()


def learn(model: TextToImageModule, x: Tensor, text: Cond, sides: torch.Size) -> tuple[list[Seen], dict[str, Losses]]:
    """What the network was given and answered at each time, and the losses; h and w are `sides`."""
    size = torch.tensor([[*sides, 0, 0, *sides]] * len(x), device=x.device)
    cond = {**text, "size": size}
    shuffled = {**{key: value.roll(1, 0) for key, value in text.items()}, "size": size}
    seen: list[Seen] = []
    losses: dict[str, Losses] = {"own": [], "shuffled": [], "zero": [], "turned": []}
    for number in range(TIMES):
        with watched(model.backbone) as now:
            losses["own"].append(losses_at(model, x, cond, number))
        seen.append(now)
        losses["shuffled"].append(losses_at(model, x, shuffled, number))
        for kind, times in (("zero", 0.0), ("turned", -1.0)):
            with answering(model.backbone, now.answers, times=times):
                losses[kind].append(losses_at(model, x, cond, number))
    return seen, losses


def losses_at(model: TextToImageModule, x: Tensor, cond: Cond, number: int) -> list[float]:
    """The loss of each picture at time `number`, with noise that depends on picture and time alone, of any device."""
    times = torch.full((len(x),), (number + 0.5) / TIMES)
    seeds = [len(x) * number + i for i in range(len(x))]
    with draws.at_times(times), draws.seeded(seeds, torch.device("cpu")):
        losses: list[float] = asked.losses(model, x, cond).float().tolist()
    return losses


def links_given(seen: list[Seen]) -> Links:
    """What the network was given at each time, parted by what it does over the times.

    What stays is a condition; of what changes, one number a picture is the time, and more are the noisy pictures.
    """
    kinds: dict[str, list[str]] = {"conditions": [], "time": [], "noisy pictures": []}
    for way, first in seen[0].given.items():
        if all(torch.equal(first, other.given[way]) for other in seen):
            kinds["conditions"].append(way)
        else:
            kinds["time" if first.ndim < 2 else "noisy pictures"].append(way)
    by_time = {kind: [print_of([one.given[way] for way in held]) for one in seen] for kind, held in kinds.items()}
    return {**by_time, "conditions": by_time["conditions"][:1]}

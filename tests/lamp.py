"""A text-to-image model of one weight, its data and its judges: QualityTuning's whole loop in milliseconds a step.

`Lamp` draws flat grey pictures that brighten as it trains. Picture `index` starts a little brighter than the one
before, so that wins come one after another; `Brightness` judges exactly what training changes.
"""

from collections.abc import Iterator
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from emu.judges import Judge


class Brightness(Judge):
    """Brighter is better (sign 1) or worse (sign -1); a tie below one 8-bit level."""

    def __init__(self, sign: int = 1) -> None:
        self.name = "brightness" if sign > 0 else "darkness"
        self.tie = 0.5 / 255
        self.sign = sign

    def score(self, images: Tensor, prompts: list[str]) -> Tensor:
        assert images.min() >= 0
        assert images.max() <= 1
        assert len(images) == len(prompts)
        return self.sign * images.mean(dim=(1, 2, 3))

    def describe(self) -> dict[str, str | float]:
        return {"preprocessing": "none", "held-out accuracy": 1.0}


class Lamp(L.LightningModule):
    """Every optimizer step adds `speed` to the light of all pictures, up to `ceiling`."""

    sampler = {"num_inference_steps": 1}

    def __init__(self, *, speed: float = 0.05, ceiling: float = 0.6) -> None:
        super().__init__()
        self.light = nn.Parameter(torch.tensor(0.2))
        self.speed, self.ceiling = speed, ceiling

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        return -self.light

    def validation_step(self, batch: dict[str, Any], batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        if "prompt" not in batch:
            return {"losses": (2 - self.light).expand(len(batch["weight"]))}
        light = (self.light.detach() + 0.01 * batch["index"]).clamp(0, self.ceiling)
        return {"images": light.view(-1, 1, 1, 1).expand(-1, 3, 8, 8)}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([self.light], lr=self.speed)


class Prompts:
    """Batches of `size` prompts on every rank, `repeat` in a row the same; the last is filled up with index -1."""

    def __init__(self, count: int, size: int, rank: int, world: int, *, repeat: int = 1) -> None:
        self.repeat = repeat
        own = list(range(rank, count, world))
        longest = -(-count // world)
        own += [-1] * (-(-longest // size) * size - len(own))
        self.batches = [own[i : i + size] for i in range(0, len(own), size)]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.batches:
            index = torch.tensor(batch)
            yield {
                "prompt": [f"a lamp, number {i // self.repeat}" for i in batch],
                "seed": index + 100,
                "index": index,
                "columns": [{"group": "seen" if i % 2 else "unseen"} for i in batch],
            }


class LampData(L.LightningDataModule):
    """`pictures` training pictures in batches of 4, one held out, `prompts` prompts, `repeat` in a row the same."""

    def __init__(self, *, pictures: int = 24, prompts: int = 10, batch_size: int = 4, repeat: int = 1) -> None:
        super().__init__()
        self.repeat = repeat
        self.pictures, self.prompts, self.batch_size = pictures, prompts, batch_size

    def train_dataloader(self) -> DataLoader[Any]:
        per_rank = self.pictures // self.trainer.world_size
        return DataLoader(torch.zeros(per_rank, 1), batch_size=self.batch_size)

    def val_dataloader(self) -> list[Any]:
        rank, world = self.trainer.global_rank, self.trainer.world_size
        prompts = Prompts(self.prompts, 4, rank, world, repeat=self.repeat)
        return [
            DataLoader([{"image": torch.zeros(3, 8, 8), "weight": torch.ones(()), "time": torch.tensor(0.5)}]),
            prompts,
        ]

"""The loader of a stream: lanes dealt to devices and worker processes, their places kept in the checkpoint."""

import logging
import sys
from collections.abc import Iterator
from itertools import count
from typing import TypedDict

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from emu.batch import Pictures
from emu.data.loader import in_words
from emu.data.streams.lane import Handed, Lane
from emu.data.streams.order import Place
from emu.data.streams.shards import Spool
from emu.data.streams.small import Small
from emu.data.streams.stream import Stream
from emu.errors import UserError

log = logging.getLogger(__name__)


def require_dealt(lanes: int, *, workers: int, world: int) -> None:
    """UserError where lanes cannot be dealt to so many devices and their worker processes alike."""
    readers = world * max(1, workers)
    if lanes % readers:
        raise UserError(
            f"data.lanes {lanes}: not a multiple of {world} devices times data.num_workers {max(1, workers)}; "
            f"give {-(-lanes // readers) * readers}"
        )


class State(TypedDict):
    """What a checkpoint keeps: optimizer steps taken of the stream, each lane's place, and what these depend on."""

    step: int
    places: list[list[int]]
    parts: int
    identity: dict[str, int]


class Dealt(IterableDataset[Handed]):
    """The batches of one device, as its worker processes make them: its i-th is number `i world + rank` of all."""

    def __init__(self, stream: Stream, places: list[Place], spool: Spool, *, begin: int, rank: int, world: int) -> None:
        self.stream, self.places, self.spool = stream, places, spool
        self.begin, self.rank, self.world = begin, rank, world

    def __iter__(self) -> Iterator[Handed]:
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        lanes: dict[int, Iterator[Handed]] = {}
        for i in count(self.begin + first, step):
            number = (i * self.world + self.rank) % self.stream.lanes
            if number not in lanes:
                lanes[number] = iter(Lane(self.stream, number, self.places[number], self.spool))
            yield next(lanes[number])


class Streaming:
    """Batches without an end; `state_dict` is what Lightning puts in the checkpoint, on all ranks alike.

    A batch counts as seen once it is handed out, whatever the workers have read ahead. Which pictures an optimizer step
    sees depends on how many batches it is made of, and not on the devices and workers that share them.

    Args:
        stream: what is read.
        spool: where shards from elsewhere lie meanwhile.
        num_workers: processes that read and decode; 0 to do it here.
        accumulate: batches a step on each device.
        rank, world: which of the devices this is.
        steps: optimizer steps of the run, its length; -1 for no end.
    """

    def __init__(
        self,
        stream: Stream,
        spool: Spool,
        *,
        num_workers: int,
        accumulate: int,
        rank: int,
        world: int,
        steps: int,
    ) -> None:
        self.stream, self.spool, self.num_workers = stream, spool, num_workers
        self.accumulate, self.rank, self.world = accumulate, rank, world
        self.steps = steps
        self.identity = {**stream.identity, "number of batches a step": accumulate * world}
        self.batch = 0  # handed out on this device
        self.places = [Place(lane) for lane in range(stream.lanes)]
        self.whole = list(self.places)  # behind the newest optimizer step that is whole
        self.failures, self.small = stream.failures(), Small(stream.root)

    def __len__(self) -> int:
        return self.steps * self.accumulate if self.steps >= 0 else sys.maxsize

    def __iter__(self) -> Iterator[Pictures]:
        dealt = Dealt(self.stream, self.places, self.spool, begin=self.batch, rank=self.rank, world=self.world)
        loader: DataLoader[Handed] = DataLoader(
            dealt, batch_size=None, num_workers=self.num_workers, pin_memory=torch.cuda.is_available()
        )
        for handed in in_words(loader):
            yield self._taken(handed)

    def _taken(self, handed: Handed) -> Pictures:
        self.batch += 1
        self.places[handed.lane] = Place(*handed.place)
        if self.batch % self.accumulate == 0:
            self.whole = list(self.places)
        news = handed.news
        self.failures.add(news.read, news.failed, news.lost)
        for line in filter(None, (self.failures.news(), self.small.add(handed.batch["size"]))):
            log.warning(line)
        return handed.batch

    def state_dict(self) -> State:
        """Where all lanes stand, of whichever device: every rank has to ask."""
        return {
            "step": self.batch // self.accumulate,
            "places": [list(place) for place in self._of_all_ranks()],
            "parts": self.stream.parts,
            "identity": self.identity,
        }

    def _of_all_ranks(self) -> list[Place]:
        if self.world == 1:
            return self.whole
        every: list[list[Place]] = [[]] * self.world
        torch.distributed.all_gather_object(every, self.whole)
        return [every[lane % self.world][lane] for lane in range(self.stream.lanes)]

    def load_state_dict(self, state: State) -> None:
        """Go on there; where what the order depends on is another by now, with a pass of its own, and say so."""
        if "places" not in state:  # of a run on a set
            rank_zero_info("the stream begins its pass 1: the checkpoint is of a run on a set")
            return
        changed = [name for name, value in self.identity.items() if state["identity"].get(name) != value]
        if not changed:
            self.batch = state["step"] * self.accumulate
            self.places = [Place(*place) for place in state["places"]]
        else:
            begun = 1 + max(max(part, reached) for part, _, _, reached in state["places"]) // state["parts"]
            self.places = [Place(begun * self.stream.parts + lane) for lane in range(self.stream.lanes)]
            rank_zero_info(f"the stream begins its pass {begun + 1}, since these changed: {', '.join(changed)}")
        self.whole = list(self.places)

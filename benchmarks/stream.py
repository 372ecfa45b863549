"""Pictures a CPU second of a stream against `datasets`' streaming WebDataset, and a stream of a million records.

    OMP_NUM_THREADS=1 python benchmarks/stream.py compare --side 512 --resolution 256
    OMP_NUM_THREADS=1 python benchmarks/stream.py long --records 1000000
    python benchmarks/stream.py cropped

Both sides read the same tars in one process, in turn in blocks of batches, shuffle through as many pictures, bring them
to one shape and make the same batches. `alike` decodes and scales by the functions that the side of `datasets` does,
`ours` as a stream does: libjpeg scales by powers of two down to twice the shape at least, and torch's bicubic takes the
place of Pillow's Lanczos. How far its pixels are from the others is said.
"""

import argparse
import io
import resource
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from emu.data import CuratedData
from emu.data.buckets import assign, list_buckets
from emu.data.dataset import described
from emu.data.fitting import fit
from emu.data.pictures import decode, decode_sized
from emu.data.streams import lane
from emu.data.streams.order import arranged

BATCH, SHUFFLE = 32, 256


def photograph(seed: int, side: int) -> bytes:
    """A JPEG of noise whose spectrum falls as photographs' do."""
    rng = np.random.default_rng(seed)
    across, down = np.fft.rfftfreq(side * 4 // 3), np.fft.fftfreq(side)
    fall = np.maximum(np.hypot(down[:, None], across), 1 / side) ** -1.4
    noise = rng.normal(size=(3, *fall.shape)) + 1j * rng.normal(size=(3, *fall.shape))
    waves = np.fft.irfft2(noise * fall, s=(side, side * 4 // 3))
    pixels = np.clip(128 + 45 * waves / waves.std(), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def write(path: Path, pictures: list[bytes], begin: int, number: int) -> None:
    """A tar of `number` pictures with captions, out of those given in turn."""
    with tarfile.open(path, "w") as tar:
        for i in range(begin, begin + number):
            for ending, content in (("jpg", pictures[i % len(pictures)]), ("txt", f"picture {i}".encode())):
                member = tarfile.TarInfo(f"{i:09}.{ending}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def ours(folder: Path, resolution: int, lanes: int = 4) -> Iterator[torch.Tensor]:
    """Batches of a stream, one pass after another."""
    options = {"aspect_ratios": False, "num_workers": 0, "lanes": lanes, "shuffle": SHUFFLE // lanes}
    data = CuratedData(str(folder), stream=True, resolution=resolution, batch_size=BATCH, **options)
    data.setup("fit")
    for batch in data.train_dataloader():
        yield batch["image"]


def theirs(folder: Path, resolution: int) -> Iterator[torch.Tensor]:
    """The same with `datasets`."""
    import datasets

    files = [str(path) for path in sorted(folder.glob("*.tar"))]
    while True:
        rows = datasets.load_dataset("webdataset", data_files=files, split="train", streaming=True)
        images = []
        for row in rows.shuffle(seed=0, buffer_size=SHUFFLE):
            images.append(fit(row["jpg"].convert("RGB"), (resolution, resolution)))
            if len(images) == BATCH:
                yield torch.stack(images)
                images = []


def alike() -> Callable[[], None]:
    """Let a stream decode every pixel and scale by Lanczos; returns what undoes it."""
    before = lane.decode_sized, lane.fit_quickly
    lane.decode_sized = lambda file, *, max_pixels, least: decode_sized(file, max_pixels=max_pixels)
    lane.fit_quickly = lambda image, bucket, size: fit(image, bucket)

    def undo() -> None:
        lane.decode_sized, lane.fit_quickly = before

    return undo


def compare(side: int, resolution: int, blocks: int, batches: int) -> None:
    """A line a side: pictures a CPU second, and how many times those of `datasets`."""
    pictures = [photograph(i, side) for i in range(16)]
    with tempfile.TemporaryDirectory() as folder:
        for shard in range(8):
            write(Path(folder) / f"{shard:03}.tar", pictures, 500 * shard, 500)
        sides = {"ours": ours(Path(folder), resolution), "alike": ours(Path(folder), resolution)}
        sides["datasets"] = theirs(Path(folder), resolution)
        found: dict[str, list[float]] = {name: [] for name in sides}
        for block in range(blocks + 1):
            for name, stream in sides.items():
                undo = alike() if name == "alike" else lambda: None
                begun = time.process_time()
                for _ in range(batches):
                    next(stream)
                if block:  # the first one fills buffers
                    found[name].append(batches * BATCH / (time.process_time() - begun))
                undo()
    size = statistics.mean(map(len, pictures)) / 1e3
    print(f"{side * 4 // 3} x {side} JPEGs of {size:.0f} kB, to {resolution} x {resolution}: pictures a CPU second")
    for name, rates in found.items():
        times = [rate / other for rate, other in zip(rates, found["datasets"], strict=True)]
        middle, least, most = statistics.median(times), min(times), max(times)
        print(f"  {name:<9} {statistics.median(rates):6.0f}   {middle:.2f} [{least:.2f}, {most:.2f}] times datasets")
    apart(pictures, resolution)


def apart(pictures: list[bytes], resolution: int) -> None:
    """How far pictures of a stream are from those decoded and scaled by Pillow."""
    shape, whole = (resolution, resolution), 10**9
    levels = []
    for content in pictures:
        file = partial(io.BytesIO, content)
        image = decode(file, max_pixels=whole)
        quickly = decode(file, max_pixels=whole, least=lane.ENOUGH * resolution)
        one, other = fit(image, shape), lane.fit_quickly(quickly, shape, (image.height, image.width))
        levels.append(127.5 * (one - other).abs())
    every = torch.cat([each.flatten() for each in levels])
    noise = 10 * np.log10(255**2 / max(1e-12, float((every**2).mean())))
    print(f"  ours against alike: {float(every.mean()):.2f} 8-bit levels apart in the mean, {noise:.1f} dB")


def long(records: int, shard: int = 1000, of: int = 50) -> None:
    """Memory and CPU seconds of each tenth of a stream of `records`, in tars that are links to `of` different ones.

    Everything but the decoding is done: tars are walked, captions read, windows shuffled, batches made.
    """
    grey = torch.zeros(3, 16, 16)
    lane.decoded = lambda picture, draw, bucket, *, max_pixels: {**described(picture, draw), "image": grey}
    small = [photograph(i, 24) for i in range(64)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "shards").mkdir()
        for i in range(of):
            write(root / f"{i}.tar", small, shard * i, shard)
        for i in range(records // shard):
            (root / "shards" / f"{i:06}.tar").symlink_to(root / f"{i % of}.tar")
        stream, tenth = ours(root / "shards", 16, lanes=16), records // BATCH // 10
        print(f"{records:,} records in {records // shard:,} shards, 16 lanes: of each tenth")
        for number in range(1, 11):
            begun = time.process_time()
            for _ in range(tenth):
                next(stream)
            spent, most = time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(f"  {number:>2}  {spent:6.1f} CPU s  {most / 1024:6.0f} MiB at most so far", flush=True)


def cropped(window: int = 2048) -> None:
    """What of pictures is cut away in the shape that is nearest to each, and in that of the batch it is in."""
    rng = np.random.default_rng(0)
    usual = np.log(rng.choice([9 / 16, 2 / 3, 3 / 4, 1, 4 / 3, 3 / 2], window))
    ratios = np.exp(np.where(rng.random(window) < 0.5, usual, rng.normal(-0.1, 0.35, window)))
    sizes = [(round(1000 * ratio), 1000) for ratio in ratios]
    for resolution, batch in ((256, 64), (512, 16), (1024, 4)):
        shapes = list_buckets(resolution)
        batches = arranged(sizes, shapes, batch, rng)
        own = [cut(size, assign(*size, shapes)) for size in sizes]
        given = [cut(sizes[i], shape) for shape, of in batches for i in of]
        lost = f"{np.mean(own):.1%} in their own shapes, {np.mean(given):.1%} as batched"
        print(f"{resolution} px, batches of {batch}: {lost}")


def cut(size: tuple[int, int], shape: tuple[int, int]) -> float:
    """Share of a picture that a shape does not show."""
    ratio, wanted = size[0] / size[1], shape[0] / shape[1]
    return 1 - min(ratio / wanted, wanted / ratio)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["compare", "cropped", "long"])
    parser.add_argument("--side", type=int, default=512, help="the shorter side of the pictures")
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--batches", type=int, default=8, help="a block")
    parser.add_argument("--records", type=int, default=1_000_000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.what == "compare":
        compare(given.side, given.resolution, given.blocks, given.batches)
    elif given.what == "cropped":
        cropped()
    else:
        long(given.records)


if __name__ == "__main__":
    main()

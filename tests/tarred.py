"""Streams made on the spot: shards of small pictures of noise in three shapes, with their captions."""

from pathlib import Path

from sets import picture, write_table, write_tar


def tars(folder: Path, *sizes: int, captions: int = 1, kind: str = "PNG") -> str:
    """Shards of so many pictures, named `0-0`, `0-1`, ...; each shape is another one."""
    for shard, size in enumerate(sizes):
        members: dict[str, bytes | str] = {}
        for i in range(size):
            shape = [(16, 16), (24, 12), (12, 24)][i % 3]
            members[f"{shard}-{i}.png"] = picture(100 * shard + i, kind, shape)
            members[f"{shard}-{i}.txt"] = "\n".join(f"caption {n} of {shard}-{i}" for n in range(captions))
        write_tar(folder / f"{shard:03}.tar", members)
    return str(folder / f"{{000..{len(sizes) - 1:03}}}.tar")


def tables(folder: Path, *sizes: int) -> str:
    for shard, size in enumerate(sizes):
        rows = [{"image": {"bytes": picture(100 * shard + i)}, "text": f"{shard}-{i}"} for i in range(size)]
        write_table(folder / f"{shard:03}.parquet", rows)
    return str(folder)

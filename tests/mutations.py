"""Files as disks, editors, other programs and newer versions leave them: seeded changes of a sound one."""

import json
import random
from typing import Any

VALUES: list[Any] = [
    None, True, 0, -1, 10**30, 0.5, 1e300, float("nan"), float("inf"), "", "x", "\ud800", "../x", "a\0b", "1",
    [], [1], ["x"], [[]], {}, {"x": 1}, {"": None}, "*", "${x}", "emu.models.Nothing", "os.system", "e\u0301" * 300,
]  # fmt: skip
DEEP = b"[" * 100_000
TEXTS = [
    b"", b"\n", b"\0" * 64, b"null", b"[]", b"{}", b"3", b'"x"', b"\xff\xfe\x00", b"\xef\xbb\xbf{}", DEEP,
    b'{"a":' * 20_000, b"a: &a [*a]", b"&a {x: *a}", b"- !!python/object/apply:os.system [x]", b"%", b"\t: x", b"? [a]",
    b"a: 1\na: 2", b"1" * 5000, b"PK\x03\x04", b"%PDF-1.4", b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
]  # fmt: skip


def of_bytes(sound: bytes, dice: random.Random) -> bytes:
    """Torn, flipped, doubled, filled up, or another file altogether."""
    at, to = sorted(dice.randrange(len(sound) + 1) for _ in range(2))
    match dice.randrange(7):
        case 0:
            return sound[:at]
        case 1:
            return sound[:at] + bytes(to - at) + sound[to:]  # a block that was never written
        case 2:
            return sound[:at] + dice.randbytes(min(to - at, 64)) + sound[to:]
        case 3:
            flipped = bytearray(sound or b"x")
            for _ in range(dice.randint(1, 4)):
                flipped[dice.randrange(len(flipped))] ^= 1 << dice.randrange(8)
            return bytes(flipped)
        case 4:
            return sound[:at] + sound[to:]
        case 5:
            return sound + sound[at:]
        case _:
            return dice.choice(TEXTS)


def of_json(sound: bytes, dice: random.Random) -> bytes:
    """A document, or lines of them, with another value, without a key, or with one too many."""
    lines = sound.decode().splitlines() if b"}\n{" in sound else [sound.decode()]
    i = dice.randrange(len(lines))
    document = json.loads(lines[i])
    for _ in range(dice.randint(1, 2)):
        document = changed(document, dice)
    lines[i] = json.dumps(document)
    return "\n".join([*lines, ""]).encode("utf-8", "surrogatepass")


def changed(value: Any, dice: random.Random) -> Any:
    """One thing, anywhere in a value, made another."""
    if isinstance(value, dict) and value and dice.random() < 0.85:
        key = dice.choice([*value])
        rest = {name: one for name, one in value.items() if name != key}
        match dice.randrange(8):
            case 0:
                return rest
            case 1:
                return {**value, "of a newer emu": dice.choice(VALUES)}
            case _:
                return {**rest, key: changed(value[key], dice)}
    if isinstance(value, list) and value and dice.random() < 0.85:
        i = dice.randrange(len(value))
        match dice.randrange(6):
            case 0:
                return value[:i] + value[i + 1 :]
            case 1:
                return [*value, value[i]]
            case _:
                return [*value[:i], changed(value[i], dice), *value[i + 1 :]]
    return dice.choice(VALUES)

"""The manifest as it is read again: of a source of millions no more than is asked for."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emu.curate.manifest import GROUP, Kept, groups, kept
from emu.errors import UserError
from emu.layouts.curated_folder import MANIFEST


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A curated folder of three groups; every other picture stayed."""
    number = 2 * GROUP + 2
    there = [row % 2 == 0 for row in range(number)]
    columns = {
        "row": range(number),
        "source": [f"{row}.jpg" for row in range(number)],
        "text": ["a lamp"] * number,
        "status": ["kept" if one else "dropped" for one in there],
        "file": [f"images/{row:08d}.jpg" if one else None for row, one in enumerate(there)],
        "sha256": [f"{row:064x}" for row in range(number)],
        "source_columns": ["{}"] * number,
        "contrast": [row / number for row in range(number)],
    }
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    pq.write_table(table, tmp_path / MANIFEST, row_group_size=GROUP, write_page_checksum=True)
    return tmp_path


def damage(out: Path, column: str) -> None:
    """Turns the last bytes of a column's first piece."""
    path = out / MANIFEST
    group = pq.read_metadata(path).row_group(0)
    chunk = next(group.column(i) for i in range(group.num_columns) if group.column(i).path_in_schema == column)
    content = bytearray(path.read_bytes())
    end = (chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size
    content[end - 4 : end] = bytes(255 - byte for byte in content[end - 4 : end])
    path.write_bytes(content)


def test_what_stayed_is_read_in_its_order(out: Path) -> None:
    found = kept(out)
    assert [one.row for one in found] == list(range(0, 2 * GROUP + 2, 2))
    assert found[1] == Kept(2, "2.jpg", "a lamp", "{}", "images/00000002.jpg", f"{2:064x}", None)


def test_of_what_stayed_no_score_is_read(out: Path) -> None:
    damage(out, "contrast")
    assert len(kept(out)) == GROUP + 1
    with pytest.raises(UserError, match="damaged"):
        list(groups(out))


@pytest.mark.parametrize("column", ["status", "text", "sha256"])
def test_damage_to_what_is_read_is_told(out: Path, column: str) -> None:
    damage(out, column)
    with pytest.raises(UserError, match="damaged"):
        kept(out)

"""verdict.json as tests read it: as a document, once it is known that the typed reader loses nothing of it."""

import json
from pathlib import Path
from typing import Any

from emu.compare.verdict import Verdicts
from emu.storage.records import to_json


def read_verdict(path: Path) -> dict[str, Any]:
    """What the file says."""
    document: dict[str, Any] = json.loads(path.read_text())
    assert json.loads(to_json(Verdicts.read(path))) == document
    return document

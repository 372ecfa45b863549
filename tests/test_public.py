"""The public names are a list, and importing the package imports nothing else."""

import subprocess
import sys

import emu


def test_every_public_name_is_there() -> None:
    assert sorted(emu.__all__) == emu.__all__
    for name in emu.__all__:
        assert getattr(emu, name).__name__ == name
    assert dir(emu) == emu.__all__
    assert not hasattr(emu, "nothing")


def test_import_is_light() -> None:
    code = "import sys, emu; print(any(m in sys.modules for m in ('torch', 'lightning', 'diffusers', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"

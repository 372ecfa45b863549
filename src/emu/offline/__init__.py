"""Offline pages: one HTML file each, with its look and its pictures in it, for any browser.

A page's policy lets nothing load, and no style or script run but its own, named by their hashes: captions, names and
descriptions stay text, whatever is in them.
"""

import base64
import hashlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from emu.errors import printable
from emu.terminal.counted import many

HERE = Path(__file__).parent


def environment(*folders: Path) -> jinja2.Environment:
    """Templates of these folders: what they are given is text to them, and what they are not given is an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["printable"] = printable
    made.globals["many"] = many
    return made


def render(
    template: Path,
    values: Mapping[str, Any],
    *,
    styles: tuple[Path, ...] = (),
    script: Path | None = None,
    filters: Mapping[str, Callable[[str], str]] | None = None,
    tests: Mapping[str, Callable[[object], bool]] | None = None,
) -> str:
    """The HTML of a page.

    Args:
        template: extends `offline.html`: its blocks are `title`, `content` and `kind`, the class of the body.
        styles: added to the look that all pages share.
    """
    style = "".join(path.read_text(encoding="utf-8") for path in (HERE / "offline.css", *styles))
    code = script.read_text(encoding="utf-8") if script else ""
    policy = f"default-src 'none'; img-src data:; style-src '{_sum(style)}'"
    policy += f"; script-src '{_sum(code)}'" * bool(code) + "; base-uri 'none'; form-action 'none'"
    templates = environment(template.parent, HERE)
    templates.filters.update(filters or {})
    templates.tests.update(tests or {})
    return templates.get_template(template.name).render(values, policy=policy, style=style, script=code)


def webp(picture: Image.Image, longest: int) -> bytes:
    """A copy of an RGB picture as WebP; one whose longer side is over `longest` pixels is scaled down to it."""
    small = picture.copy()
    small.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=2)
    stream = io.BytesIO()
    small.save(stream, "WEBP", quality=82, method=2)
    return stream.getvalue()


def data_url(picture: bytes) -> str:
    """The address of a WebP that lies in the page itself."""
    return "data:image/webp;base64," + base64.b64encode(picture).decode()


def _sum(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

"""The stages of the funnel, by what they look at; a config names them as `emu.curate.stages.NAME`."""

from emu.curate.stages.best import Balance, Best, Budget
from emu.curate.stages.borders import Borders
from emu.curate.stages.caption import Caption, Language
from emu.curate.stages.classified import Classified, Offensive, Watermark
from emu.curate.stages.concepts import Concepts
from emu.curate.stages.detail import Detail
from emu.curate.stages.duplicates import Duplicates
from emu.curate.stages.judged import Judged
from emu.curate.stages.overlaid import Overlaid
from emu.curate.stages.photograph import Photograph
from emu.curate.stages.readable import Popularity, Readable, Shape
from emu.curate.stages.same_scene import SameScene
from emu.curate.stages.taste import Taste
from emu.curate.stages.technical import Technical

__all__ = [
    "Balance",
    "Best",
    "Borders",
    "Budget",
    "Caption",
    "Classified",
    "Concepts",
    "Detail",
    "Duplicates",
    "Judged",
    "Language",
    "Offensive",
    "Overlaid",
    "Photograph",
    "Popularity",
    "Readable",
    "SameScene",
    "Shape",
    "Taste",
    "Technical",
    "Watermark",
]

"""The stages of the funnel, one small file each; a config names them as `emu.curate.stages.NAME`."""

from emu.curate.stages.balance import Balance
from emu.curate.stages.best import Best
from emu.curate.stages.borders import Borders
from emu.curate.stages.budget import Budget
from emu.curate.stages.caption import Caption
from emu.curate.stages.classified import Classified
from emu.curate.stages.concepts import Concepts
from emu.curate.stages.duplicates import Duplicates
from emu.curate.stages.judged import Judged
from emu.curate.stages.language import Language
from emu.curate.stages.offensive import Offensive
from emu.curate.stages.overlaid import Overlaid
from emu.curate.stages.popularity import Popularity
from emu.curate.stages.readable import Readable
from emu.curate.stages.same_scene import SameScene
from emu.curate.stages.shape import Shape
from emu.curate.stages.taste import Taste
from emu.curate.stages.technical import Technical
from emu.curate.stages.watermark import Watermark

__all__ = [
    "Balance",
    "Best",
    "Borders",
    "Budget",
    "Caption",
    "Classified",
    "Concepts",
    "Duplicates",
    "Judged",
    "Language",
    "Offensive",
    "Overlaid",
    "Popularity",
    "Readable",
    "SameScene",
    "Shape",
    "Taste",
    "Technical",
    "Watermark",
]

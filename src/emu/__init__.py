"""emu: quality-tune a text-to-image model on a small curated set, and prove before against after.

Names are imported when they are asked for (`__init__.pyi` lists them): `import emu` costs nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

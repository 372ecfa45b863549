"""The curated set: captioned pictures in, batches of equal shape out, and the prompts that are drawn at every check.

Names are imported when they are asked for: to read sources alone takes neither torch nor lightning.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

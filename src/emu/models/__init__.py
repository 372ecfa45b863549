"""The architectures, one file each.

Their names and types stand in `__init__.pyi`; each is imported when it is asked for, since all take a second.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

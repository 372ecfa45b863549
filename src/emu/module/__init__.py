"""TextToImageModule, the contract of every architecture: a held pipeline, what varies by model, how it trains.

Its name is imported when it is asked for: torch and diffusers take seconds.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

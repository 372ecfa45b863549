"""`emu new`: an untrained pipeline from a config of its components.

    emu new -c new/latent-tiny                                        # parameters and FLOPs a picture; writes nothing
    emu new -c new/latent-tiny runs/untrained --captions my/pictures  # the folder that `emu fit` takes

A component is a folder or hub name that is loaded, or what its config.json would say and is made untrained.
"""

from emu.untrained.build import new

__all__ = ["new"]

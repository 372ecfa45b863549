"""Models of transformers by hub name or folder, loaded without running any code that comes with them."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants

from emu.errors import UserError, first_line, not_installed
from emu.judges.weights import require_sha256, weights_sha256
from emu.pipeline_folders import weight_files


@dataclass(frozen=True)
class Pretrained:
    """A model's files, and how messages speak of them.

    Args:
        name: a hub name, or a folder.
        wanted: what may be named here, for who named something else.
        where: what asks for the model.
        sha256: what its weights must have, or the first 8 digits or more; None takes any.
    """

    name: str
    wanted: str
    where: str = "judge's model"
    sha256: str | None = None

    def read(self, kind: Any, **how: Any) -> Any:
        """What `kind.from_pretrained` makes of it, `how` its further arguments. UserError: absent, damaged, or code."""
        return self._made(kind.from_pretrained, **how)

    def model(self, kind: Any, **how: Any) -> Any:
        """The same as a network in evaluation mode, all of it from its files. UserError: not those of `sha256` too."""
        model = self._made(partial(weight_files.load, kind), **how).eval().requires_grad_(False)
        if self.sha256 is not None:
            require_sha256(weights_sha256(model), self.sha256, of=str(self))
        return model

    def _made(self, make: Callable[..., Any], **how: Any) -> Any:
        try:
            return make(self.name, local_files_only=not hub_has_an_address(constants.ENDPOINT), **how)
        except ImportError as error:
            raise UserError(f"{self}: {not_installed(error)}") from error
        except Exception as error:  # whatever a library makes of a damaged folder
            raise UserError(f"{self}: {first_line(error)}; name {self.wanted}") from error

    def __str__(self) -> str:
        return f"{self.where} {self.name}"


@cache
def hub_has_an_address(endpoint: str) -> bool:
    """Whether it is worth to ask: where a hub's name leads nowhere, transformers tries for half a minute, each time.

    Whoever has a proxy leaves it to that.
    """
    if getproxies():
        return True
    try:
        socket.getaddrinfo(urlsplit(endpoint).hostname, None)
    except OSError:
        return False
    return True

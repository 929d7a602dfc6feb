"""The name service of this host."""

from __future__ import annotations

import socket
from typing import FrozenSet


def addresses(name: str) -> FrozenSet[str]:
    """Returns the addresses behind a host's name. Raises OSError where there is none, or nobody answers."""
    return frozenset(str(entry[4][0]) for entry in socket.getaddrinfo(name, None))

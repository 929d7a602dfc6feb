"""Whole Debian machines for the tests: roots made by mmdebstrap, and hosts that boot one with systemd as pid 1.

Nothing in them is simulated but the GPU. Needs root, mmdebstrap, systemd-container and deb.debian.org, the last only
until a root is in the cache.
"""

from .booted import BootedHost
from .roots import BOOKWORM, FORKY, build_root

__all__ = ["BOOKWORM", "FORKY", "BootedHost", "build_root"]

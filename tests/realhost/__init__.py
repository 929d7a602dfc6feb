"""Whole Debian machines for the tests: roots made by debootstrap, and hosts that boot one with systemd as pid 1.

Nothing in them is simulated but the GPU. Needs root, debootstrap, systemd-container and deb.debian.org, the last only
until a root is in the cache.
"""

from .booted import BootedHost
from .roots import DOCKER_20, DOCKER_28, PODMAN_5, Recipe, build_root

__all__ = ["DOCKER_20", "DOCKER_28", "PODMAN_5", "BootedHost", "Recipe", "build_root"]

"""Debian roots by release: built once by mmdebstrap into a cache, and only read from then on.

As a program it builds all of them, for the tests that come to want one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("GPUCTL_TEST_ROOTS", "/var/cache/gpuctl-test-roots"))
MIRROR = "http://deb.debian.org/debian"
OPTIONS = (
    '--aptopt=Acquire::Check-Valid-Until "false"',  # a mirror of a release that is being made may stand still
    '--aptopt=Acquire::Languages "none"',
    "--dpkgopt=force-unsafe-io",
    "--dpkgopt=path-exclude=/usr/share/man/*",
)
BUILD_SECONDS = 900


@dataclass(frozen=True)
class Recipe:
    """A release of Debian and what is installed of it."""

    release: str
    packages: tuple[str, ...]

    @property
    def name(self) -> str:
        """Another one for other packages, so that a changed recipe is built anew."""
        return f"{self.release}-{hashlib.sha256(repr(self).encode()).hexdigest()[:12]}"


_BOOTED = ("systemd", "systemd-sysv", "dbus", "procps", "apt", "tzdata", "python3")
BULLSEYE = Recipe("bullseye", ("python3",))
"""Python 3.9."""
BOOKWORM = Recipe("bookworm", (*_BOOTED, "docker.io", "docker-compose"))
"""Docker 20.10 under systemd, and docker-compose 1.29."""
FORKY = Recipe("forky", (*_BOOTED, "docker.io", "docker-cli", "docker-compose", "podman"))
"""Docker 28, Compose 2 and Podman 5 with the generator of Quadlet units, under a systemd that knows cgroup v2 alone."""

RECIPES = (FORKY, BOOKWORM, BULLSEYE)


def build_root(recipe: Recipe) -> Path:
    """Returns the root, which takes up to a minute the first time. Nobody may write to it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    place, part = CACHE / recipe.name, CACHE / f"{recipe.name}.part"
    with _locked(CACHE / f"{recipe.name}.lock"):
        if not place.exists():
            shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
            _fill(part, recipe)
            part.rename(place)
    return place


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fill(target: Path, recipe: Recipe) -> None:
    # In a mount namespace of its own: of a build that is killed no mount stays.
    argv = ["unshare", "--mount", "mmdebstrap", "--mode=root", "--variant=essential", *OPTIONS]
    argv += [f"--include={','.join(recipe.packages)}", recipe.release, str(target), MIRROR]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=BUILD_SECONDS)
    if done.returncode:
        raise RuntimeError(f"mmdebstrap {recipe.release} failed:\n{done.stdout[-4000:]}")
    for policy in ("usr/sbin/policy-rc.d", "etc/machine-id"):
        (target / policy).unlink(missing_ok=True)
    (target / "etc/machine-id").touch()


if __name__ == "__main__":
    for recipe in RECIPES:
        build_root(recipe)

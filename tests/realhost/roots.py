"""Debian roots by release: built once by debootstrap into a cache, and only read from then on."""

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
SCRIPTS = Path("/usr/share/debootstrap/scripts")
BUILD_SECONDS = 900


@dataclass(frozen=True)
class Recipe:
    """A release of Debian and what is installed of it. `like`: the release whose script debootstrap goes by."""

    release: str
    packages: tuple[str, ...]
    like: str

    @property
    def name(self) -> str:
        """Another one for other packages, so that a changed recipe is built anew."""
        return f"{self.release}-{hashlib.sha256(repr(self).encode()).hexdigest()[:12]}"


DOCKER_20 = Recipe(
    "bookworm",
    ("systemd", "systemd-sysv", "dbus", "procps", "docker.io", "docker-compose", "python3"),
    like="bookworm",
)
"""Docker 20.10 under systemd, and docker-compose 1.29; python3 brings what Python of any kind links to."""
DOCKER_28 = Recipe(
    "forky",
    ("systemd", "systemd-sysv", "dbus", "procps", "docker.io", "docker-cli", "docker-compose", "python3"),
    like="sid",
)
"""Docker 28 and Compose 2, under a systemd that knows cgroup v2 alone; python3 runs the simulated toolkit."""
PODMAN_5 = Recipe("forky", ("podman",), like="sid")
"""Podman 5, with the generator of Quadlet units."""


def build_root(recipe: Recipe) -> Path:
    """Returns the root, which takes up to two minutes the first time. Nobody may write to it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    place, part = CACHE / recipe.name, CACHE / f"{recipe.name}.part"
    with _locked(CACHE / f"{recipe.name}.lock"):
        if not place.exists():
            shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
            _debootstrap(recipe, part)
            part.rename(place)
    return place


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _debootstrap(recipe: Recipe, target: Path) -> None:
    # In a mount namespace of its own: of a build that is killed no mount stays.
    options = ["--variant=minbase", f"--include={','.join(recipe.packages)}"]
    where = [recipe.release, str(target), MIRROR, str(SCRIPTS / recipe.like)]
    argv = ["unshare", "--mount", "debootstrap", *options, *where]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=BUILD_SECONDS)
    if done.returncode:
        raise RuntimeError(f"debootstrap {recipe.release} failed:\n{done.stdout[-4000:]}")
    for policy in ("usr/sbin/policy-rc.d", "etc/machine-id"):
        (target / policy).unlink(missing_ok=True)
    (target / "etc/machine-id").touch()
    shutil.rmtree(target / "var/cache/apt/archives")

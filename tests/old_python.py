"""The oldest Python that there is on this machine of those that gpuctl, or the travelling part of it, runs on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from realhost.roots import BULLSEYE, build_root

_LIBRARIES = ("libcrypto.so.1.1", "libffi.so.7", "libssl.so.1.1")


def old_python(folder: Path) -> tuple[str, ...]:
    """Returns the words that start it: Python 3.8 where that is installed, else Debian 11's, which is 3.9.

    `folder` is for what the latter needs.
    """
    installed = installed_python("3.8")
    return (installed,) if installed else _of_debian_11(folder)


def installed_python(version: str) -> str | None:
    """Returns the Python of a version such as "3.10", None where that is not installed."""
    return next((path for path in _installed(version) if _runs(path)), None)


def _installed(version: str) -> Iterator[str]:
    path = shutil.which(f"python{version}")
    if path:
        yield path
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}")))


def _runs(path: str) -> bool:
    """pyenv puts a script in the place of each Python, also of one that is not switched on."""
    return subprocess.run([path, "-c", ""], capture_output=True).returncode == 0


def _of_debian_11(folder: Path) -> tuple[str, ...]:
    """It runs on this machine's C library, so that it loads this machine's drivers; what is too old it brings along."""
    root = build_root(BULLSEYE)
    for name in _LIBRARIES:
        (folder / name).symlink_to(next(root.glob(f"usr/lib/*/{name}")))
    return ("env", f"LD_LIBRARY_PATH={folder}", str(root / "usr/bin/python3.9"))

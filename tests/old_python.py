"""The oldest Python that there is on this machine of those that the travelling part of gpuctl runs on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from realhost.roots import Recipe, build_root

DEBIAN_11 = Recipe("bullseye", ("python3",), like="bullseye")
_LIBRARIES = ("libcrypto.so.1.1", "libffi.so.7", "libssl.so.1.1")
LOCK = Path(__file__).with_name("travelling.lock")


def old_python(folder: Path) -> tuple[str, ...]:
    """Returns the words that start it: Python 3.8 where that is installed, else Debian 11's, which is 3.9.

    `folder` is for what the latter needs.
    """
    installed = next((path for path in _installed() if _runs(path)), None)
    return (installed,) if installed else _of_debian_11(folder)


def _installed() -> Iterator[str]:
    path = shutil.which("python3.8")
    if path:
        yield path
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from map(str, sorted(pyenv.glob("versions/3.8*/bin/python3.8")))


def _runs(path: str) -> bool:
    """pyenv puts a script in the place of each Python, also of one that is not switched on."""
    return subprocess.run([path, "-c", ""], capture_output=True).returncode == 0


def _of_debian_11(folder: Path) -> tuple[str, ...]:
    """It runs on this machine's C library, so that it loads this machine's drivers; what is too old it brings along."""
    root = build_root(DEBIAN_11)
    for name in _LIBRARIES:
        (folder / name).symlink_to(next(root.glob(f"usr/lib/*/{name}")))
    return ("env", f"LD_LIBRARY_PATH={folder}", str(root / "usr/bin/python3.9"))


def install_what_travels(folder: Path) -> None:
    """Puts the packages that the travelling part takes along into a folder, as they are for any Python from 3.8 on."""
    for_any = ("--python-version", "3.8", "--implementation", "py", "--abi", "none", "--platform", "any")
    where = ("--only-binary", ":all:", "--no-deps", "--require-hashes", "-r", str(LOCK), "--target", str(folder))
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *for_any, *where], check=True, timeout=300)

"""Builds gpuctl as single files, which need nothing but a Python: `python pyz/build.py FOLDER`, by the Python of an
environment with pip, from a checkout.

`gpuctl.pyz` is all of gpuctl. `gpuctl-collect.pyz` is the part that travels, and records a host. Both are pure Python;
the packages that they take along stand, with their hashes, in the lock file of the same name. The same checkout gives
the same bytes: no dates, no owners, nothing of the machine that builds.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Tuple
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

from gpuctl.travels import TRAVELS  # noqa: E402

SHEBANG = b"#!/usr/bin/env python3\n"
MAIN = """\
import sys

if sys.version_info < {python}:  # said by any Python: nothing else has been loaded
    words = "{name}: it needs Python {dotted} or newer, and this is %d.%d. Name another: python{dotted} {name} ...\\n"
    sys.stderr.write(words % sys.version_info[:2])
    sys.exit(2)

from {door} import main

main()
"""
LEFT_OUT = ("__pycache__", "bin", "RECORD", "INSTALLER", "REQUESTED")
"""What pip adds that tells of the machine, or is of no use in an archive."""


@dataclass(frozen=True)
class Archive:
    """A single file: its name, the oldest Python that it runs on, the module of its door, what it has of gpuctl."""

    name: str
    python: Tuple[int, int]
    door: str
    parts: Tuple[str, ...]

    @property
    def lock(self) -> Path:
        """The packages that it takes along."""
        return (HERE / self.name).with_suffix(".lock")

    @property
    def dotted(self) -> str:
        """The oldest Python, as 3.8."""
        return "%d.%d" % self.python

    @property
    def main(self) -> str:
        """The program with which it starts."""
        return MAIN.format(name=self.name, python=self.python, dotted=self.dotted, door=self.door)


ALL = Archive("gpuctl.pyz", (3, 10), "gpuctl.__main__", (".", "../data"))
COLLECTOR = Archive("gpuctl-collect.pyz", (3, 8), "gpuctl.collector", TRAVELS)


def build(archive: Archive, folder: Path) -> Path:
    """Returns the single file, built in a folder."""
    with TemporaryDirectory() as made:
        place = Path(made)
        install(archive, place)
        for part in archive.parts:
            _copy(ROOT / "gpuctl" / part, place / "gpuctl" / Path(part).name)
        shutil.copy(ROOT / "LICENSE", place / "gpuctl")
        (place / "__main__.py").write_text(archive.main, encoding="utf-8")
        pack(place, folder / archive.name)
    return folder / archive.name


def install(archive: Archive, place: Path) -> None:
    """Puts the packages that a single file takes along into a folder, as they are for any Python from its oldest on."""
    for_any = ("--python-version", archive.dotted, "--implementation", "py", "--abi", "none", "--platform", "any")
    pure = ("--only-binary", ":all:", "--no-deps", "--no-compile", "--require-hashes", "-r", str(archive.lock))
    pip = (sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", str(place))
    subprocess.run([*pip, *for_any, *pure], check=True, timeout=300)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    else:
        target.parent.mkdir(exist_ok=True)
        shutil.copy(source, target)


def pack(place: Path, file: Path) -> None:
    """Makes a folder a program of one file. Folders have entries too: without, `ruamel` is no package to zipimport."""
    with file.open("wb") as out:
        out.write(SHEBANG)
        with ZipFile(out, "w") as archive:
            for path in sorted(place.rglob("*")):
                name = path.relative_to(place)
                if not set(LEFT_OUT).intersection(name.parts):
                    entry = ZipInfo(str(name) + "/" * path.is_dir())
                    entry.external_attr = (0o755 if path.is_dir() else 0o644) << 16
                    entry.compress_type = ZIP_DEFLATED
                    archive.writestr(entry, b"" if path.is_dir() else path.read_bytes())
    file.chmod(0o755)


if __name__ == "__main__":
    target = Path(*sys.argv[1:])
    target.mkdir(parents=True, exist_ok=True)
    for one in (ALL, COLLECTOR):
        built = build(one, target)
        print(built, built.stat().st_size)

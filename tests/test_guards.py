"""What a newcomer forgets is told, by name: each guard that stands around the folders and the tables."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NEW_CHECK = '''
from gpuctl.checks.engine import Said, check, passed
from gpuctl.facts.system import System


@check("hardware.brand-new")
def brand_new(system: System) -> Said:
    """Is it new?"""
    return passed("it is new")
'''


# Checks


def zipped(folder: Path) -> Path:
    place = folder.with_suffix(".zip")
    with zipfile.ZipFile(place, "w") as archive:
        for path in folder.rglob("*.*"):
            archive.write(path, path.relative_to(folder))
    return place


@pytest.mark.parametrize("pack", [lambda folder: folder, zipped], ids=["folder", "zip"])
def test_a_check_in_a_new_file_is_asked_because_it_is_there(pack: Callable[[Path], Path], tmp_path: Path) -> None:
    package = tmp_path / "site" / "gpuctl"
    shutil.copytree(ROOT / "gpuctl", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "checks" / "brand_new.py").write_text(NEW_CHECK)
    argv = [sys.executable, "-c", "import gpuctl.checks as c; print(c.__file__); print(*c.CHECKS)"]
    place = pack(package.parent)
    done = subprocess.run(argv, env={"PYTHONPATH": str(place)}, cwd=tmp_path, capture_output=True, text=True)
    where, ids = done.stdout.splitlines()
    assert where.startswith(str(place)), done.stderr
    assert "hardware.brand-new" in ids.split()

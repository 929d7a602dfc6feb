"""What is installed: the wheel has the tables and the completions, and runs by itself."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("gpuctl_host-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_carries_every_table_and_schema(unpacked: Path) -> None:
    inside = {str(path.relative_to(unpacked / "gpuctl")) for path in (unpacked / "gpuctl" / "data").rglob("*.json*")}
    assert inside == {str(path.relative_to(ROOT)) for path in (ROOT / "data").rglob("*.json*")}


def test_the_wheel_carries_the_programs_that_smoke_runs(unpacked: Path) -> None:
    program = Path("gpuctl/smoke/program")
    for path in (ROOT / program).glob("smoke-*"):
        assert (unpacked / program / path.name).read_bytes() == path.read_bytes()


def test_the_wheel_puts_completions_and_the_manual_page_where_shells_and_man_look(unpacked: Path) -> None:
    (share,) = unpacked.glob("*.data/data/share")
    for place in (
        "bash-completion/completions/gpuctl",
        "zsh/site-functions/_gpuctl",
        "fish/vendor_completions.d/gpuctl.fish",
        "man/man1/gpuctl.1",
    ):
        assert "gpuctl" in (share / place).read_text()


def test_the_wheel_runs_without_the_checkout(unpacked: Path, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "gpuctl", "check", "--cuda", "10.1", "--driver", "418.87", "--gpu", "V100"]
    # The unpacked wheel comes before the checkout, which is installed in editable form.
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("compatible")
    where = [sys.executable, "-c", "from gpuctl.compat.tables.loader import data_dir; print(data_dir())"]
    found = subprocess.run(where, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert found.stdout.strip() == str(unpacked / "gpuctl" / "data")


def test_a_page_lists_every_failure_that_gpuctl_knows() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "failures.py"))["page"]
    assert (ROOT / "docs" / "failures.md").read_text(encoding="utf-8") == page(), "run docs/failures.py"

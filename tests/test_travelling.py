"""What travels to other hosts runs there: on Python 3.8, with nothing but its library and a few pure packages."""

from __future__ import annotations

import ast
import pickle
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
from old_python import old_python
from synthetic import snapshots
from travelling import BUILD, ROOT, facts_of, travelling

from gpuctl.documents import load_toml

DRIVER = ROOT / "tests" / "travelling.py"
VERMIN = Path(sys.executable).with_name("vermin")
METHODS = frozenset(
    ("removeprefix", "removesuffix", "is_relative_to", "with_stem", "hardlink_to", "bit_count", "add_note")
)
"""What only newer values have. vermin knows of which type a literal is, and not a variable."""


def newer_than_38(*files: Path) -> list[str]:
    """What Python 3.8 lacks of that which these files use. `tomllib` is only asked for where it is."""
    argv = [VERMIN, "--target=3.8-", "--violations", "--exclude", "tomllib"]
    done = subprocess.run([*argv, "--format", "parsable", *files], capture_output=True, text=True)
    told = [line for line in done.stdout.splitlines() if not line.startswith(":")] if done.returncode else []
    return [*told, *(f"{file}: {words}" for file in files for words in _of_newer_values(file))]


def _of_newer_values(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Attribute) and node.attr in METHODS:
            yield node.attr
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) == "isinstance"
            and isinstance(node.args[1], ast.BinOp)
        ):
            yield ast.unparse(node)


def test_what_travels_uses_nothing_newer_than_python_38() -> None:
    assert newer_than_38(*travelling()) == []
    for file in travelling():
        ast.parse(file.read_text(), feature_version=(3, 8))


@pytest.mark.parametrize(
    "line",
    [
        "from functools import cache",
        "pairs = list(zip('ab', 'cd', strict=True))",
        "word = word.removeprefix('no-')",
        "known = isinstance(word, int | str)",
        "import graphlib",
        "match word:\n    case 1:\n        pass",
        "from dataclasses import dataclass\n@dataclass(frozen=True, slots=True)\nclass Host:\n    pass",
    ],
)
def test_a_newer_word_is_told(line: str, tmp_path: Path) -> None:
    file = tmp_path / "newer.py"
    file.write_text(line + "\n")
    assert newer_than_38(file)


def test_ruff_takes_exactly_what_travels_for_python_38() -> None:
    settings = load_toml((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["per-file-target-version"]
    assert set(settings.values()) == {"py38"}
    files = [file.relative_to(ROOT) for file in (ROOT / "gpuctl").rglob("*.py")]
    held = [ROOT / file for file in files if any(fnmatch(str(file), pattern) for pattern in settings)]
    assert sorted(held) == travelling()


# An old Python


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The words that start an old Python with what travels, and with no other package of this machine."""
    packages = tmp_path_factory.mktemp("packages")
    BUILD["install"](BUILD["COLLECTOR"], packages)
    start = f"import sys, runpy; sys.path[:0] = [{str(ROOT)!r}, {str(packages)!r}]; del sys.argv[0]; "
    run = f"{start}runpy.run_path(sys.argv[0], run_name='__main__')"
    return (*old_python(packages), "-I", "-S", "-B", "-c", run, str(DRIVER))


@pytest.mark.bench
def test_an_old_python_sees_in_every_snapshot_what_this_one_sees(old: tuple[str, ...]) -> None:
    files = [str(path) for path in snapshots()]
    done = subprocess.run([*old, *files], capture_output=True, timeout=300)
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert pickle.loads(done.stdout) == facts_of(files)  # noqa: S301

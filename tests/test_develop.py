"""The developers' documents name files and functions that there are, and tables follow the world by rows alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from newer import FAMILY, NEXT_CUDA, NEXT_DRIVER, ROOT, WORDS, newer_checkout

pytestmark = pytest.mark.slow

DEVELOP = ROOT / "docs" / "develop"
ADDING = (DEVELOP / "adding.md").read_text()
PATH = re.compile(r"`((?:gpuctl|data|tests|docs|completions|pyz)/[\w./-]+|README\.md)`")
NAMED = re.compile(r"`(\w+)`\s+\(`(gpuctl/[\w/]+\.py)`\)")
DEFINED = r"^(?:def|class) {0}\b|^{0}\b.*="


def sections() -> dict[str, str]:
    """Each kind of thing that can be added, with what is written of it."""
    return {part.partition("\n")[0]: part for part in ADDING.split("\n## ")[1:]}


@pytest.mark.parametrize("document", sorted(DEVELOP.glob("*.md")), ids=lambda path: path.name)
def test_every_file_that_a_document_names_is_there(document: Path) -> None:
    named = PATH.findall(document.read_text())
    # What stands in capitals is the new thing's: others of its kind are there.
    patterns = [re.sub(r"(?<=[/._])[A-Z]{4,}", "*", path) for path in named]
    assert [path for path in patterns if not list(ROOT.glob(path))] == []


def test_every_function_that_architecture_names_is_where_it_says() -> None:
    named = NAMED.findall((DEVELOP / "architecture.md").read_text())
    assert len(named) > 20
    texts = {path: (ROOT / path).read_text() for _, path in named}
    assert [one for one in named if not re.search(DEFINED.format(one[0]), texts[one[1]], re.MULTILINE)] == []


@pytest.mark.parametrize("kind", ["check", "fact", "failure family", "row", "format", "command", "engine"])
def test_every_kind_of_thing_has_its_list(kind: str) -> None:
    (text,) = [text for name, text in sections().items() if name.endswith(f" {kind}")]
    assert len(PATH.findall(text)) > 1


# What a later day adds


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return newer_checkout(tmp_path_factory.mktemp("later"))


def python(checkout: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(checkout)}
    return subprocess.run([sys.executable, *argv], cwd=checkout, env=env, capture_output=True, text=True)


def test_a_family_touches_the_files_that_its_list_names_and_no_other(later: Path) -> None:
    changed = {
        str(path.relative_to(later))
        for path in later.rglob("*")
        if path.is_file() and "cache" not in str(path) and FAMILY in path.read_text(errors="replace")
    }
    writers = {"data/build_family_terms.py", "docs/failures.py", "completions/generate.py"}
    listed = set(PATH.findall(sections()["A failure family"])) - writers
    assert changed - {"tests/newer.py"} == listed


@pytest.mark.parametrize(
    "argv",
    [
        ("check", "--cuda", NEXT_CUDA, "--driver", NEXT_DRIVER, "--gpu", "H100"),
        ("check", "--framework", "pytorch", "--driver", NEXT_DRIVER, "--gpu", "H100"),
        ("recommend", "--cuda", NEXT_CUDA, "--gpu", "H100"),
        ("data", "verify"),
    ],
    ids=" ".join,
)
def test_what_a_later_day_knows_is_its_rows_and_nothing_else(later: Path, argv: tuple[str, ...]) -> None:
    done = python(later, "-m", "gpuctl", *argv)
    assert done.returncode == 0, done.stdout + done.stderr
    assert argv[0] == "data" or NEXT_CUDA in done.stdout


def test_a_later_failure_is_recognised(later: Path) -> None:
    assert FAMILY in python(later, "-m", "gpuctl", "explain", "--no-probe", "--json", WORDS).stdout


def test_the_tests_of_the_tables_pass_on_a_later_day(later: Path) -> None:
    files = [f"tests/test_{name}.py" for name in ("compat", "data", "frameworks")]
    done = python(later, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", ABOUT_ROWS, *files)
    assert done.returncode == 0, done.stdout
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 100


ABOUT_ROWS = "known or newest or reference or rule or nothing_is_wrong or the_table or framework_asks or release"
"""The rest passes there too: releasing.md says how to see it."""


# The source distribution


def test_the_source_distribution_has_all_that_its_own_tests_read(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", tmp_path, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        inside = {name.partition("/")[2] for name in tar.getnames()}
    folders = ("benchmarks", "completions", "data", "docs", "gpuctl", "pyz", "tests", ".ci")
    ours = {str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()}
    top = {"LICENSE", "CONTRIBUTING.md", "README.md", "pyproject.toml", "requirements.lock"}
    assert {name for name in ours | top if "__pycache__" not in name} <= inside

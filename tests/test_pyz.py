"""The single files: the same bytes each time, and run by Pythons that have nothing installed."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from newer import rows_of, write
from old_python import installed_python, old_python
from simhost import SimHost
from travelling import BUILD, ROOT, travelling

from gpuctl.collector import LOADED_FIRST

pytestmark = pytest.mark.slow

BARE = ("-I", "-S")
"""Without packages, PYTHONPATH and the user's own site."""


@pytest.fixture(scope="module")
def gpuctl(built: Path) -> tuple[str, ...]:
    """The words that start gpuctl.pyz: by the oldest Python that it is for, where that is installed."""
    return (installed_python("3.10") or sys.executable, *BARE, str(built / "gpuctl.pyz"))


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The words that start Python 3.8 or 3.9."""
    return (*old_python(tmp_path_factory.mktemp("libraries")), *BARE)


def done(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, env={**os.environ, **env}, capture_output=True, text=True)


def imported(code: ast.AST) -> list[str]:
    """The modules that a piece of code imports."""
    names = []
    for statement in ast.walk(code):
        if isinstance(statement, ast.Import):
            names += [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            names.append(statement.module)
    return names


def test_the_same_checkout_gives_the_same_bytes(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    mask = os.umask(0o077)
    request.addfinalizer(lambda: os.umask(mask))
    again = BUILD["build"](BUILD["COLLECTOR"], tmp_path)
    assert again.read_bytes() == (built / "gpuctl-collect.pyz").read_bytes()


def test_the_collector_has_what_travels_and_nothing_else_of_gpuctl(built: Path) -> None:
    inside = zipfile.ZipFile(built / "gpuctl-collect.pyz").namelist()
    ours = {name for name in inside if name.startswith("gpuctl/") and name.endswith(".py")}
    assert ours == {str(file.relative_to(ROOT)) for file in travelling()}


def test_the_collector_loads_before_it_starts_threads_what_is_loaded_where_it_is_used() -> None:
    later = {
        module
        for file in travelling()
        if "api" not in file.parts  # it asks clusters, which no collector does
        for function in ast.walk(ast.parse(file.read_text()))
        if isinstance(function, ast.FunctionDef)
        for module in imported(function)
    }
    assert later == set(LOADED_FIRST)


def test_nothing_in_them_is_for_one_machine_alone(built: Path) -> None:
    inside = [name for file in built.iterdir() for name in zipfile.ZipFile(file).namelist()]
    assert [name for name in inside if name.endswith((".so", ".pyc", ".pyd"))] == []


@pytest.mark.parametrize(
    "argv",
    [
        ("--version",),
        ("check", "--cuda", "12.4", "--driver", "550.54.14", "--gpu", "A100"),
        ("doctor", "--from", str(ROOT / "tests/snapshots/h100-nvswitch-no-fabric-manager.jsonl")),
    ],
    ids=lambda argv: argv[0],
)
def test_the_single_file_says_what_an_installed_gpuctl_says(gpuctl: tuple[str, ...], argv: tuple[str, ...]) -> None:
    installed = done(sys.executable, "-m", "gpuctl", *argv)
    single = done(*gpuctl, *argv)
    assert installed.stdout
    assert (single.returncode, single.stdout, single.stderr) == (installed.returncode, installed.stdout, "")


def test_newer_tables_go_over_those_of_the_single_file(gpuctl: tuple[str, ...], tmp_path: Path) -> None:
    """Also at the second time, when what was found of them is remembered."""
    newer = write(tmp_path / "newer", minor_versions=rows_of("minor_versions"))
    env = {"GPUCTL_DATA": str(newer), "XDG_CACHE_HOME": str(tmp_path)}
    for _ in range(2):
        judged = done(*gpuctl, "check", "--cuda", "12.4", "--driver", "550.54.14", "--gpu", "A100", **env)
        assert (judged.returncode, judged.stderr) == (0, "")


@pytest.mark.bench
def test_the_single_file_has_the_program_of_a_deep_smoke_test(
    gpuctl: tuple[str, ...], sim_host: Callable[..., SimHost]
) -> None:
    host = sim_host("v100")
    said = [host.run([*words, "smoke", "--deep", "--host"]) for words in ((sys.executable, "-m", "gpuctl"), gpuctl)]
    assert said[0].out.startswith("PASS  CUDA 10.1 works on this host")
    assert (said[1].code, said[1].out) == (said[0].code, said[0].out)


@pytest.mark.bench
def test_what_an_old_python_records_is_judged_elsewhere_as_the_live_host_is(
    built: Path, gpuctl: tuple[str, ...], old: tuple[str, ...], sim_host: Callable[..., SimHost], tmp_path: Path
) -> None:
    live = sim_host("v100")
    recorded = tmp_path / "host.jsonl.gz"
    collected = live.run([*old, str(built / "gpuctl-collect.pyz"), "-o", str(recorded)])
    assert (collected.code, collected.err) == (0, "")
    assert collected.out.startswith(f"Wrote {recorded}: ")
    assert recorded.stat().st_mode & 0o777 == 0o600
    judged = live.run([*gpuctl, "doctor", "--json", "--from", str(recorded)]).json["findings"]
    seen = live.gpuctl("doctor", "--json").json["findings"]
    assert judged == seen


def test_a_snapshot_goes_through_a_pipe(built: Path, gpuctl: tuple[str, ...], old: tuple[str, ...]) -> None:
    with subprocess.Popen([*old, str(built / "gpuctl-collect.pyz"), "-o", "-"], stdout=subprocess.PIPE) as collector:
        judged = subprocess.run([*gpuctl, "history", "--from", "-"], stdin=collector.stdout, capture_output=True)
    assert (judged.returncode, judged.stderr, collector.returncode) == (0, b"", 0)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--anonymize-all",), "unrecognized arguments: --anonymize-all"),
        (("-o", "/nowhere/host.gz"), "cannot write '/nowhere/host.gz': there is no such directory."),
        (("-o", ""), "cannot write '': there is no such directory."),
    ],
)
def test_wrong_usage_of_the_collector_is_a_sentence(
    argv: tuple[str, ...], said: str, built: Path, old: tuple[str, ...]
) -> None:
    ended = done(*old, str(built / "gpuctl-collect.pyz"), *argv)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr.splitlines()[-1]


def test_a_python_that_is_too_old_is_told_so(built: Path, old: tuple[str, ...]) -> None:
    ended = done(*old, str(built / "gpuctl.pyz"), "doctor")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("gpuctl.pyz: it needs Python 3.10 or newer, and this is 3.")
    assert ended.stderr.count("\n") == 1


def test_the_single_file_takes_along_what_the_lock_of_an_installation_has() -> None:
    def pins(file: Path) -> set[str]:
        lines = [line.split()[0] for line in file.read_text().splitlines() if "==" in line]
        return {line.replace("ruamel.yaml", "ruamel-yaml") for line in lines}

    ours, installed = pins(BUILD["ALL"].lock), pins(ROOT / "requirements.lock")
    # pyelftools is asked for by an extra.
    assert {name.partition("==")[0] for name in ours - installed} == {"jsonschema", "pyrsistent", "pyelftools"}


def test_what_the_collector_says_steers_no_terminal(built: Path, old: tuple[str, ...]) -> None:
    ended = done(*old, str(built / "gpuctl-collect.pyz"), "--none\x1b[2J")
    said = "gpuctl-collect: unrecognized arguments: --none\ufffd[2J. See --help.\n"
    assert (ended.returncode, ended.stderr) == (2, said)

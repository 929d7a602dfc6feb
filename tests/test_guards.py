"""What a newcomer forgets is told, by name: each guard that stands around the folders and the tables."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules, walk_packages
from typing import Any

import pytest
from simhost.process import PATIENCE
from typer.main import get_command

from gpuctl import cli
from gpuctl.checks.engine import EXPLAINED_BY, LAYERS
from gpuctl.checks.every import CHECKS
from gpuctl.cli.frame.app import COMMANDS, app
from gpuctl.cli.install_runtime import command as install_runtime
from gpuctl.compat.knowledge.cdi import TOOLKIT
from gpuctl.compat.knowledge.dockerfile_rules import dockerfile_rules
from gpuctl.compat.knowledge.errors.failures import families, written
from gpuctl.compat.knowledge.errors.faults import family_checks
from gpuctl.compat.tables.loader import branches
from gpuctl.facts.every import EVERY_SUBJECT
from gpuctl.k8s.checks import CHECKS as OF_CLUSTERS
from gpuctl.model import ENGINES, ExitCode
from gpuctl.provision import engines
from gpuctl.provision.change_set import Engine
from gpuctl.provision.engines.choose import engine_of

ROOT = Path(__file__).parents[1]
NEW_CHECK = '''
from gpuctl.checks.engine import Judgement, check, passed
from gpuctl.facts.machine.system import System


@check("hardware.brand-new")
def brand_new(system: System) -> Judgement:
    """Is it new?"""
    return passed("it is new")
'''


def copied(folder: Path) -> Path:
    """A copy of the package in this folder, to be changed."""
    shutil.copytree(ROOT / "data", folder / "data")
    return Path(shutil.copytree(ROOT / "gpuctl", folder / "gpuctl", ignore=shutil.ignore_patterns("__pycache__")))


def python(place: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """The result of Python with the package that lies in `place`."""
    env = {**os.environ, "PYTHONPATH": str(place)}
    return subprocess.run([sys.executable, *argv], env=env, cwd=place.parent, capture_output=True, text=True)


# Checks


def zipped(folder: Path) -> Path:
    place = folder.with_suffix(".zip")
    with zipfile.ZipFile(place, "w") as archive:
        for path in folder.rglob("*.*"):
            archive.write(path, path.relative_to(folder))
    return place


@pytest.mark.parametrize("pack", [lambda folder: folder, zipped], ids=["folder", "zip"])
def test_a_check_in_a_new_file_is_asked_because_it_is_there(pack: Callable[[Path], Path], tmp_path: Path) -> None:
    package = copied(tmp_path / "site")
    (package / "checks" / "layers" / "brand_new.py").write_text(NEW_CHECK)
    place = pack(package.parent)
    done = python(place, "-c", "import gpuctl.checks.every as c; print(c.__file__); print(*c.CHECKS)")
    where, ids = done.stdout.splitlines()
    assert where.startswith(str(place)), done.stderr
    assert "hardware.brand-new" in ids.split()


def test_what_checks_need_is_probed() -> None:
    needed = {subject: one.id for one in CHECKS.values() for subject in one.needs}
    assert {id for subject, id in needed.items() if subject not in EVERY_SUBJECT} == set()


def test_a_file_that_is_named_after_a_layer_has_its_checks_alone() -> None:
    """A part of the doctor loads the files of its layers, and those that are named after none."""
    files = {one.id: one.judge.__module__.rpartition(".")[2].partition("_")[0] for one in CHECKS.values()}
    assert {id: file for id, file in files.items() if file in LAYERS and file != CHECKS[id].layer} == {}


def test_the_layers_whose_checks_explain_others_are_known_before_they_are_loaded() -> None:
    def below(layer: str) -> set[str]:
        return {layer}.union(*map(below, LAYERS[layer]))

    explained = ((CHECKS[id].layer, one.layer) for one in CHECKS.values() for id in one.explains)
    assert {pair for pair in explained if pair[1] not in below(pair[0])} == {
        (layer, other) for layer, others in EXPLAINED_BY.items() for other in others
    }


# Families of failures


_FIXED = {
    "a driver's branch": re.compile(rf"(?<![0-9.])(?:{'|'.join(row.branch for row in branches())})(?![0-9])"),
    "a CUDA version": re.compile(r"\bcu[0-9]{2,}|cuda-?1[0-9]|CUDA=[0-9]|^[0-9]{1,2}\.[0-9]{1,2}$|cuda:[0-9]"),
    "an architecture": re.compile(r"sm_[0-9]|compute_[0-9]|ARCH_LIST=[0-9]|[0-9]g\.[0-9]+gb"),
    "a distribution": re.compile(r"(?:rhel|ubuntu|debian|fedora|sles|opensuse|amzn)[0-9]"),
    "a package's version": re.compile(r"[a-z]==?[0-9]+\.|g(?:cc|\+\+)-[0-9]"),
}
_OF_A_RELEASE = {"toolkit-regression-1.19.1"}
"""What a family is named after may stand in its commands."""


def commands_of(value: Any) -> Iterator[str]:
    """The words of all commands that a row holds, at any depth."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield from words_of(inner) if key in {"look", "commands", "older_commands"} else commands_of(inner)
    for inner in value if isinstance(value, list) else ():
        yield from commands_of(inner)


def words_of(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value if isinstance(value, list) else ():
        yield from words_of(inner)


def test_no_command_of_a_table_holds_a_number_that_is_another_one_on_another_host() -> None:
    """Such a number is a blank with a name, which the host or the text fills in where it tells it."""
    found = []
    for path in sorted((ROOT / "data").glob("*.jsonl")):
        for row in map(json.loads, path.read_text().splitlines()):
            words = commands_of(row) if row.get("id") not in _OF_A_RELEASE else ()
            found += [(path.name, word, what) for word in words for what, fixed in _FIXED.items() if fixed.search(word)]
    assert found == []


def test_every_family_has_its_checks_and_its_canonical_line() -> None:
    lines = (ROOT / "tests" / "data" / "canonical.jsonl").read_text().splitlines()
    told = {"family_checks": set(family_checks()), "canonical": {json.loads(line)["family"] for line in lines}}
    known = set(written())
    assert {file: sorted(known ^ there) for file, there in told.items()} == {"family_checks": [], "canonical": []}


# The door to the machine: that nothing else imports os and its like, import-linter says

OPENS = {"open", "read_text", "read_bytes", "write_text", "write_bytes", "exists", "is_file", "is_dir", "iterdir"}
OPENS |= {"glob", "rglob", "mkdir", "touch", "unlink", "rmdir", "rename", "chmod", "symlink_to", "lstat", "samefile"}
OF_ITSELF = {
    "gpuctl/cli/frame/streams.py": "/dev/null in the place of a stdout that the caller closed",
    "gpuctl/compat/tables/overlay.py": "gpuctl's own tables",
    "gpuctl/compat/tables/rows.py": "their schemas",
    "gpuctl/compat/tables/loader.py": "gpuctl's own tables, and where they lie",
    "gpuctl/compat/tables/verify.py": "gpuctl's own tables",
    "gpuctl/diagnose/family_terms.py": "what follows from gpuctl's own tables, and lies beside them",
    "gpuctl/fleet/payload.py": "gpuctl's own modules, and those of packages that it needs",
    "gpuctl/smoke/container.py": "gpuctl's own smoke program, and a tar archive in memory",
}
"""The files outside host/ that open some, all of gpuctl's own."""
OF_THE_PROCESS = {"environ", "devnull", "getpid", "geteuid", "get_terminal_size", "_exit"}
"""What others than host/ use of os: nothing that looks at the machine."""


def nodes_outside_host() -> Iterator[tuple[str, ast.AST]]:
    for path in sorted((ROOT / "gpuctl").rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if not name.startswith("gpuctl/host/"):
            yield from ((name, node) for node in ast.walk(ast.parse(path.read_text())))


def called(node: ast.AST) -> str:
    """The name of what a call calls, "" for no call."""
    function = node.func if isinstance(node, ast.Call) else None
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_nothing_but_the_door_opens_a_file_of_the_machine() -> None:
    assert {name for name, node in nodes_outside_host() if called(node) in OPENS} == set(OF_ITSELF)


def test_what_is_said_on_stderr_is_folded() -> None:
    """`say` folds at the terminal's width and makes words of others harmless; typer.echo does neither."""
    files = [path for room in ("cli", "render") for path in (ROOT / "gpuctl" / room).rglob("*.py")]
    assert [path.name for path in files if re.search(r"echo\(.*err=True", path.read_text())] == []


@pytest.mark.slow
def test_others_use_of_os_what_is_the_processs_own() -> None:
    nodes = list(nodes_outside_host())
    having = {name for name, node in nodes if isinstance(node, ast.Import) and node.names[0].name == "os"}
    uses = [(name, node) for name, node in nodes if name in having and isinstance(node, ast.Attribute)]
    of_os = {(name, node.attr) for name, node in uses if isinstance(node.value, ast.Name) and node.value.id == "os"}
    assert {(name, attribute) for name, attribute in of_os if attribute not in OF_THE_PROCESS} == set()


# Released ids


def ids_of_reasons() -> set[str]:
    """The ids of all reasons in the code. Each is written where the Reason is made."""
    made = [node.args[0] for _, node in nodes_outside_host() if isinstance(node, ast.Call) and called(node) == "Reason"]
    assert all(isinstance(id, ast.Constant) for id in made)
    return {str(id.value) for id in made if isinstance(id, ast.Constant)}


def test_no_released_id_vanishes_and_every_new_one_is_listed() -> None:
    kinds = {
        "check": {*CHECKS, *OF_CLUSTERS},
        "family": set(families()),
        "reason": ids_of_reasons(),
        "rule": set(dockerfile_rules()),
    }
    now = {f"{kind} {id}" for kind, ids in kinds.items() for id in ids}
    file = "tests/data/released_ids.txt"
    released = set((ROOT / file).read_text().splitlines())
    assert (sorted(released - now), sorted(now - released)) == ([], []), f"vanished from and not yet listed in {file}"


# Formats


def test_a_new_format_is_not_printed_as_another_one(tmp_path: Path) -> None:
    formats = copied(tmp_path) / "render" / "formats" / "formats.py"
    formats.write_text(formats.read_text().replace('TEXT = "text"', 'TEXT = "text"\n    BRAND_NEW = "brand-new"', 1))
    asked = ("--cuda", "10.1", "--driver", "418.87", "--gpu", "V100", "--format", "brand-new")
    done = python(tmp_path, "-m", "gpuctl", "check", *asked)
    assert (done.returncode, done.stdout) == (ExitCode.BUG, "")
    assert "nothing that prints Format.BRAND_NEW" in done.stderr


# Commands


def test_every_command_that_has_a_file_is_in_the_list() -> None:
    files = {one.name: import_module(f"gpuctl.cli.{one.name}") for one in iter_modules(cli.__path__)}
    having = {name.replace("_", "-") for name, file in files.items() if {"command", "commands"} & set(vars(file))}
    assert having == set(COMMANDS)


PAGES = {"history": "rollback", "diff": "collect"}
"""Commands that are told of on another's page."""


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_of_a_command_is_named_on_its_page(name: str) -> None:
    command = get_command(app).get_command(None, name)  # type: ignore[attr-defined]
    pages = (f"docs/commands/{PAGES.get(name, name)}.md", "docs/formats.md")
    told = " ".join((ROOT / page).read_text() for page in pages) + " --json"  # README: every command has it
    for one in (command, *vars(command).get("commands", {}).values()):
        for option in (one for one in one.params if one.param_type_name == "option"):
            for names in filter(None, (option.opts, option.secondary_opts)):
                assert any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", told) for name in names), names


# Engines


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_of_the_list_has_its_file_and_is_told_to_people(name: str) -> None:
    assert engine_of(name).title == ENGINES[name]
    assert ENGINES[name] in str(install_runtime.__doc__)
    (line,) = [line for line in (ROOT / "README.md").read_text().splitlines() if "--engine" in line and "#" in line]
    assert name in line.partition("#")[2]


def test_every_engine_that_has_a_file_is_in_the_list() -> None:
    modules = [import_module(one.name) for one in walk_packages(engines.__path__, f"{engines.__name__}.")]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Engine)]
    assert {engine.title for engine in found} == set(ENGINES.values())


def engines_in(schema: Any) -> list[list[str | None]]:
    """Every list of values that a schema allows for a field `engine`."""
    if isinstance(schema, list):
        return [found for part in schema for found in engines_in(part)]
    if not isinstance(schema, dict):
        return []
    enum = schema.get("properties", {}).get("engine", {}).get("enum")
    return [found for part in schema.values() for found in engines_in(part)] + ([enum] if enum else [])


def test_the_schemas_allow_the_engines_of_the_list() -> None:
    schemas = {path.name: json.loads(path.read_text()) for path in (ROOT / "data" / "schemas").rglob("*.json")}
    told = {name: found for name, schema in schemas.items() for found in engines_in(schema)}
    assert {"install-runtime.schema.json", "cdi_versions.schema.json"} <= set(told)
    # The toolkit is no engine, and reads CDI specifications as they do.
    assert {name: sorted(set(found) - {None, TOOLKIT}) for name, found in told.items()} == dict.fromkeys(
        told, sorted(ENGINES)
    )


# The tests


def hasty(text: str) -> list[int]:
    """The lines of a test at which it gives something up before PATIENCE is over, but where it is to be late."""
    tree = ast.parse(text)
    late = {
        call
        for block in ast.walk(tree)
        if isinstance(block, ast.With) and any("TimeoutExpired" in ast.unparse(one) for one in block.items)
        for call in ast.walk(block)
    }
    calls = [one for one in ast.walk(tree) if isinstance(one, ast.Call) and one not in late]
    return [call.lineno for call in calls if any(limit < PATIENCE for limit in limits(call))]


def limits(call: ast.Call) -> list[float]:
    """The seconds, as far as they stand there, after which a call ends by itself."""
    given = [one.value for one in call.keywords if one.arg == "timeout"]
    waits = call.args[:1] if isinstance(call.func, ast.Attribute) and call.func.attr == "wait" else []
    told = [one.value for one in (*given, *waits) if isinstance(one, ast.Constant)]
    return [float(one) for one in told if isinstance(one, (int, float))]


def test_no_test_gives_up_what_takes_long_on_a_busy_machine() -> None:
    tests = [one for one in (ROOT / "tests").rglob("*.py") if one.parent.name != "programs"]
    found = [f"{one.name}:{line}" for one in tests for line in hasty(one.read_text())]
    assert found == [], "wait with PATIENCE"

"""`gpuctl install-runtime` for one engine on a simulated host, its JSON checked against the schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonschema import validate
from simhost import SimHost

SCHEMA = json.loads((Path(__file__).parents[1] / "data" / "schemas" / "install-runtime.schema.json").read_text())
UNTOUCHED = " Nothing was changed."
MIXTURE = """
import json, os, sys
from importlib import import_module
from itertools import cycle, islice
from pkgutil import walk_packages
import gpuctl
from gpuctl.cli.frame.app import app
for room in ("checks", "cli", "engines", "facts", "host", "provision", "render"):  # once, not in each child
    for one in walk_packages([f"{gpuctl.__path__[0]}/{room}"], f"gpuctl.{room}."):
        import_module(one.name)
commands, count, most = json.loads(sys.argv[1]), *map(int, sys.argv[2:])
def one(command):
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return app(command, standalone_mode=False) or 0
children, codes = {}, {}
def end():
    child, status = os.wait()
    codes.setdefault(children.pop(child), []).append(os.waitstatus_to_exitcode(status))
for command in islice(cycle(commands), count):
    if len(children) == most:
        end()
    children[os.fork() or os._exit(one(command))] = command[0]
while children:
    end()
print(json.dumps(codes))
"""
"""Runs commands so many times, so many of them side by side, each in a process of its own. Prints how those of each
ended."""


def check_ends(codes: Mapping[str, Sequence[int]], said: str) -> None:
    """Asserts that of runs side by side the most succeed, and that the others, outrun by them, changed nothing."""
    failed = [code for ends in codes.values() for code in ends if code]
    untouched = [line for line in said.splitlines() if line.endswith(UNTOUCHED)]
    assert set(failed) <= {1, 3} and len(untouched) == len(failed) and "Traceback" not in said, (codes, said)
    assert codes["install-runtime"].count(0) > len(codes["install-runtime"]) / 2, (codes, said)


def install(host: SimHost, engine: str, *options: str, env: Mapping[str, str] = {}) -> dict[str, Any]:
    """Returns what it says; `refused` is its error where it left all untouched, `problem` where it undid things."""
    done = host.gpuctl("install-runtime", "--engine", engine, "--json", *options, env=env)
    validate(done.json, SCHEMA)
    assert "Traceback" not in done.err
    error = done.json["error"] or ""
    untouched = error.endswith(UNTOUCHED)
    said = {"refused": error.removesuffix(UNTOUCHED) if untouched else None, "problem": None if untouched else error}
    return {**done.json, **said, "code": done.code}

"""`gpuctl migrate compose`: files of every kind that people have, for every Compose that reads them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from gpuctl.migrate.compose.migrate import migrated
from gpuctl.migrate.compose.requests import ComposeTarget
from gpuctl.migrate.draft import source
from gpuctl.migrate.migration import Migration

ROOT = Path(__file__).parents[1]
CASES: list[dict[str, Any]] = YAML(typ="safe").load((ROOT / "tests" / "data" / "legacy_compose.yml").read_text())


def gpuctl(*argv: str, folder: Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gpuctl", "migrate", "compose", *argv]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder)}
    done = subprocess.run(command, cwd=folder, env=env, input=stdin and stdin.encode(), capture_output=True, timeout=60)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


def loaded(text: str) -> Any:
    """What a reader of another make says that a file means; Compose's own tags are none of its."""
    yaml = YAML(typ="safe", pure=True)
    yaml.constructor.add_multi_constructor("!", lambda loader, _, node: loader.construct_sequence(node, deep=True))
    return yaml.load(text)


def asked(service: Mapping[str, Any]) -> Any:
    """The GPUs that a service asks for in any modern way, or by the runtime: "all", ids, a number, or None."""
    found: list[Any] = []
    devices = service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])
    gpus = service.get("gpus", [])
    for one in [*devices, *([{}] if gpus == "all" else gpus)]:
        found += one.get("device_ids") or [one.get("count", "all")]
    for one in service.get("devices", []):
        name = one["source"] if isinstance(one, dict) else one
        found += [name.removeprefix("nvidia.com/gpu=")] if name.startswith("nvidia.com/gpu=") else []
    if not found and service.get("runtime") == "nvidia":
        found = dict(variables(service)).get("NVIDIA_VISIBLE_DEVICES", "all").split(",")
    if not found or found == ["all"]:
        return found[0] if found else None
    return found[0] if isinstance(found[0], int) else found


def variables(service: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    said = service.get("environment", [])
    pairs = said.items() if isinstance(said, dict) else (one.partition("=")[::2] for one in said)
    yield from ((name, str(value)) for name, value in pairs)


@pytest.mark.parametrize("target", ComposeTarget)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["kind"])
def test_a_service_has_the_same_gpus_in_the_modern_way(case: dict[str, Any], target: ComposeTarget) -> None:
    done = rewritten(case["text"], target)
    assert len(done.left) == case.get("left", 0), done.left
    services = loaded(done.after).get("services", {})
    if "gpus" in case or "left" not in case:
        found = {name: gpus for name, service in services.items() if (gpus := asked(service)) is not None}
        inherited = {name for name, service in services.items() if "extends" in service}
        assert found | {name: "all" for name in inherited} == case.get("gpus", {})
    if target is ComposeTarget.COMPOSE:
        assert [words for words in case.get("gone", []) if words in done.after] == []
        assert [words for words in case.get("stays", []) if words not in done.after] == []
    assert rewritten(done.after, target).after == done.after


def rewritten(text: str, target: ComposeTarget = ComposeTarget.COMPOSE) -> Migration:
    (done,) = migrated([source("compose.yml", text.encode())], target)
    return done

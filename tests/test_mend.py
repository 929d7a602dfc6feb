"""`gpuctl doctor --fix`, with a real Docker: what it mends, asks about and only prints, and the way back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import validate
from simhost import Dockerd, SimHost, Toolkit

SCHEMA = json.loads((Path(__file__).parents[1] / "data" / "schemas" / "doctor.schema.json").read_text())
CONFIG_TOML = "/etc/nvidia-container-runtime/config.toml"
NO_CGROUPS = '# ours\n[nvidia-container-cli]\nno-cgroups = true\nenvironment = ["TOKEN=hunter2"]\n'
SPEC = "/etc/cdi/nvidia.yaml"
OLD_SPEC = """cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
- name: all
  containerEdits:
    deviceNodes:
    - {path: /dev/nvidiactl, major: 9, minor: 255}
"""
NewHost = Callable[..., SimHost]


@pytest.fixture
def ready(
    sim_host: NewHost, toolkit: Toolkit, new_dockerd: Callable[..., Dockerd]
) -> Callable[..., tuple[SimHost, Dockerd]]:
    toolkit.install("v100")

    def make(profile: str = "v100", **options: Any) -> tuple[SimHost, Dockerd]:
        daemon = new_dockerd(config="{}\n", path=[toolkit.directory])
        return sim_host(profile, toolkit=toolkit, dockerd=daemon, **options), daemon

    return make


def fix(host: SimHost, *options: str) -> dict[str, Any]:
    done = host.gpuctl("doctor", "--fix", "--json", *options)
    validate(done.json, SCHEMA)
    assert "Traceback" not in done.err
    failed = {one["id"] for one in done.json["findings"] if one["status"] == "fail"}
    return {"code": done.code, "fix": done.json["fix"], "failed": failed}


def test_what_disturbs_nothing_is_mended_and_looked_at_again(ready: Callable[..., tuple[SimHost, Dockerd]]) -> None:
    host, daemon = ready()
    planned = fix(host, "--dry-run")
    assert (planned["code"], planned["failed"]) == (1, {"registration.runtime"})
    assert [step["text"].split()[0] for step in planned["fix"][0]["steps"]] == ["write", "reload"]
    assert daemon.config.read_text() == "{}\n"
    shown = host.gpuctl("doctor", "--fix", "--dry-run").out
    assert "To mend registration.runtime (disturbs nothing):" in shown and "+" in shown

    done = fix(host)
    assert (done["code"], done["failed"], done["fix"][0]["mended"]) == (0, set(), ["registration.runtime"])
    again = fix(host)
    assert (again["code"], again["fix"]) == (0, [])
    assert host.gpuctl("rollback").code == 0
    assert daemon.config.read_text() == "{}\n"


def test_what_disturbs_new_containers_waits_for_a_yes_where_nobody_can_be_asked(
    ready: Callable[..., tuple[SimHost, Dockerd]],
) -> None:
    host, _ = ready(files={CONFIG_TOML: NO_CGROUPS})
    text = host.path(CONFIG_TOML)
    refused = host.gpuctl("doctor", "--fix")
    assert (refused.code, text.read_text()) == (1, NO_CGROUPS)
    assert "not mended: toolkit.no-cgroups: it was not allowed; --yes allows it" in refused.out

    assert "hunter2" not in host.gpuctl("doctor", "--fix", "--dry-run").out
    done = fix(host, "--yes")
    mended = [id for one in done["fix"] for id in one["mended"]]
    assert (done["code"], "toolkit.no-cgroups" in mended, done["failed"]) == (0, True, set())
    assert text.read_text() == NO_CGROUPS.replace("true", "false")
    run = next(one["run"] for one in done["fix"] if "toolkit.no-cgroups" in one["checks"])
    assert host.gpuctl("rollback", run).code == 0
    assert text.read_text() == NO_CGROUPS


def test_a_specification_that_is_out_of_date_is_generated_anew(ready: Callable[..., tuple[SimHost, Dockerd]]) -> None:
    host, _ = ready(files={SPEC: OLD_SPEC})
    done = fix(host)
    mended = {id for one in done["fix"] for id in one["mended"]}
    assert (done["code"], mended) == (0, {"cdi.stale", "registration.runtime"})
    run = next(one["run"] for one in done["fix"] if "cdi.stale" in one["checks"])
    assert "major: 9" not in host.path(SPEC).read_text()
    back = host.gpuctl("rollback", run)
    assert (back.code, "nobody has to be told" in back.out) == (0, True), back.out + back.err
    assert host.path(SPEC).read_text() == OLD_SPEC


@pytest.mark.parametrize(
    ("answer", "becomes"), [("n", NO_CGROUPS), ("y", NO_CGROUPS.replace("true", "false"))], ids=["no", "yes"]
)
def test_on_a_terminal_the_plan_is_shown_and_asked_about(
    ready: Callable[..., tuple[SimHost, Dockerd]], answer: str, becomes: str
) -> None:
    host, _ = ready(files={CONFIG_TOML: NO_CGROUPS})
    ours, theirs = os.openpty()
    argv = [sys.executable, "-m", "gpuctl", "doctor", "--fix"]
    run = host.popen(argv, stdin=theirs, stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    os.write(ours, f"{answer}\n".encode())
    said = b""
    try:
        while piece := os.read(ours, 65536):
            said += piece
    except OSError:  # the other end has been closed
        os.close(ours)
    assert run.wait(300) == (1 if answer == "n" else 0)
    assert b"To mend toolkit.no-cgroups (disturbs new containers):" in said and b"Do that?" in said
    assert host.path(CONFIG_TOML).read_text() == becomes


def test_what_gpuctl_cannot_undo_is_printed_and_not_done(ready: Callable[..., tuple[SimHost, Dockerd]]) -> None:
    host, _ = ready("mismatch")
    done = host.gpuctl("doctor", "--fix", "--yes", "--only", "driver")
    assert (done.code, "$ reboot" in done.out) == (1, True)
    assert not host.path("/var/lib/gpuctl/journal").exists()


def test_options_of_fix_go_with_it_only(sim_host: NewHost) -> None:
    for option in ("--dry-run", "--yes"):
        done = sim_host("v100").gpuctl("doctor", option)
        assert (done.code, "with --fix" in done.err) == (2, True)

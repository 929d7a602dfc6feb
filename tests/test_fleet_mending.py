"""What hosts of a fleet do where `gpuctl doctor --fix` is carried out on them: a simulated host, a real Docker."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
from simhost import Dockerd, SimHost, Toolkit

from gpuctl.host.act.errand import fingerprint

CONFIG_TOML, SPEC = "/etc/nvidia-container-runtime/config.toml", "/etc/cdi/nvidia.yaml"
NO_CGROUPS = "[nvidia-container-cli]\nno-cgroups = true\n"
OLD_SPEC = """\
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
- name: all
  containerEdits:
    deviceNodes:
    - {path: /dev/nvidiactl, major: 9, minor: 255}
"""
GPUCTL = f'#!/bin/sh\nexec {sys.executable} -m gpuctl "$@"\n'
WORDS = ["doctor", "--fix", "--yes"]
US = "gpuctl fleet apply, begun 2026-11-30T09:00:00.000000Z"


@pytest.fixture
def host(
    sim_host: Callable[..., SimHost], toolkit: Toolkit, new_dockerd: Callable[..., Dockerd]
) -> Callable[[str, str], SimHost]:
    toolkit.install("v100")
    daemon = new_dockerd(config="{}\n", path=[toolkit.directory])
    return lambda path, text: sim_host(toolkit=toolkit, dockerd=daemon, files={path: text}, commands={"gpuctl": GPUCTL})


def done_on(host: SimHost, function: str, *arguments: object) -> dict[str, Any]:
    """What a function of gpuctl/host/act/errand.py answers there."""
    script = (
        f"import sys; from gpuctl.host.act.errand import {function}; sys.stdout.buffer.write({function}(*{arguments}))"
    )
    done = host.run([sys.executable, "-c", script])
    assert done.code == 0, done.err
    return dict(json.loads(done.out))


def approved(planned: dict[str, Any], **other: object) -> dict[str, Any]:
    told = {"words": WORDS, "plan": fingerprint(planned["change"]), "mends": planned["mends"], "asked_by": US}
    return {**told, "smoke": False, "deadline": 60.0, "asked_again": False, **other}


def test_all_that_the_doctor_mends_is_one_plan_carried_out_and_taken_back_as_one(
    host: Callable[[str, str], SimHost],
) -> None:
    stale = host(SPEC, OLD_SPEC)
    assert stale.dockerd
    planned = done_on(stale, "planned", WORDS, "")
    assert (planned["code"], planned["change"]["checks"]) == (0, ["cdi.stale", "registration.runtime"])
    failed = done_on(stale, "applied", "", approved(planned, smoke=True))
    assert failed["ended"] == "rolled-back"
    assert re.match(r"gpuctl smoke ends with \d: \w+ .*\.$", failed["detail"])
    assert (stale.path(SPEC).read_text(), stale.dockerd.config.read_text()) == (OLD_SPEC, "{}\n")

    left = done_on(stale, "planned", WORDS, "")  # Docker keeps a runtime in mind until it is restarted
    assert left["change"]["checks"] == ["cdi.stale"]
    applied = done_on(stale, "applied", "", approved(left))
    assert (applied["ended"], len(applied["runs"])) == ("applied", 1)
    assert "cdi.stale" not in applied["found"]
    theirs = done_on(stale, "applied", "", approved(left))
    assert (theirs["ended"], theirs["runs"]) == ("unchanged", [])
    again = done_on(stale, "applied", "", approved(left, asked_again=True))
    assert (again["ended"], again["runs"]) == ("applied", applied["runs"])
    assert done_on(stale, "undone", applied["runs"], "", [], 60.0)["ended"] == "undone"
    assert stale.path(SPEC).read_text() == OLD_SPEC


def test_what_was_done_when_its_answer_was_lost_is_verified_and_undone_all_the_same(
    host: Callable[[str, str], SimHost],
) -> None:
    stale = host(SPEC, OLD_SPEC)
    words = [*WORDS, "--only", "cdi.stale"]
    planned = done_on(stale, "planned", words, "")
    asked = approved(planned, words=words)
    assert done_on(stale, "applied", "", asked)["ended"] == "applied"
    unproved = done_on(stale, "applied", "", {**asked, "smoke": True, "asked_again": True})
    assert unproved["ended"] == "rolled-back" and "gpuctl smoke ends with" in unproved["detail"]
    assert stale.path(SPEC).read_text() == OLD_SPEC

    assert done_on(stale, "applied", "", asked)["ended"] == "applied"
    assert done_on(stale, "applied", "", {**asked, "asked_by": "others", "asked_again": True})["ended"] == "unchanged"
    assert done_on(stale, "undone_of", "others", "", [], 60.0)["ended"] == "undone"
    assert stale.path(SPEC).read_text() != OLD_SPEC
    assert done_on(stale, "undone_of", US, "", [], 60.0)["ended"] == "undone"
    assert stale.path(SPEC).read_text() == OLD_SPEC


def test_what_a_mended_finding_had_hidden_is_neither_mended_unread_nor_a_reason_to_go_back(
    host: Callable[[str, str], SimHost],
) -> None:
    sick = host(CONFIG_TOML, NO_CGROUPS)
    assert sick.dockerd
    planned = done_on(sick, "planned", WORDS, "")
    assert planned["mends"] == ["toolkit.no-cgroups"]
    applied = done_on(sick, "applied", "", approved(planned))
    assert (applied["ended"], "registration.runtime" in applied["found"]) == ("applied", True)
    assert sick.dockerd.config.read_text() == "{}\n"

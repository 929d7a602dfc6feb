"""A fleet's plan: equal changes are one group, and what a person has read is what its file holds."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from old_python import old_python
from simhost import warm

from gpuctl.fleet.payload import ANSWER, Call, build, calling
from gpuctl.fleet.plan import BadPlan, FleetPlan, plan_in, plan_of
from gpuctl.fleet.run_folder import HostOutcome, State
from gpuctl.host.act.errand import fingerprint
from gpuctl.render.views.fleet_plan import plan_json, plan_text

ROOT = Path(__file__).parents[1]
WORDS = ("install-runtime", "--cdi")


def change(path: str = "/etc/docker/daemon.json", process: int = 7, **other: Any) -> dict[str, Any]:
    steps = [
        {"text": f"write {path}", "disturbs": "nothing", "undo": "put back what it was", "diff": "+a\n"},
        {
            "text": f"reload Docker (SIGHUP to dockerd, process {process})",
            "disturbs": "nothing",
            "undo": "",
            "diff": "",
        },
    ]
    return {"engine": "docker", "config": path, "diff": "+a\n", "steps": steps, "notes": [], **other}


def answer(**told: Any) -> bytes:
    return json.dumps({"code": 0, "change": change(), "said": "", "mends": [], **told}).encode()


def made(**answers: bytes | State) -> FleetPlan:
    told = [
        (HostOutcome(host, one, 5.0, "no route"), None)
        if isinstance(one, State)
        else (HostOutcome(host, State.REPORTED, 5.0), one)
        for host, one in answers.items()
    ]
    return plan_of("1.0", 1764000000.0, WORDS, told)


def test_hosts_that_say_the_same_are_one_group_whatever_their_processes_are_called() -> None:
    plan = made(
        c=answer(change=change("/etc/other.json")),
        b=answer(change=change(process=8, notes=["Docker 29"], run="x"), mends=["docker.runtime"]),
        a=answer(),
    )
    assert [(group.hosts, group.mends) for group in plan.groups] == [(("a", "b"), ("docker.runtime",)), (("c",), ())]


def test_what_would_be_changed_otherwise_is_another_plan() -> None:
    for other in ({"diff": "+b\n"}, {"engine": "podman"}, {"config": "/x"}, {"steps": change()["steps"][:1]}):
        assert fingerprint(change(**other)) != fingerprint(change())


def test_a_host_without_a_plan_is_told_with_the_reason() -> None:
    plan = made(
        fine=answer(change=change(steps=[])),
        bare=json.dumps({"cannot": "gpuctl is not installed there."}).encode(),
        no=answer(code=1, change=change(error="Docker is not running.")),
        mute=answer(code=2, change={}, said="no such option"),
        away=State.UNREACHABLE,
        strange=b"[]",
        large=answer(said="x" * (1 << 20)),
        odd=answer(change=change(steps=[{"text": 1}])),
    )
    assert plan.unchanged == ("fine",)
    assert [(one.host, one.why, one.detail) for one in plan.unplanned if one.why != "broken"] == [
        ("away", "unreachable", "no route"),
        ("bare", "cannot-change", "gpuctl is not installed there."),
        ("mute", "refused", "no such option"),
        ("no", "refused", "Docker is not running."),
    ]
    assert [one.host for one in plan.unplanned if one.why == "broken"] == ["large", "odd", "strange"]


def test_of_names_that_are_one_host_the_first_has_the_plan() -> None:
    other = answer(change=change("/etc/other.json"), here="2")
    plan = made(gpu7=answer(here="1"), alias=answer(here="1"), other=other, old=answer(), older=answer())
    assert [group.hosts for group in plan.groups] == [("alias", "old", "older"), ("other",)]
    told = [(one.host, one.why, one.detail) for one in plan.unplanned]
    assert told == [("gpu7", "host-twice", "It is alias by another name, and is planned for once.")]


def test_a_hosts_own_words_steer_no_terminal() -> None:
    steps = [{"text": "\x1b[2J", "disturbs": "nothing", "undo": "\x1b[2J", "diff": "+\x1b[2J"}]
    plan = made(a=answer(change=change(steps=steps), mends=["\x1b[2J"]), b=answer(code=1, change={"error": "\x1b[2J"}))
    assert "\x1b" not in plan_text(plan, verbose=True).plain + plan_json(plan)


PLAN = made(a=answer(), b=answer(), c=answer(change=change(steps=[])), d=State.LOST)
TEXT = plan_json(PLAN)


def test_a_plan_is_read_back_as_it_was_written_and_conforms() -> None:
    assert plan_in(TEXT.encode()) == PLAN
    Draft202012Validator(json.loads((ROOT / "data/schemas/fleet-plan.schema.json").read_text())).validate(
        json.loads(TEXT)
    )


@given(st.data())
def test_a_plan_in_which_anything_was_edited_is_none(data: st.DataObject) -> None:
    document = json.loads(TEXT)
    name = data.draw(st.sampled_from(sorted(document)))
    document[name] = data.draw(st.none() | st.integers() | st.text() | st.lists(st.text()))
    if document != json.loads(TEXT):
        with pytest.raises(BadPlan):
            plan_in(json.dumps(document).encode())


@given(st.integers(0, len(TEXT) - 1), st.characters(codec="ascii"))
def test_a_plan_in_which_a_letter_was_changed_is_none_or_the_same(place: int, letter: str) -> None:
    edited = TEXT[:place] + letter + TEXT[place + 1 :]
    with suppress(BadPlan):
        assert plan_in(edited.encode()) == PLAN


def plan(*options: str) -> subprocess.CompletedProcess[str]:
    return warm.gpuctl("fleet", "plan", *options, env={**os.environ, "COLUMNS": "200"})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("smoke", "-i", "x"), "smoke is none of install-runtime, uninstall-runtime, doctor"),
        (("doctor", "-i", "x"), "doctor changes nothing without --fix"),
        (("doctor", "--fix", "--drain", "slurm", "-i", "x"), "--fix, --only and --skip go with a plan"),
        (("install-runtime", "--engine", "rkt", "-i", "x"), "'rkt' is none of docker, containerd, crio, podman"),
        (("install-runtime", "--nonsense", "-i", "x"), "No such option: --nonsense"),
        (("install-runtime", "--dry-run", "-i", "x"), "leave out --dry-run"),
        (("install-runtime", "-i", "x", "--zipapp", "pyproject.toml"), "pyproject.toml is no single file of gpuctl"),
        (("install-runtime", "-i", "x", "--zipapp", "nowhere.pyz"), "nowhere.pyz"),
    ],
)
def test_what_cannot_be_meant_is_said_before_a_host_is_asked(options: tuple[str, ...], words: str) -> None:
    done = plan(*options)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


@pytest.mark.bench
def test_an_old_python_says_of_a_host_without_gpuctl_that_it_cannot_be_changed(tmp_path: Path) -> None:
    (tmp_path / "ansible" / "module_utils").mkdir(parents=True)
    for name in ("__init__.py", "module_utils/__init__.py", "module_utils/basic.py"):
        (tmp_path / "ansible" / name).touch()
    call = Call("Plans a change", "gpuctl.host.act.errand", "planned", (list(WORDS), ""))
    argv = [*old_python(tmp_path), "-S", "-"]
    env = {"PYTHONPATH": str(tmp_path), "PATH": str(tmp_path)}
    module = calling(build(), "1.0", 60, call)
    done = subprocess.run(argv, input=module, capture_output=True, text=True, env=env, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    told = base64.b64decode(json.loads(done.stdout.splitlines()[-1])[ANSWER]["snapshot"])
    assert json.loads(told)["cannot"].startswith("gpuctl is not installed there")

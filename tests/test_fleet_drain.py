"""Hosts taken out of service: a cluster's nodes by the real kubectl, and a person's own commands."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from k8s_objects import node, pod
from k8s_server import TOKEN, Answers, Certificates, Server, forbidden, kubeconfig, nothing, serving
from ruamel.yaml import YAML
from simhost.process import until

from gpuctl.cli.frame.fleet.draining import Draining
from gpuctl.cli.frame.fleet.limiting import option_words
from gpuctl.cli.frame.fleet.waves import Waving
from gpuctl.fleet.changes import APPLIED, ChangeRun, add, create, read
from gpuctl.fleet.drain.commands import CommandDrain
from gpuctl.fleet.drain.drain import AT_ONCE, IN_SERVICE, Taken
from gpuctl.fleet.drain.kubernetes import ANNOTATION, KubernetesDrain
from gpuctl.fleet.drain.wave import brought_back, taken_out
from gpuctl.fleet.drain.wish import DrainWish
from gpuctl.fleet.limits import Limits
from gpuctl.fleet.plan import FleetPlan, Group
from gpuctl.host.api.kubectl import Kubectl
from gpuctl.model import Disturbs, Step

pytestmark = pytest.mark.bench


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An API of two nodes, the second of which somebody has cordoned; kubectl is on PATH."""
    api = Server({"Node": [node("a"), node("b", cordoned=True)], "Pod": []})
    certificates = Certificates(tmp_path / "certificates")
    with serving(api, certificates) as url:
        cluster = {"server": url, "certificate-authority": certificates.path("ca.crt")}
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", cluster, {"token": TOKEN})))
        monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        yield api


def of(server: Server, name: str) -> dict[str, Any]:
    return next(one for one in server.lists["Node"] if one["metadata"]["name"] == name)


def marked(server: Server, name: str) -> tuple[bool, str | None]:
    """Whether a node is cordoned, and by which run."""
    found = of(server, name)
    annotations = found["metadata"].get("annotations", {})
    return found.get("spec", {}).get("unschedulable", False), annotations.get(ANNOTATION)


def drain_of(run: str) -> KubernetesDrain:
    return KubernetesDrain(run, Kubectl())


def test_a_node_is_cordoned_waited_for_and_uncordoned_and_somebody_elses_stays_so(server: Server) -> None:
    drain = drain_of("RUN")
    server.lists["Pod"] = [pod("train", on="a", gpus=1), pod("web", on="a"), pod("other", on="b", gpus=1)]
    assert drain.take_out(("a", "b")) == {"a": Taken(True), "b": Taken(False)}
    assert (marked(server, "a"), marked(server, "b")) == ((True, "RUN"), (True, None))
    assert drain.busy(("a",)) == {"a": "Pods have GPUs on it: default/train."}
    del server.lists["Pod"][0]
    assert drain.busy(("a",)) == {}
    assert drain.take_out(("a",)) == {"a": Taken(True)}
    assert drain.bring_back(("a", "b")) == {}
    assert (marked(server, "a"), marked(server, "b")) == ((False, None), (True, None))


def test_another_runs_node_is_left_alone_and_what_cannot_be_done_is_a_sentence(server: Server) -> None:
    assert drain_of("RUN").take_out(("a",))["a"].ours
    assert drain_of("OTHER").take_out(("a",)) == {"a": Taken(False)}
    assert drain_of("OTHER").bring_back(("a",)) == {}
    assert marked(server, "a") == (True, "RUN")
    server.faults = {"PATCH": [forbidden("Node")]}
    assert "is forbidden" in drain_of("RUN").bring_back(("a",))["a"]
    assert "NotFound" in drain_of("RUN").take_out(("nowhere",))["nowhere"].problem


def test_who_cordons_a_node_in_the_meantime_keeps_it(server: Server) -> None:
    def meanwhile(answers: Answers) -> None:
        of(server, "a")["metadata"]["resourceVersion"] = "another"
        of(server, "a")["spec"] = {"unschedulable": True}
        answers.send(409, b'{"kind": "Status", "reason": "Conflict", "message": "changed", "code": 409}')

    server.faults = {"PATCH": [meanwhile, None]}
    assert drain_of("RUN").take_out(("a",)) == {"a": Taken(False)}
    assert marked(server, "a") == (True, None)


def test_a_node_that_was_cordoned_before_the_answer_was_lost_is_known_to_be_ours(server: Server) -> None:
    def done(answers: Answers) -> None:
        of(server, "a")["spec"] = {"unschedulable": True}
        of(server, "a")["metadata"]["annotations"] = {ANNOTATION: "RUN"}
        nothing(answers)

    server.faults = {"PATCH": [done]}
    taken = drain_of("RUN").take_out(("a",))["a"]
    assert taken.ours and taken.problem


def test_a_node_that_somebody_uncordons_is_not_free_and_loses_our_mark(server: Server) -> None:
    drain = drain_of("RUN")
    drain.take_out(("a",))
    del of(server, "a")["spec"]["unschedulable"]
    assert drain.busy(("a",)) == {"a": IN_SERVICE}
    assert drain.bring_back(("a",)) == {}
    assert marked(server, "a") == (False, None)


def test_a_node_that_somebody_has_brought_back_and_cordoned_anew_is_theirs(server: Server) -> None:
    drain = drain_of("RUN")
    drain.take_out(("a",))
    for verb in ("uncordon", "cordon"):
        subprocess.run(["kubectl", verb, "a"], check=True, capture_output=True)
    assert marked(server, "a") == (True, "RUN")
    assert drain.take_out(("a",)) == {"a": Taken(False)}
    assert drain.bring_back(("a",)) == {}
    assert marked(server, "a") == (True, None)


def test_a_cluster_is_the_one_of_its_context_whichever_is_current_later(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Path(os.environ["KUBECONFIG"])
    monkeypatch.chdir(config.parent)
    current = YAML().load(config.read_text())["current-context"]
    assert Draining(drain="kubernetes").wish() == DrainWish("kubernetes", context=current)
    named = Draining(drain="kubernetes", context=current, kubeconfig=config.name).wish()
    assert named == DrainWish("kubernetes", context=current, kubeconfig=str(config))
    assert KubernetesDrain("RUN", Kubectl(named.context, named.kubeconfig)).take_out(("a",)) == {"a": Taken(True)}


def test_a_persons_command_is_handed_the_name_as_one_word_that_no_shell_reads(tmp_path: Path) -> None:
    seen, program = tmp_path / "seen", tmp_path / "my drain"
    program.write_text(f'#!/bin/sh\nprintf "%s|" "$@" >> {seen}\n[ "$2" != bad ] || {{ echo no slot; exit 3; }}\n')
    program.chmod(0o755)
    hostile = f"a; touch {tmp_path}/owned $(id)"
    drain = CommandDrain((str(program), "--from $HOME"), (), 20)
    taken = drain.take_out((hostile, "bad", "-rf"))
    assert taken[hostile] == Taken(True)
    assert "exit status 3 no slot" in taken["bad"].problem
    assert "is handed to no command" in taken["-rf"].problem
    assert sorted(seen.read_text().split("|")) == sorted(["--from $HOME", hostile, "--from $HOME", "bad", ""])
    assert not (tmp_path / "owned").exists()
    assert drain.bring_back(("a",)) == {}


def test_who_is_verified_comes_back_once_and_others_stay_out_also_after_a_cut(tmp_path: Path) -> None:
    seen, program = tmp_path / "seen", tmp_path / "hosts"
    program.write_text(f'#!/bin/sh\necho "$@" >> {seen}\n[ "$2" != c ]\n')
    program.chmod(0o755)
    drain = CommandDrain((str(program), "out"), (str(program), "back"), 20)
    group = Group("0" * 16, ("a", "b", "c"), (Step("write", Disturbs.NOTHING, "", ""),), ())
    plan = FleetPlan("1.0", 5.0, ("install-runtime",), (group,), (), ())
    how = False, DrainWish(None, ("out",)), Limits(drain_timeout=0.0)
    run = ChangeRun(str(tmp_path / "RUN"), 6.0, plan, *how, (group.hosts,), {})
    create(run.folder, "1.0", run)
    run, busy = taken_out(run, group.hosts, drain)
    assert list(busy) == ["c"]
    assert {one.host for one in run.drained} == {"a", "b"}
    add(run.folder, [replace(run.changes["a"], state=APPLIED), replace(run.changes["b"], state="rolled-back")])
    run = read(run.folder)  # as whoever goes on after a cut does
    run = brought_back(run, [run.changes["a"]], drain)
    assert [one.host for one in run.drained] == ["b"]
    assert sorted(seen.read_text().splitlines()) == ["back a", "out a", "out b", "out c"]


def test_an_interrupt_waits_for_no_command_and_begins_none(tmp_path: Path) -> None:
    seen, program = tmp_path / "seen", tmp_path / "waits"
    program.write_text(f"#!/bin/sh\necho $1 >> {seen}\nexec sleep 300\n")
    program.chmod(0o755)
    script = f"""
from gpuctl.fleet.drain.commands import CommandDrain
CommandDrain(({str(program)!r},), (), 600).take_out([f"host{{number}}" for number in range(40)])
"""
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    assert until(lambda: seen.exists() and len(seen.read_text().split()) == AT_ONCE)
    process.send_signal(signal.SIGINT)
    assert process.wait(300) != 0
    assert len(seen.read_text().split()) == AT_ONCE


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Draining(drain="slurm", before="true"), "give one"),
        (Draining(before="'"), "No closing quotation"),
        (Draining(after="no-such-program --now"), "there is no program no-such-program here"),
        (Draining(drain="slurm", context="x"), "go with --drain kubernetes"),
        (Draining(drain="kubernetes", context="nowhere"), "nowhere"),
        (Draining(drain="kubernetes", kubeconfig="/nowhere/config"), "there is no kubeconfig /nowhere/config"),
    ],
)
def test_what_cannot_take_a_host_out_of_service_is_refused_before_any_is(
    server: Server, asked: Draining, words: str
) -> None:
    with pytest.raises(typer.BadParameter, match=words):
        asked.wish()


def test_checks_to_stop_on_are_known_ones() -> None:
    typed = Waving(stop_on=["driver,cdi.stale"]).limits()
    assert "driver.xid" in Limits(**typed).checks
    assert option_words({**typed, "pause": 600.0}) == ["--stop-on", "driver,cdi.stale", "--pause", "600"]
    with pytest.raises(
        typer.BadParameter, match=r"no layer or check is called driver\.xids\. Did you mean driver\.xid"
    ):
        Waving(stop_on=["driver.xids"]).limits()

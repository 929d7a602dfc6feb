"""`gpuctl fleet plan`, `apply` and `undo` on real hosts: Ansible, ssh, gpuctl's own runs, journals and locks there.

Each host has a gpuctl, a daemon.json of a Docker that does not run, and a word of its own on what `gpuctl smoke` ends
with: without a GPU it would always be the same. All else is as it is anywhere.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fleet_hosts import PYTHON, Hosts, hosts
from jsonschema import Draft202012Validator
from simhost import warm
from simhost.process import until

from gpuctl.fleet.changes import DRAINING, read

pytestmark = pytest.mark.bench

ROOT = Path(__file__).parents[1]
FILE = "/etc/docker/daemon.json"
BEFORE = {
    "c1": "{}",
    "c2": "{}",
    "c3": "{}",
    "d1": '{"debug": true}',
    "fine": '{"runtimes":{"nvidia":{"path":"/bin/true"}}}',
}
GPUCTL = f"""\
#!/bin/sh
if [ "$1" = smoke ] && [ -e /run/smoke ]; then exit "$(cat /run/smoke)"; fi
if [ -e /run/breaks ] && [ "$1" = install-runtime ] && [ "${{*#*--dry-run}}" = "$*" ]; then echo '{{' > {FILE}; fi
PYTHONPATH={ROOT} exec {sys.executable} -m gpuctl "$@"
"""
OPTIONS = ("--engine", "docker", "--runtime-path", "/bin/true", "--config", FILE, "--no-reload")


def prepared(text: str, gpuctl: bool) -> str:
    install = f"cat > /usr/local/bin/gpuctl << 'END'\n{GPUCTL}END\nchmod +x /usr/local/bin/gpuctl\n" if gpuctl else ""
    clean = "rm -rf /etc/docker /usr/local/bin/gpuctl /var/lib/gpuctl; mkdir /etc/docker\n"
    return f"{clean}{install}printf %s '{text}' > {FILE}"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    scripts = {name: prepared(text, gpuctl=True) for name, text in BEFORE.items()}
    scripts["bare"] = prepared("{}", gpuctl=False)
    with hosts(tmp_path_factory.mktemp("fleet"), scripts, ansible_python_interpreter=PYTHON) as up:
        yield up


@pytest.fixture
def fleet(lab: Hosts) -> Iterator[Hosts]:
    """The hosts as they were at first, whatever a test before has done to them."""
    put_back(lab)
    yield lab


def put_back(lab: Hosts) -> None:
    for name, text in BEFORE.items():
        on(lab, name, f"rm -rf /var/lib/gpuctl /run/smoke; printf %s '{text}' > {FILE}")


def on(lab: Hosts, name: str, script: str) -> str:
    return lab.hosts[name].does(script)


def files(lab: Hosts) -> dict[str, str]:
    return {name: on(lab, name, f"cat {FILE}") for name in BEFORE}


def words(*options: object) -> list[str]:
    return [sys.executable, "-m", "gpuctl", "fleet", *map(str, options)]


def gpuctl(*options: object) -> tuple[int, dict[str, Any], str]:
    """The exit code, what was answered as JSON, and what was said on stderr."""
    done = warm.gpuctl("fleet", *map(str, options), "--json", timeout=400)
    told = json.loads(done.stdout) if done.stdout else {}
    if told:
        name = told["schema"].removeprefix("gpuctl.").removesuffix("/1")
        Draft202012Validator(json.loads((ROOT / f"data/schemas/{name}.schema.json").read_text())).validate(told)
    return done.returncode, told, done.stderr


def planned(lab: Hosts, folder: Path, *names: str, options: Sequence[str] = OPTIONS) -> tuple[Path, Path]:
    """An inventory, and the file of a plan for it."""
    inventory = lab.inventory(*names)
    code, _, said = gpuctl("plan", "install-runtime", *options, "-i", inventory, "-o", folder / "PLAN")
    assert code == 0, said
    return inventory, folder / "PLAN"


def states(told: Mapping[str, Any]) -> dict[str, str]:
    return {one["host"]: one["state"] for one in told["hosts"]}


@dataclass(frozen=True)
class Planned:
    """A plan that was made once for all hosts; the fixture `fleet` has them again as they were then."""

    inventory: Path
    file: Path
    code: int
    told: dict[str, Any]

    def of(self, *names: str) -> tuple[object, ...]:
        """Returns the options by which these hosts are asked."""
        return ("-i", self.inventory, "--limit", ",".join(names))


@pytest.fixture(scope="module")
def plan(lab: Hosts, tmp_path_factory: pytest.TempPathFactory) -> Planned:
    put_back(lab)  # this is made before a test's own `fleet`
    inventory, file = lab.inventory(), tmp_path_factory.mktemp("plan") / "PLAN"
    more = f"c1 rack=r1\nc2 rack=r2\nc3 rack=r1\nc3-again ansible_host={lab.hosts['c3'].address}\n"
    inventory.write_text(inventory.read_text().replace("[all:vars]", f"{more}[all:vars]"))
    code, told, _ = gpuctl("plan", "install-runtime", *OPTIONS, "-i", inventory, "-o", file)
    assert files(lab) == BEFORE
    return Planned(inventory, file, code, told)


def test_equal_plans_are_read_once_and_a_second_name_and_a_host_without_gpuctl_are_told(plan: Planned) -> None:
    assert plan.code == 1
    assert [group["hosts"] for group in plan.told["groups"]] == [["c1", "c2", "c3"], ["d1"]]
    assert plan.told["unchanged"] == ["fine"]
    unplanned = {one["host"]: one["why"] for one in plan.told["unplanned"]}
    assert unplanned == {"bare": "cannot-change", "c3-again": "host-twice"}
    assert plan.file.stat().st_mode & 0o777 == 0o600


def printed(done: subprocess.CompletedProcess[str], before: str) -> list[str]:
    """The words of a command of gpuctl fleet that was told to a person, who runs it as it stands."""
    line = next(line for line in (done.stdout + done.stderr).splitlines() if before in line)
    gpuctl, fleet, *options = shlex.split(line.partition(before)[2])
    assert (gpuctl, fleet) == ("gpuctl", "fleet")
    return words(*options)


def test_a_host_without_gpuctl_is_changed_by_a_single_file_and_undone_by_the_commands_that_are_told(
    fleet: Hosts, tmp_path: Path, built: Path
) -> None:
    def run(argv: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=400, cwd=tmp_path)

    by = ("-i", fleet.inventory("bare"), "--become", "--zipapp", built / "gpuctl.pyz")
    planned = run(words("plan", "install-runtime", *OPTIONS, *by, "-o", "PLAN"))
    applied = run([*printed(planned, "To carry it out: "), "--run", "RUN"])
    assert re.search(r"^applied +1 +bare$", applied.stdout, re.MULTILINE)
    assert json.loads(on(fleet, "bare", f"cat {FILE}"))["runtimes"]
    undone = run(printed(applied, "To undo it: "))
    assert re.search(r"^undone +1 +bare$", undone.stdout, re.MULTILINE)
    assert on(fleet, "bare", f"cat {FILE}") == "{}"
    assert on(fleet, "bare", "find /tmp /run /dev/shm -xdev -name 'gpuctl*.pyz'") == ""
    assert list(fleet.written("bare").rglob("gpuctl*.pyz")) == []


def test_a_host_that_another_controller_changes_or_that_is_no_longer_as_it_was_planned_is_left_as_it_is(
    fleet: Hosts, plan: Planned, tmp_path: Path
) -> None:
    on(fleet, "c1", f"printf %s '{BEFORE['d1']}' > {FILE}")
    held = "mkdir -p -m 755 /run/gpuctl; exec 9> /run/gpuctl/fleet; chmod 600 /run/gpuctl/fleet; flock 9"
    on(fleet, "c2", f"{held}; setsid sleep 1000 > /dev/null 2>&1 < /dev/null & echo $! > /run/holder")
    try:
        by = (*plan.of("c1", "c2", "c3"), "--waves", "2", "--run", tmp_path / "RUN")
        code, told, _ = gpuctl("apply", plan.file, *by)
    finally:
        on(fleet, "c2", "pkill -x sleep || true")
    assert (code, states(told), told["stopped_before"]) == (1, {"c1": "plan-changed", "c2": "busy"}, 2)
    assert files(fleet) == {**BEFORE, "c1": BEFORE["d1"]}


def test_a_fault_in_the_second_wave_is_rolled_back_and_stops_before_the_third(
    fleet: Hosts, plan: Planned, tmp_path: Path
) -> None:
    by = plan.of("c1", "c2", "c3", "d1")
    for name, code in (("c1", 0), ("c2", 0), ("c3", 1), ("d1", 0)):
        on(fleet, name, f"echo {code} > /run/smoke")
    options = (*by, "--smoke", "--waves", "1,2,100%")
    code, told, _ = gpuctl("apply", plan.file, *options, "--run", tmp_path / "RUN")
    assert (code, told["stopped_before"]) == (4, 3)
    assert states(told) == {"c1": "applied", "c2": "applied", "c3": "rolled-back"}
    now = files(fleet)
    assert (now["c3"], now["d1"]) == (BEFORE["c3"], BEFORE["d1"])
    assert "nvidia" in now["c1"]
    on(fleet, "c3", "echo 0 > /run/smoke")
    code, told, _ = gpuctl("apply", "--resume", tmp_path / "RUN", *by)
    assert (code, set(states(told).values())) == (0, {"applied"})
    code, told, _ = gpuctl("undo", tmp_path / "RUN", *plan.of("d1"))
    assert (code, states(told)["d1"], states(told)["c1"]) == (0, "undone", "applied")
    assert gpuctl("undo", tmp_path / "RUN", *by)[0] == 0
    assert files(fleet) == BEFORE


def test_a_check_that_fails_since_the_change_has_it_rolled_back_by_its_name(fleet: Hosts, tmp_path: Path) -> None:
    """While gpuctl writes one file, another hand breaks the one that Docker reads."""
    other = f"{FILE}.other"
    inventory, plan = planned(fleet, tmp_path, "c1", "c2", options=[*OPTIONS[:-3], "--config", other, "--no-reload"])
    on(fleet, "c1", "touch /run/breaks")
    code, told, _ = gpuctl("apply", plan, "-i", inventory, "--run", tmp_path / "RUN")
    on(fleet, "c1", "rm /run/breaks")
    assert (code, states(told)) == (4, {"c1": "rolled-back"})
    assert told["hosts"][0]["detail"] == "After it fails what did not fail before: docker.config-valid."
    assert "No such file" in on(fleet, "c1", f"ls {other} 2>&1 || true")


def begun(run: Path, host: str) -> bool:
    return (run / "changes.jsonl").exists() and host in read(str(run)).changes


def stop_at_work(process: subprocess.Popen[Any], run: Path, fleet: Hosts, host: str) -> None:
    """Stops a controller when a host has been changed, before it is told how that ended."""

    def is_changed() -> bool:
        process.send_signal(signal.SIGSTOP)
        changed = "nvidia" in (fleet.written(host) / FILE[1:]).read_text()
        if not changed:
            process.send_signal(signal.SIGCONT)
        return changed

    assert until(lambda: begun(run, host) and is_changed())


def test_a_run_whose_controller_is_killed_is_gone_on_with_and_undone(
    fleet: Hosts, plan: Planned, tmp_path: Path
) -> None:
    by = plan.of("c1", "c2", "c3")
    run = tmp_path / "RUN"
    process = subprocess.Popen(words("apply", plan.file, *by, "--run", run, "--waves", "1"))
    stop_at_work(process, run, fleet, "c2")
    process.kill()
    process.wait()
    assert read(str(run)).changes["c2"].state == "begun"
    assert until(lambda: not on(fleet, "c2", "pgrep -f 'gpuctl (install|doctor)' || true"))
    code, told, _ = gpuctl("apply", "--resume", run, *by)
    assert (code, set(states(told).values())) == (0, {"applied"})
    assert gpuctl("undo", run, *by)[0] == 0
    assert files(fleet) == BEFORE


def test_a_run_whose_controller_is_killed_is_undone_without_going_on(
    fleet: Hosts, plan: Planned, tmp_path: Path
) -> None:
    by = plan.of("c1", "c2")
    run = tmp_path / "RUN"
    process = subprocess.Popen(words("apply", plan.file, *by, "--run", run, "--waves", "1"))
    stop_at_work(process, run, fleet, "c1")
    second = gpuctl("undo", run, *by)  # while the first one is at it
    process.kill()
    process.wait()
    assert second[0] == 2 and "another gpuctl holds it" in second[2]
    assert until(lambda: not on(fleet, "c1", "pgrep -f 'gpuctl (install|doctor)' || true"))
    code, told, said = gpuctl("undo", run, *by)
    assert (code, set(states(told).values())) == (0, {"undone"}), said
    assert files(fleet) == BEFORE


def test_an_interrupt_waits_for_the_wave_and_says_how_to_go_on_and_who_is_out_of_service(
    fleet: Hosts, plan: Planned, tmp_path: Path
) -> None:
    by = plan.of("c1", "c2")
    run = tmp_path / "RUN"
    argv = words("apply", plan.file, *by, "--run", run, "--before", "true", "--after", "false")
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until(lambda: begun(run, "c1") and read(str(run)).changes["c1"].state != DRAINING)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130
    assert said.startswith("It ends when what is at work on hosts has ended")
    assert f"--resume {run}" in said and "Out of service until then: c1." in " ".join(said.split())
    assert {one.host: one.state for one in read(str(run)).changes.values()} == {"c1": "applied"}
    assert files(fleet)["c2"] == BEFORE["c2"]


def test_hosts_that_share_a_domain_are_changed_together_and_what_is_found_on_them_stops_it(
    fleet: Hosts, plan: Planned, tmp_path: Path
) -> None:
    by = plan.of("c1", "c2", "c3")
    options = (*by, "--domain", "rack", "--stop-on", "hardware.gpu-present")
    code, told, _ = gpuctl("apply", plan.file, *options, "--run", tmp_path / "RUN")
    assert (told["waves"], told["stopped_before"]) == ([["c1", "c3"], ["c2"]], 2)
    assert (code, told["stopped_on"], states(told)) == (1, ["hardware.gpu-present"], {"c1": "applied", "c3": "applied"})

    argv = words("apply", "--resume", tmp_path / "RUN", *by, "--max-fail", "2%")  # without what was typed at first
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
    assert (done.returncode, files(fleet)["c2"]) == (1, BEFORE["c2"])
    assert printed(done, "To go on with the others: ")[3:] == argv[3:]
    code, told, _ = gpuctl("apply", "--resume", tmp_path / "RUN", *by, "--stop-on", "docker.config-valid")
    assert (code, states(told)["c2"]) == (0, "applied")
    assert gpuctl("undo", tmp_path / "RUN", *by)[0] == 0


def test_a_plan_that_was_edited_is_refused_and_nothing_is_changed(fleet: Hosts, plan: Planned, tmp_path: Path) -> None:
    edited = tmp_path / "PLAN"
    edited.write_text(plan.file.read_text().replace("/bin/true", "/bin/false"))
    code, told, said = gpuctl("apply", edited, *plan.of("c1"), "--run", tmp_path / "RUN")
    assert (code, told) == (2, {})
    why = "it is not as gpuctl wrote it: make a new plan, and leave its file as it is"
    assert said == f"Error: {edited} is no plan to be carried out: {why}.\n"
    assert not (tmp_path / "RUN").exists()

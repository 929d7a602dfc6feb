"""What goes out to a fleet's hosts, what becomes of Ansible's events, and what is said where nobody can be asked."""

from __future__ import annotations

import ast
import base64
import io
import json
import os
import re
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from old_python import old_python
from simhost import warm
from travelling import ROOT, travelling

from gpuctl.fleet.ansible import Access, EngineProblem, Run, RunnerEvent, Target, forks, merged
from gpuctl.fleet.asking import Entry, Way, outcomes
from gpuctl.fleet.inventory import passed_over, unreadable, without_hosts
from gpuctl.fleet.payload import ANSWER, MODULE, Payload, build, calling, hosts_in, playbook, recording_call
from gpuctl.fleet.run_folder import State
from gpuctl.fleet.shards import CORES_A_SHARD, HOSTS_A_SHARD, shards
from gpuctl.fleet.states import Told, told
from gpuctl.host.act.process import ansible_words
from gpuctl.host.look.capacity import Capacity
from gpuctl.host.record.archive import decode

RECORDED = [json.loads(line) for line in (ROOT / "tests/data/fleet_events.jsonl").read_text().splitlines()]
"""Events of ansible-runner 2.4.3 on the hosts of tests/test_fleet_hosts.py, with the state that is true of the host."""


# What goes out


def test_the_payload_is_what_travels_with_pure_packages_and_the_same_each_time() -> None:
    payload = build()
    inside = zipfile.ZipFile(io.BytesIO(payload.raw)).namelist()
    ours = {name for name in inside if name.startswith("gpuctl/") and name.endswith(".py")}
    assert ours == {str(file.relative_to(ROOT)) for file in travelling()}
    assert {name.split("/")[0] for name in inside} == {"gpuctl", "pynvml.py", "ruamel", "tomli"}
    assert build() == payload


def test_the_module_can_be_read_by_pythons_that_it_only_tells_that_they_are_too_old() -> None:
    module = ast.parse(calling(build(), "1.0", 60, recording_call(logs=False)), feature_version=(3, 6))
    assert module.body


@pytest.mark.bench
def test_an_old_python_records_a_host_by_the_module_and_prints_it_in_the_last_line(tmp_path: Path) -> None:
    (tmp_path / "ansible" / "module_utils").mkdir(parents=True)
    for name in ("__init__.py", "module_utils/__init__.py", "module_utils/basic.py"):
        (tmp_path / "ansible" / name).touch()
    argv = [*old_python(tmp_path), "-S", "-"]
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    module = calling(build(), "1.0", 60, recording_call(logs=False))
    done = subprocess.run(argv, input=module, capture_output=True, text=True, env=env, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout.splitlines()[-1], parse_constant=pytest.fail)
    assert answer.keys() == {"changed", ANSWER}
    snapshot = decode(base64.b64decode(answer[ANSWER]["snapshot"]))
    name = snapshot.host.read("/proc/sys/kernel/hostname").text.strip()
    assert name == os.uname().nodename


# What comes back


@pytest.mark.parametrize("one", RECORDED, ids=lambda one: f"{one['ansible']}-{one['host']}-{one['event']}")
def test_an_event_is_the_state_that_is_true_of_its_host(one: dict[str, Any]) -> None:
    said = told(one["event"], one["res"])
    assert said.state.value == one["state"]
    assert (said.state is State.REPORTED) == (said.snapshot is not None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from([ANSWER, "msg", "module_stdout", "module_stderr", "exception", "timedout", "snapshot", "error"])


@settings(deadline=None)
@given(st.sampled_from(["runner_on_ok", "runner_on_failed", "runner_on_unreachable"]), st.dictionaries(NAMES, JSON))
def test_whatever_a_host_makes_up_is_one_state(event: str, result: dict[str, Any]) -> None:
    said = told(event, result)
    assert (said.state is State.REPORTED) == (said.snapshot is not None)


def replay(
    events: Sequence[RunnerEvent], by_round: Sequence[Sequence[RunnerEvent]] = ()
) -> Iterator[tuple[str, str, str]]:
    """How the hosts of recorded events end, that of later rounds beside them."""
    rounds = iter([events, *by_round])

    def ask(hosts: Sequence[str], pipelining: bool) -> Iterator[tuple[str, Told]]:
        for one in next(rounds):
            yield one["host"], told(one["event"], one["res"])

    names = list(dict.fromkeys(one["host"] for one in events))
    for outcome, _ in outcomes(names, ask):
        yield outcome.host, outcome.state.value, outcome.detail


def test_ten_thousand_recorded_hosts_end_in_one_state_each() -> None:
    kinds = [one for one in RECORDED if not told(one["event"], one["res"]).again]
    events = [{**kinds[number % len(kinds)], "host": f"gpu{number}"} for number in range(10_000)]
    ended = list(replay(events))
    assert Counter(host for host, _, _ in ended).most_common(1) == [("gpu0", 1)]
    assert len(ended) == 10_000
    expected = Counter(kinds[number % len(kinds)]["state"] for number in range(10_000))
    assert Counter(state for _, state, _ in ended) == expected


def test_a_host_that_gives_no_result_is_asked_once_more_and_then_lost() -> None:
    empty = {"host": "gpu1", "event": "runner_on_ok", "res": {}}
    good = next(one for one in RECORDED if one["state"] == "reported")
    assert [state for _, state, _ in replay([empty], [[{**good, "host": "gpu1"}]])] == ["reported"]
    assert [state for _, state, _ in replay([empty], [[empty]])] == ["lost"]


def test_only_the_first_answer_of_a_wanted_host_counts() -> None:
    good = next(one for one in RECORDED if one["state"] == "reported")
    bad = next(one for one in RECORDED if one["state"] == "unreachable")
    events = [{**good, "host": "gpu1"}, {**bad, "host": "gpu1"}]
    assert [state for _, state, _ in replay(events)] == ["reported"]


def test_a_host_that_the_inventory_has_no_more_is_unreachable_and_nobody_is_asked_for_it() -> None:
    entry = Entry(("other",), Way(Target(("hosts.ini",)), Access(), 0.0, lambda: Payload(b"", "")))
    (ended,) = outcomes(("gone",), entry.ask_by(recording_call(False)))
    assert ended[0].state is State.UNREACHABLE
    assert ended[0].detail == "The inventory has no such host any more."


def test_as_many_hosts_are_asked_at_once_as_there_is_room_for() -> None:
    room = Capacity(cores=4, free=8_000, files=65_536)
    assert forks(40, room) == 40
    assert forks(4_000, room) == 80
    assert forks(4_000, Capacity(2, 64_000, 65_536)) == 50
    assert forks(4_000, Capacity(64, 640_000, 1024)) == 128
    assert forks(4_000, Capacity(64, 50, 1024)) == 1


# Many hosts, by several Ansibles


@given(st.integers(1, 20_000), st.integers(1, 64))
def test_every_host_is_in_one_of_shards_that_are_alike(count: int, cores: int) -> None:
    names = [f"gpu{number}" for number in range(count)]
    parts = shards(names, Capacity(cores, free=64_000, files=65_536))
    assert [name for part in parts for name in part] == names
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert len(parts) == 1 or (count > HOSTS_A_SHARD and len(parts) <= cores // CORES_A_SHARD)


def played(events: Sequence[RunnerEvent], code: int = 0) -> Run:
    """An Ansible that ended with this code after these recorded events."""

    def run(hand_on: Callable[[RunnerEvent], bool], is_over: Callable[[], bool]) -> int:
        for one in events:
            hand_on({"event": one["event"], "event_data": {"host": one["host"], "res": one["res"]}})
        hand_on({"event": "error", "stdout": "[ERROR]: it broke" if code else ""})
        return code

    return run


def test_what_five_ansibles_say_of_ten_thousand_hosts_is_one_run_in_which_each_has_its_own_state() -> None:
    kinds = [one for one in RECORDED if not told(one["event"], one["res"]).again and len(str(one["res"])) < 10_000]
    events = {f"gpu{number}": {**kinds[number % len(kinds)], "host": f"gpu{number}"} for number in range(10_000)}
    parts = shards(list(events), Capacity(cores=5 * CORES_A_SHARD, free=64_000, files=65_536))
    assert len(parts) == 5
    with merged([played([events[name] for name in part]) for part in parts], time.monotonic() + 100) as coming:
        ended = [(host, said.state.value) for host, said in coming]
    assert sorted(ended) == sorted((name, one["state"]) for name, one in events.items())


def test_an_ansible_that_breaks_costs_only_its_own_hosts_unless_all_do() -> None:
    good = next(one for one in RECORDED if one["state"] == "reported")
    with merged([played([], 4), played([good])], time.monotonic() + 100) as coming:
        assert [host for host, _ in coming] == [good["host"]]
    with (
        pytest.raises(EngineProblem, match="it broke"),
        merged([played([], 4), played([], 4)], time.monotonic() + 100) as none,
    ):
        list(none)


@pytest.mark.slow  # starts an Ansible
def test_a_script_is_asked_once_by_each_command_and_a_host_whose_port_is_closed_is_unreachable(tmp_path: Path) -> None:
    told = {"a": {"ansible_host": "127.0.0.1", "ansible_port": 1}}
    answer = json.dumps({"all": {"hosts": list(told)}, "_meta": {"hostvars": told}})
    (tmp_path / "script").write_text(f"#!/bin/sh\necho \"$@\" >> {tmp_path}/calls\necho '{answer}'\n")
    (tmp_path / "script").chmod(0o755)
    for number, command in enumerate((("collect", "--run", tmp_path / "RUN"), ("plan", "install-runtime")), 1):
        argv = [sys.executable, "-m", "gpuctl", "fleet", *command, "-i", tmp_path / "script"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
        assert (done.returncode, done.stderr) == (3, "")
        assert re.search(r"unreachable +1 +a\n +(?:a: )?.*Connection refused", done.stdout)
        assert (tmp_path / "calls").read_text() == "--list\n" * number


@pytest.mark.slow  # starts an Ansible
def test_of_more_hosts_than_one_ansible_is_to_ask_it_names_all_and_asks_none(tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / f"library/{MODULE}.py").write_text("#!/usr/bin/python\n")
    (tmp_path / "play.yml").write_text(playbook(become=False, most=1))
    argv = ansible_words("playbook", [f"{tmp_path}/play.yml", "-i", "a,b,c", "--limit", "a:b"])
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=True)
    begun, rest = done.stdout.split("]", 1)
    assert hosts_in(begun.strip().removeprefix("PLAY [")) == ("a", "b")
    assert "no hosts matched" in rest


# Nobody can be asked


@pytest.fixture
def inventories(tmp_path: Path) -> Path:
    (tmp_path / "empty.ini").write_text("")
    (tmp_path / "broken.ini").write_text("[web]\na b c\n")
    (tmp_path / "open.ini").write_text("[web\na\n")
    (tmp_path / "broken.yml").write_text("web:\n  hosts:\n   a: [\n")
    scripts = {"hangs": "exec sleep 1000", "mute": "", "fails": "echo the cloud says no >&2; exit 3"}
    for name, script in scripts.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "hosts.bak").touch()
    (tmp_path / "nowhere.ini").symlink_to("gone.ini")
    (tmp_path / "good.ini").write_text("[web]\na\nb\n")
    (tmp_path / "not-a-run").mkdir()
    return tmp_path


@pytest.mark.slow  # each starts an Ansible
@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "Ansible has no inventory of its own here: name one with -i, or hosts with --hosts."),
        (("-i", "empty.ini"), "The inventory has no hosts."),
        (
            ("-i", "broken.ini"),
            "is no inventory: Expected key=value host variable assignment, got: b (line 2).",
        ),
        (("-i", "broken.yml"), "broken.yml is no inventory: YAML parsing failed: "),
        (("-i", "open.ini"), "open.ini is no inventory: a [ has no ] (line 1)."),
        (("-i", "missing.ini"), "missing.ini is no inventory: it is not there."),
        (("-i", "fails"), "fails is no inventory: Inventory script returned non-zero exit code 3: the cloud says no"),
        (("-i", "good.ini", "--limit", "nogroup"), "No host or group of the inventory is called nogroup."),
        (("-i", "good.ini", "--limit", "web:!web"), "No host of the inventory matches web:!web."),
        (("--hosts", "a,b;reboot"), "'b;reboot' is no name or address of a host"),
        (("--hosts", "a", "-i", "good.ini"), "give one"),
        (("-i", "good.ini", "--run", "not-a-run", "--resume", "not-a-run"), "leave out --run"),
        (("-i", "good.ini", "--resume", "not-a-run"), "run.json"),
        (("-i", "good.ini", "--run", "good.ini"), "something else lies there"),
        (("-i", "good.ini", "--max-unreachable", "many"), "no share such as 2%"),
        (("-i", "good.ini", "--become-pass-fd", "777"), "descriptor 777: Bad file descriptor"),
        (("-i", "good.ini", "-K"), "-K asks at a terminal"),
        (("-i", "hangs", "--run-timeout", "3"), "The inventory has not named its hosts within 3 s."),
        (("--slurm", "gpu"), "Slurm cannot be asked: "),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else "",
)
def test_bad_input_is_one_sentence_and_leaves_nothing(argv: tuple[str, ...], said: str, inventories: Path) -> None:
    before = sorted(inventories.rglob("*"))
    env = {**os.environ, "PATH": "/usr/bin:/bin"}
    done = warm.gpuctl("fleet", "collect", *argv, cwd=inventories, env=env, timeout=300)
    assert (done.returncode, done.stdout) == (2, "")
    told = [line for line in done.stderr.splitlines() if not line.startswith(("Usage", "Try"))]
    assert said in " ".join(told)
    assert sorted(inventories.rglob("*")) == before


def test_what_lies_in_an_inventorys_place_and_is_none_is_called_what_it_is(inventories: Path) -> None:
    there = {one.name: str(one) for one in inventories.iterdir()}
    assert unreadable(there["nowhere.ini"]) == "it is a link to gone.ini, which is not there"
    assert unreadable(there["not-a-run"]) == "it is an empty folder"
    assert passed_over(there["folder"]).startswith("it is a folder in which Ansible takes no file for an inventory: ")
    assert without_hosts(there["mute"]) == f"It is a program: see what {there['mute']} --list prints."
    assert [look(there["good.ini"]) for look in (unreadable, passed_over, without_hosts)] == ["", "", ""]


def test_without_the_extra_it_says_what_to_install(inventories: Path) -> None:
    start = "import sys; sys.modules['ansible_runner'] = None; from gpuctl.__main__ import main; main()"
    command = [sys.executable, "-c", start, "fleet", "doctor", "-i", "good.ini"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=inventories, timeout=300)
    assert (done.returncode, done.stdout) == (2, "")
    way = "it comes with the extra gpuctl-host[fleet]: pipx install --force '.[fleet]' in a checkout"
    assert done.stderr == f"Error: asking hosts needs ansible-runner; {way}.\n"

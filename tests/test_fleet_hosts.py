"""`gpuctl fleet` on real hosts: the real Ansible, ssh and sudo, and each thing that is commonly wrong with a host."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from fleet_hosts import OPERATOR, PASSWORD, Hosts, hosts
from jsonschema import Draft202012Validator
from simhost.process import until

from gpuctl.fleet.run_folder import read_run
from gpuctl.host.record.archive import decode

pytestmark = pytest.mark.bench

ROOT = Path(__file__).parents[1]
OPS = OPERATOR.format(password=PASSWORD)
STUB = "printf '#!/bin/sh\\n{}\\n' > {}; chmod +x {}; mkdir -p /run/systemd/system;"
HANGS = STUB.format("sleep 1000", *2 * ("/usr/bin/journalctl",))
TALKS = STUB.format("od -An -tu8 -w64 -N 90000 /dev/urandom | sed s/^/NVRM/", *2 * ("/usr/bin/journalctl",))
HUGE = """\
{ printf '\\n{"changed": false, "gpuctl": {"snapshot": "'; head -c BYTES /dev/urandom | base64 -w 0; printf '"}}\\n'
} > /usr/local/answer
""" + STUB.format("cat > /dev/null; cat /usr/local/answer", *2 * ("/usr/local/bin/huge",))
LATE = """\
import os, queue, socket, sys, threading, time

def carry(read, write):
    def at_its_time():
        for moment, data in iter(coming.get, None):
            time.sleep(max(0, moment - time.monotonic()))
            write(data)

    coming = queue.Queue()
    threading.Thread(target=at_its_time, daemon=True).start()
    for data in iter(read, b""):
        coming.put((time.monotonic() + 0.1, data))

host = socket.create_connection(sys.argv[1:])
threading.Thread(target=carry, args=(lambda: host.recv(1 << 16), lambda data: os.write(1, data)), daemon=True).start()
carry(lambda: os.read(0, 1 << 16), host.sendall)
"""
"""Between ssh and a host, 200 ms of delay for what goes there and back: not every kernel has tc's netem."""
UNKNOWN = 'cat > /dev/null; echo "SyntaxError: future feature annotations is not defined" >&2; exit 1'
OLD = "rm -f /usr/bin/python3*;" + STUB.format(UNKNOWN, *2 * ("/usr/bin/python3",))
"""What Python 3.6.15 says of the first line of a module of ansible-core 2.19."""
ILL = {
    "good": "",
    "twin": "",
    "chatty": "printf 'echo \"{welcome}\"; echo [motd]\\n' > /root/.bashrc",
    "bare": "rm -rf /usr/bin/python* /usr/local/bin/python*",
    "old": OLD,
    "read-only": "mount -o remount,ro /tmp",
    "full": "mount -t tmpfs -o size=64k tmpfs /tmp; head -c 100000 /dev/zero > /tmp/full || true",
    "hangs": HANGS,
    "large": TALKS,
    "huge": HUGE.replace("BYTES", "4900000"),
    "too-huge": HUGE.replace("BYTES", "6000000"),
    "waits": STUB.format("sleep 1000", *2 * ("/usr/local/bin/waits",)),
    "stuck": "echo 'sleep 1000' > /root/.bashrc",
    "free": f"{OPS}echo 'ops ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/ops",
    "asks": f"{OPS}echo 'ops ALL=(ALL) ALL' > /etc/sudoers.d/ops",
    "tty": f"{OPS}printf 'Defaults requiretty\\nops ALL=(ALL) NOPASSWD: ALL\\n' > /etc/sudoers.d/ops",
    "refuses": OPS,
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    with hosts(tmp_path_factory.mktemp("fleet"), ILL) as up:
        yield up


def words(*options: object) -> list[str]:
    return [sys.executable, "-m", "gpuctl", "fleet", "collect", *map(str, options)]


def asked(run: Path, *options: object, **popen: object) -> tuple[int, dict[str, tuple[str, str]], str]:
    """The exit code, each host's state and what is told of it, and what was said on stderr."""
    argv = words("--run", run, "--json", *options)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, **popen)  # type: ignore[call-overload]
    told = conforms("fleet-collect", done.stdout) if done.stdout else {"hosts": []}
    return done.returncode, {one["host"]: (one["state"], one["detail"]) for one in told["hosts"]}, done.stderr


def conforms(command: str, text: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(text)
    Draft202012Validator(json.loads((ROOT / f"data/schemas/{command}.schema.json").read_text())).validate(document)
    return document


def kept(run: Path, host: str) -> str:
    """The name by which a recorded host calls itself."""
    name = decode((run / "snapshots" / f"{host}.jsonl.gz").read_bytes()).host.read("/proc/sys/kernel/hostname")
    return name.text.strip()


def test_every_host_ends_in_the_state_that_is_its_own(lab: Hosts, tmp_path: Path) -> None:
    names = ("good", "twin", "chatty", "bare", "old", "read-only", "full")
    inventory = lab.inventory(*names)
    inventory.write_text(inventory.read_text() + f"[again]\ngood\n[away]\naway ansible_host={lab.network.prefix}.250\n")
    (tmp_path / "tmp").mkdir()
    env = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    code, told, _ = asked(tmp_path / "run", "-i", inventory, "--host-timeout", 300, env=env)
    assert {host: state for host, (state, _) in told.items()} == {
        **dict.fromkeys(("good", "twin", "chatty", "read-only", "full"), "reported"),
        "bare": "no-python",
        "old": "python-too-old",
        "away": "unreachable",
    }
    assert code == 3
    assert "No route to host" in told["away"][1]
    assert kept(tmp_path / "run", "chatty") == "chatty"
    assert not list((tmp_path / "tmp").iterdir())


def test_a_host_that_is_silent_until_its_deadline_is_lost(lab: Hosts, tmp_path: Path) -> None:
    code, told, _ = asked(tmp_path / "run", "-i", lab.inventory("stuck"), "--host-timeout", 3)
    assert (code, told["stuck"][0]) == (3, "lost")
    assert not subprocess.run(["pgrep", "-f", f"ssh .*{lab.hosts['stuck'].address}"], capture_output=True).stdout


def test_nothing_stays_on_a_host(lab: Hosts, tmp_path: Path) -> None:
    place = lab.folder / "hosts" / "twin" / "upper"
    assert asked(tmp_path / "run", "-i", lab.inventory("twin"))[0] == 0
    assert not [file for file in place.rglob("*") if file.is_file() and b"gpuctl.collector" in file.read_bytes()]


def test_a_host_with_another_key_is_not_entered_and_an_unknown_one_not_waited_for(lab: Hosts, tmp_path: Path) -> None:
    known = lab.folder / "known_hosts"
    keys = known.read_text().splitlines()
    other = tmp_path / "known"
    other.write_text(f"{lab.hosts['good'].address} {keys[1].split(' ', 1)[1]}\n")
    ssh = f"-o UserKnownHostsFile={other}"
    inventory = lab.inventory("good", "twin", ansible_ssh_common_args=ssh)
    _, told, _ = asked(tmp_path / "run", "-i", inventory, "--host-timeout", 300)
    assert {state for state, _ in told.values()} == {"unreachable"}
    assert all("Host key verification failed" in words for _, words in told.values())


def test_the_users_own_word_on_host_keys_stands(lab: Hosts, tmp_path: Path) -> None:
    (tmp_path / "ansible.cfg").write_text("[defaults]\nhost_key_checking = False\n")
    ssh = "-o UserKnownHostsFile=/dev/null"
    inventory = lab.inventory("good", ansible_ssh_common_args=ssh)
    _, told, _ = asked(tmp_path / "run", "-i", inventory, cwd=tmp_path)
    assert told["good"][0] == "reported"


@pytest.fixture(scope="module")
def logged(lab: Hosts, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[str, str]]]:
    """A run that asked for logs where the journal hangs or is large, and of whom answers at length; how each ended."""
    run, inventory = tmp_path_factory.mktemp("logged") / "run", lab.inventory("hangs", "large", "huge", "too-huge")
    text = inventory.read_text()
    inventory.write_text(text.replace("huge ", "huge ansible_python_interpreter=/usr/local/bin/huge "))
    return run, asked(run, "-i", inventory, "--logs")[1]


def test_a_probe_that_hangs_is_given_up_and_its_host_reports(logged: tuple[Path, dict[str, tuple[str, str]]]) -> None:
    assert logged[1]["hangs"][0] == "reported"


def test_a_result_beyond_what_ansible_runner_hands_on_comes_whole_and_one_of_8_mb_is_no_snapshot(
    logged: tuple[Path, dict[str, tuple[str, str]]],
) -> None:
    run, told = logged
    assert [told[host][0] for host in ("large", "huge", "too-huge")] == ["reported", "reported", "broken"]
    assert (run / "snapshots/large.jsonl.gz").stat().st_size > 700_000
    assert (run / "snapshots/huge.jsonl.gz").stat().st_size == 4_900_000
    assert told["too-huge"][1] == "What came back is larger than the 5000000 bytes of a snapshot."


def test_a_host_far_away_is_asked_in_one_connection(lab: Hosts, tmp_path: Path) -> None:
    (tmp_path / "late.py").write_text(LATE)
    known = f"-o UserKnownHostsFile={lab.folder}/known_hosts -o StrictHostKeyChecking=yes"
    relay = f"-o ProxyCommand='{sys.executable} {tmp_path}/late.py %h %p'"
    inventory = lab.inventory("good", ansible_ssh_common_args=f"{known} {relay}")
    _, told, _ = asked(tmp_path / "run", "-i", inventory, "--host-timeout", 300)
    assert told["good"][0] == "reported"


def test_logs_travel_only_when_they_are_asked_for(lab: Hosts, tmp_path: Path) -> None:
    asked(tmp_path / "run", "-i", lab.inventory("large"))
    snapshot = decode((tmp_path / "run/snapshots/large.jsonl.gz").read_bytes())
    assert not any("NVRM" in one.text for one in snapshot.readings.values())


def test_rights_are_had_with_a_password_without_one_and_without_a_terminal(lab: Hosts, tmp_path: Path) -> None:
    inventory = lab.inventory("free", "asks", "tty", "refuses", user="ops", ansible_become="true")
    _, told, _ = asked(tmp_path / "without", "-i", inventory)
    assert [told[host][0] for host in ("free", "asks", "tty", "refuses")] == [
        "reported",
        "no-rights",
        "reported",
        "no-rights",
    ]
    assert "requiretty" in told["tty"][1]
    reader, writer = os.pipe()
    os.write(writer, f"{PASSWORD}\n".encode())
    os.close(writer)
    code, told, said = asked(tmp_path / "with", "-i", inventory, "--become-pass-fd", reader, pass_fds=[reader])
    assert (code, said) == (3, "")
    assert [state for state, _ in told.values()].count("reported") == 3
    assert "not in the sudoers file" in told["refuses"][1]


def test_a_password_is_asked_for_at_a_terminal_and_not_shown(lab: Hosts, tmp_path: Path) -> None:
    inventory = lab.inventory("asks", user="ops", ansible_become="true")
    argv = words("--run", tmp_path / "run", "-i", inventory, "-K")
    person = pexpect.spawn(argv[0], argv[1:], encoding="utf-8", timeout=300)
    person.expect("Password to become root with: ")
    person.sendline(PASSWORD)
    person.expect(pexpect.EOF)
    person.close()
    assert person.exitstatus == 0
    assert "1 of 1 host reported" in person.before
    assert PASSWORD not in person.before


def test_a_password_is_in_no_argument_no_environment_and_no_file(lab: Hosts, tmp_path: Path) -> None:
    inventory = lab.inventory("asks", user="ops", ansible_become="true")
    reader, writer = os.pipe()
    os.write(writer, f"{PASSWORD}\n".encode())
    os.close(writer)
    argv = words("--run", tmp_path / "run", "-i", inventory, "--become-pass-fd", reader)
    process = subprocess.Popen(
        argv, pass_fds=[reader], stdout=subprocess.DEVNULL, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    seen = set()
    while process.poll() is None:
        for folder in filter(str.isdecimal, os.listdir("/proc")):
            for name in ("cmdline", "environ"):
                try:
                    if int(folder) != os.getpid() and PASSWORD.encode() in Path("/proc", folder, name).read_bytes():
                        seen.add(name)
                except OSError:
                    pass
        for file in (Path(folder, name) for folder, _, names in os.walk(tmp_path) for name in names):
            try:
                if file.is_file() and PASSWORD.encode() in file.read_bytes():
                    seen.add(str(file))
            except OSError:
                pass
    assert (process.returncode, seen) == (0, set())


def test_what_came_is_kept_when_a_person_stops_it_and_a_later_run_asks_the_others(lab: Hosts, tmp_path: Path) -> None:
    run, inventory = tmp_path / "run", lab.inventory("good", "stuck", "twin")
    argv = words("--run", run, "-i", inventory, "--host-timeout", 300)
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    lines = run / "hosts.jsonl"
    assert until(lambda: lines.exists() and len(lines.read_text().splitlines()) == 2)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 130
    assert read_run(str(run)).unreported == ("stuck",)
    assert not subprocess.run(["pgrep", "-f", f"ssh .*{lab.hosts['stuck'].address}"], capture_output=True).stdout
    _, *go_on = shlex.split(said.partition("Go on with ")[2].partition(".\n")[0])
    argv = [sys.executable, "-m", "gpuctl", *go_on, "--host-timeout", "3"]
    assert argv[:-2] == words("--resume", run, "-i", inventory, "--host-timeout", 300)
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 3
    outcomes = read_run(str(run)).outcomes
    assert sorted(outcomes) == ["good", "stuck", "twin"]
    assert list(outcomes)[-1] == "stuck"


def test_hosts_that_have_not_answered_at_the_runs_end_are_lost(lab: Hosts, tmp_path: Path) -> None:
    options = ("-i", lab.inventory("stuck", "good"), "--host-timeout", 300)
    told = {}
    for seconds in (5, 25, 125):  # on a busy machine, nobody may have answered by the first end
        if told.get("good", ("",))[0] != "reported":
            _, told, _ = asked(tmp_path / f"run-{seconds}", *options, "--run-timeout", seconds)
    assert (told["good"][0], told["stuck"][0]) == ("reported", "lost")


def test_a_connection_that_is_cut_is_no_answer(lab: Hosts, tmp_path: Path) -> None:
    run = tmp_path / "run"
    inventory = lab.inventory("waits", ansible_python_interpreter="/usr/local/bin/waits")
    process = subprocess.Popen(words("--run", run, "-i", inventory, "--json"), stdout=subprocess.PIPE)
    assert until(lambda: running(lab, "waits", b"sleep\x001000"))
    for pid in running(lab, "waits", b"sshd: root"):
        os.kill(pid, signal.SIGKILL)
    told = json.loads(process.communicate(timeout=300)[0])
    assert told["hosts"][0]["state"] == "unreachable"


def running(lab: Hosts, host: str, words: bytes) -> list[int]:
    """The processes of a host that were started with these words."""
    found = subprocess.run(
        ["ip", "netns", "pids", lab.hosts[host].netns], capture_output=True, text=True
    ).stdout.split()
    commands = {int(pid): Path("/proc", pid, "cmdline") for pid in found}
    return [pid for pid, file in commands.items() if file.exists() and words in file.read_bytes()]


def test_an_ansible_that_dies_is_started_once_more_for_who_has_not_answered(lab: Hosts, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = subprocess.Popen(words("--run", run, "-i", lab.inventory("good"), "--json"), stdout=subprocess.PIPE)
    assert until((run / "run.json").exists)  # the hosts have been listed: its next child is to ask them
    assert until(lambda: subprocess.run(["pkill", "-9", "-P", str(process.pid)]).returncode == 0)
    told = json.loads(process.communicate(timeout=300)[0])
    assert told["hosts"][0]["state"] == "reported"


def test_one_command_asks_judges_and_tells_in_classes_who_is_one_host_under_two_names(
    lab: Hosts, tmp_path: Path
) -> None:
    inventory = lab.inventory("good")
    twice = f"good\nalso-good ansible_host={lab.hosts['good'].address}\n"
    inventory.write_text(inventory.read_text().replace("[all:vars]", f"{twice}[all:vars]"))
    argv = [sys.executable, "-m", "gpuctl", "fleet", "doctor", "-i", inventory, "--run", "run"]
    done = subprocess.run([*map(str, argv), "--json"], capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert (done.returncode, done.stderr) == (1, "")
    told = conforms("fleet", done.stdout)
    (one,) = told["not_one_host"]
    assert (one["id"], sorted(one["hosts"])) == ("fleet.host-twice", ["also-good", "good"])
    again = subprocess.run(
        [sys.executable, "-m", "gpuctl", "fleet", "judge", "run", "--json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (again.returncode, again.stdout) == (1, done.stdout)


def test_check_says_of_classes_of_hosts_whether_it_runs_there(lab: Hosts, tmp_path: Path) -> None:
    nvidia = ("--cuda", "12.4", "-i", lab.inventory("good", "chatty", "bare"), "--run", tmp_path / "run", "--json")
    argv = [sys.executable, "-m", "gpuctl", "fleet", "check", *map(str, nvidia)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
    answer = conforms("fleet-check", done.stdout)
    assert (done.returncode, answer["verdict"]) == (1, "incompatible")
    assert [sorted(one["hosts"]) for one in answer["classes"]] == [["chatty", "good"]]
    assert [one["state"] for one in answer["unreported"]] == ["no-python"]

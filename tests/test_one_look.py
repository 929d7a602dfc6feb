"""One look a run: nothing is looked at twice, all facts agree, and `--only` looks at no more than it needs."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hosts import host
from hosts_v100 import v100
from simhost import SimHost, until
from synthetic import HOSTS

from gpuctl.checks.every import CHECKS, LAYERS, diagnose
from gpuctl.checks.needed import deciding, in_doubt, subjects
from gpuctl.checks.select import chosen, part
from gpuctl.engines.daemon_json import Runtime, diff, register, settings
from gpuctl.engines.json.text import parse
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.every import EVERY_SUBJECT
from gpuctl.facts.gather import Facts, Missing, gather
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.headline import DockerMet, DriverVersion
from gpuctl.facts.machine.system import System
from gpuctl.facts.packages.packages import Packages
from gpuctl.host.look.local import LocalHost
from gpuctl.host.look.reading import Host, Outcome, Reading
from gpuctl.host.record.memory import RememberingHost
from gpuctl.host.record.snapshot import SnapshotHost, key
from gpuctl.model import CannotTell
from gpuctl.render.views.host import SUMMARY

pytestmark = pytest.mark.slow

MACHINES = (v100(), *(host(**machine) for machine in HOSTS.values()))
NAMES = (*LAYERS, *CHECKS)
PROGRAMS = ("apt-cache", "df", "dkms", "docker", "dpkg", "dpkg-query", "gpg", "modinfo", "nvidia-ctk", "podman", "runc")
GPUCTL = (sys.executable, "-m", "gpuctl", "doctor")
NOTES_ITS_RUN = '#!/bin/sh\nran=$(echo "${0##*/} $*" | tr "\\n" " "); echo "$ran" >> /tmp/ran\n'
SOURCE = "deb https://nvidia.github.io/libnvidia-container/stable/deb/amd64 /\n"


class Counting:
    """A host that counts what it is asked for."""

    def __init__(self, machine: Host) -> None:
        self._machine = machine
        self.asked: Counter[str] = Counter()

    def __getattr__(self, kind: str) -> Callable[..., Reading]:
        def look(*what: Any) -> Reading:
            seen: Reading = getattr(self._machine, kind)(*what)
            self.asked[key(kind, seen.source)] += 1
            return seen

        return look

    def read_all(self, paths: Sequence[str]) -> list[Reading]:
        return [self.read(path) for path in paths]


class Changing(SnapshotHost):
    """A host whose distribution is another one at every look."""

    def __init__(self, machine: SnapshotHost) -> None:
        super().__init__(machine.readings, Outcome.ABSENT)
        self._looks = count()

    def read(self, path: str) -> Reading:
        if path != "/etc/os-release":
            return super().read(path)
        return Reading(path, Outcome.OK, "ID=%s\n" % ("debian", "fedora")[next(self._looks) % 2])


@pytest.mark.parametrize("machine", [LocalHost(), *MACHINES])
def test_nothing_is_looked_at_twice(machine: Host) -> None:
    counting: Any = Counting(machine)
    gather(counting, (*EVERY_SUBJECT, *SUMMARY))
    assert len(counting.asked) > 50
    assert [what for what, times in counting.asked.items() if times > 1] == []


def test_facts_of_one_look_agree_while_the_host_changes_and_the_next_look_is_another() -> None:
    machine = Changing(host(which={"apt-get": "/usr/bin/apt-get", "dnf": "/usr/bin/dnf"}))
    for manager in ("apt", "dnf"):
        facts = gather(machine, (System, Packages))
        managers = {facts.known(System).package_manager.value, facts.known(Packages).manager.value}
        assert managers == {manager}


def test_threads_that_ask_at_once_share_one_look() -> None:
    together, answers, ran = threading.Barrier(8), [], count()

    class Slow(SnapshotHost):
        def run(self, argv: Any, deadline: float = 5.0) -> Reading:
            return Reading("", Outcome.OK, str(next(ran)))

    memory = RememberingHost(Slow({}))

    def ask(deadline: float) -> None:
        together.wait()
        answers.append(memory.run(("nvidia-smi", "-L"), deadline).text)

    threads = [threading.Thread(target=ask, args=(float(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["0"] * 8


def test_facts_are_handed_out_by_their_type_or_with_the_reason_why_not() -> None:
    facts = gather(v100(), (System, Docker)) | Facts({Docker: Missing("no answer within 12 s")})
    assert facts.known(System) is facts.get(System)
    assert not facts.get(Docker) and not facts.get(Packages)
    with pytest.raises(CannotTell, match=r"^no answer within 12 s$"):
        facts.known(Docker)
    with pytest.raises(CannotTell, match="did not look"):
        facts.known(Packages)


class Loading: ...


def probe_loading(_: Host) -> Any:
    return __import__("halfway")


COMING = threading.Semaphore(0)
"""How many are about to load it while it is half loaded."""


def half_loaded() -> Any:
    assert until(lambda: "halfway" in sys.modules)
    COMING.release()
    return __import__("halfway")


class Waiting: ...


def probe_waiting(_: Host) -> Any:
    return half_loaded().answer


class Calling: ...


def probe_calling(_: Host) -> Any:
    return half_loaded().early()


class Lacking: ...


def probe_lacking(_: Host) -> Any:
    return errno.answer  # type: ignore[attr-defined]


class Misspelt: ...


def probe_misspelt(_: Host) -> Any:
    return nothing_of_that_name  # type: ignore[name-defined]  # noqa: F821


def test_a_module_that_two_threads_could_not_load_is_no_fault_of_their_probes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Found where no file can be opened any more: the thread that waits for the other gets the module half made.
    begins = "import sys, time\ndef early(): return late\n"
    waits = f"for _ in range(2): sys.modules[{__name__!r}].COMING.acquire()\ntime.sleep(0.5)\n"
    fails = f"{begins}{waits}raise OSError({errno.EMFILE}, 'No more files')\n"
    (tmp_path / "halfway.py").write_text(fails)
    monkeypatch.syspath_prepend(tmp_path)
    facts = gather(v100(), (Loading, Waiting, Calling, Lacking, Misspelt))
    assert facts.get(Loading) == Missing("No more files")
    for subject in (Waiting, Calling):
        assert "could not be loaded" in str(facts.get(subject))
    for other in (Lacking, Misspelt):
        assert "failed to read it" in str(facts.get(other))


def half(machine: SnapshotHost) -> SnapshotHost:
    """A snapshot from which every other reading is missing, which makes much unknown, some of it for one reason."""
    return SnapshotHost({name: machine.readings[name] for name in sorted(machine.readings)[::2]})


@pytest.mark.parametrize("machine", [*MACHINES[::2], *map(half, MACHINES[1::2])])
def test_a_part_of_the_doctor_says_the_same_by_the_facts_of_that_part_alone(machine: SnapshotHost) -> None:
    everything = gather(machine)
    whole = diagnose(everything)
    for name in NAMES:
        ids = chosen([name])
        looked_at = set(subjects(ids))
        seen = part(diagnose(_of(everything, looked_at)), ids)
        looked_at |= set(in_doubt(seen))
        assert part(diagnose(_of(everything, looked_at)), ids) == part(whole, ids), name


def _of(facts: Facts, looked_at: set[type]) -> Facts:
    return Facts({subject: seen for subject, seen in facts.found.items() if subject in looked_at})


def test_the_headline_is_what_driver_and_docker_say() -> None:
    for machine in MACHINES:
        facts = gather(machine, (*EVERY_SUBJECT, *SUMMARY))
        met, docker = facts.known(DockerMet), facts.known(Docker)
        assert facts.known(DriverVersion).version == facts.known(Driver).version
        assert met.version == (docker.daemon.value.version if docker.daemon.value else None)
        assert met.version or met.otherwise == docker


def test_no_part_of_the_doctor_needs_all() -> None:
    assert not {one.__name__ for one in subjects(chosen(["driver"]))} & {"Packages", "Docker", "Podman", "Toolkit"}
    assert {one.__name__ for one in subjects(["waivers.known"])} == {"Configuration"}
    assert deciding(frozenset(CHECKS)) == frozenset(CHECKS)


def test_a_part_of_the_doctor_loads_its_own_checks_and_probes_alone() -> None:
    done = subprocess.run((GPUCTL[0], "-v", *GPUCTL[1:], "--only", "driver"), capture_output=True, text=True)
    loaded = set(re.findall(r"^import '([\w.]+)'", done.stderr, re.MULTILINE))
    layers = {name.rpartition(".")[2].partition("_")[0] for name in loaded if name.startswith("gpuctl.checks.layers.")}
    assert layers & set(LAYERS) == {"hardware", "kernel", "driver"}
    assert "gpuctl.facts.gpu.driver" in loaded
    others = ("containerd", "crio", "every", "job_runtimes", "kubelet", "machine.disks", "own.journal")
    assert {f"gpuctl.facts.{one}" for one in others} & loaded == set()


def test_no_program_runs_twice_and_with_only_none_that_is_not_needed(sim_host: Callable[..., SimHost]) -> None:
    commands = dict.fromkeys(PROGRAMS, NOTES_ITS_RUN)
    sim = sim_host("v100", commands=commands, files={"/etc/apt/sources.list.d/nvidia.list": SOURCE})
    driver, toolkit, whole = (_ran(sim, *only) for only in (("--only", "driver"), ("--only", "toolkit.cli"), ()))
    assert set(map(_program, driver)) <= {"dkms", "docker", "dpkg-query", "modinfo"}
    assert set(map(_program, toolkit)) & {"apt-cache", "df", "dpkg"} == set()
    assert set(map(_program, whole)) >= {"apt-cache", "df", "dpkg", "dpkg-query"}
    assert "podman" not in set(map(_program, whole))  # beside Docker, without a way to GPUs
    for ran in (driver, toolkit, whole):
        assert len(ran) == len(set(ran)), Counter(ran)


def _ran(sim: SimHost, *options: str) -> list[str]:
    noted = sim.run(["sh", "-c", 'rm -f /tmp/ran; "$@" >/dev/null; cat /tmp/ran', "sh", *GPUCTL, *options])
    return str(noted.out).splitlines()


def _program(line: str) -> str:
    return line.partition(" ")[0]


def test_an_install_understands_each_text_of_daemon_json_once() -> None:
    raw = json.dumps({"debug": True}).encode()
    parse.cache_clear()
    new = register(raw, "nvidia", Runtime("/usr/bin/nvidia-container-runtime"))
    for text in (raw, new):
        settings(text)
        diff("/etc/docker/daemon.json", raw, text)
    assert register(new, "nvidia", Runtime("/usr/bin/nvidia-container-runtime")) == new
    assert parse.cache_info().misses == 2

"""The dockerd behind an endpoint: its command line, its start, its environment."""

from __future__ import annotations

import re
from typing import Dict, List, Optional, Tuple

from gpuctl.facts.docker.endpoint import DEFAULT, Endpoint, place
from gpuctl.facts.docker.flags import values
from gpuctl.facts.machine.kind import parse_environ
from gpuctl.frozen import dataclass
from gpuctl.host.decode import moment, whole
from gpuctl.host.look.reading import Host, fact
from gpuctl.host.trust import distrusted_process, is_here
from gpuctl.model import Fact

NAMES = ("dockerd", "dockerd-current", "docker-containerd")
NO_DAEMON = frozenset(("--validate", "--version", "-v", "--help", "-h"))
"""Options with which dockerd ends at once: `dockerd --help`."""
_PID = re.compile(r"[1-9][0-9]{0,9}")
TICKS = 100
"""Clock ticks a second in /proc: USER_HZ, which is 100 on all architectures that NVIDIA has drivers for (proc(5))."""


@dataclass(frozen=True)
class Process:
    """The dockerd behind the endpoint. `started` in seconds since the epoch, cut to a tick; `path` its own PATH.

    `path` is None where it is hidden.
    """

    pid: int
    argv: Tuple[str, ...]
    started: float
    path: Optional[str]


def probe_process(host: Host, endpoint: Endpoint, connect: bool) -> Fact[Process]:
    """Returns the daemon's process; absent when none can be seen that listens there.

    Unknown where it is one that gpuctl does not go by. Without `connect` the socket is left alone: who asks the kernel
    for its listener connects to it.
    """
    listener = _listener(host, endpoint) if connect else None
    pids = [listener] if listener else _by_command_line(host, endpoint)
    doubts = {pid: distrusted_process(host, pid) for pid in pids}
    pid = next((pid for pid, doubt in doubts.items() if not doubt), None)
    if pid is None:
        return Fact(None, "/proc", unknown=next(iter(doubts.values()), None))
    folder = "/proc/%d" % pid
    path = parse_environ(host.read(folder + "/environ").text, "PATH")
    cmdline = host.read(folder + "/cmdline")
    booted = fact(host.env("booted"), moment)
    if booted.value is None:
        return Fact(None, booted.source, booted.unknown or "not there")
    boot, argv = booted.value, parse_cmdline(cmdline.text)
    process = fact(host.read(folder + "/stat"), lambda text: Process(pid, argv, boot + parse_start(text), path))
    return Fact(process.value, cmdline.source, process.unknown)


def _listener(host: Host, endpoint: Endpoint) -> Optional[int]:
    """Whom the kernel names. Under socket activation that is systemd, and dockerd is to be found otherwise."""
    if not endpoint.url.startswith("unix://"):
        return None
    pid = fact(host.peer(endpoint.url), whole).value
    return pid if pid and _is_dockerd(host, pid) else None


def _is_dockerd(host: Host, pid: int) -> bool:
    return host.read("/proc/%d/comm" % pid).text.strip() in NAMES


def _by_command_line(host: Host, endpoint: Endpoint) -> List[int]:
    """Those of containers are none of this machine's."""
    running: Dict[int, Tuple[str, ...]] = {
        pid: parse_cmdline(host.read("/proc/%d/cmdline" % pid).text)
        for pid in process_ids(host)
        if _is_dockerd(host, pid) and is_here(host, pid)
    }
    return [pid for pid, argv in running.items() if listens(argv, endpoint.url)]


def process_ids(host: Host) -> List[int]:
    """Returns the ids of all processes that can be seen."""
    return [int(name) for name in host.list("/proc").text.split() if is_process_id(name)]


def is_process_id(word: str) -> bool:
    """Returns whether a word is the id of a process.

    812
    """
    return _PID.fullmatch(word) is not None


def listens(argv: Tuple[str, ...], url: str) -> bool:
    """Returns whether a dockerd with this command line listens at that endpoint.

    Without --host, and with the fd:// of systemd's socket unit, it is the default socket. One that only validates a
    file, as gpuctl has it do, or tells its version, listens nowhere.
    """
    if not NO_DAEMON.isdisjoint(word.partition("=")[0] for word in argv):
        return False
    hosts = values(argv, "host") or [DEFAULT]
    return place(url) in {place(DEFAULT if address.startswith("fd://") else address) for address in hosts}


def parse_cmdline(text: str) -> Tuple[str, ...]:
    r"""Returns the words of /proc/PID/cmdline.

    /usr/sbin/dockerd\0-H\0fd://\0
    """
    return tuple(text.rstrip("\0").split("\0")) if text else ()


def parse_start(text: str) -> float:
    """Returns when a process started, in seconds after the kernel, of /proc/PID/stat. Raises ValueError.

    The name in parentheses may hold blanks and parentheses; the 22nd field is the 20th after it.

    812 (dockerd) S 1 812 812 0 -1 4194560 22371 29406 98 34 260 133 18 16 20 0 12 0 1503 1873190912 19012
    """
    fields = text.rpartition(")")[2].split()
    if len(fields) < 20:
        raise ValueError("too few fields")
    return whole(fields[19]) / TICKS

"""The dockerd behind an endpoint: its command line, its start, its environment."""

from __future__ import annotations

from typing import List, Optional, Tuple

from gpuctl.facts.docker.endpoint import DEFAULT, Endpoint, place
from gpuctl.facts.docker.flags import values
from gpuctl.facts.machine.processes import parse_cmdline, parse_start, process_name, processes_called, search_path
from gpuctl.frozen import dataclass
from gpuctl.host.decode import moment, whole
from gpuctl.host.look.reading import Host, fact
from gpuctl.host.trusted_process import distrusted_process
from gpuctl.model import Fact

NAMES = ("dockerd", "dockerd-current", "docker-containerd")
NO_DAEMON = frozenset(("--validate", "--version", "-v", "--help", "-h"))
"""Options with which dockerd ends at once: `dockerd --help`."""


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
    path = search_path(host, pid).value
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
    return pid if pid and process_name(host, pid) in NAMES else None


def _by_command_line(host: Host, endpoint: Endpoint) -> List[int]:
    running = {pid: parse_cmdline(host.read("/proc/%d/cmdline" % pid).text) for pid in processes_called(host, NAMES)}
    return [pid for pid, argv in running.items() if listens(argv, endpoint.url)]


def listens(argv: Tuple[str, ...], url: str) -> bool:
    """Returns whether a dockerd with this command line listens at that endpoint.

    Without --host, and with the fd:// of systemd's socket unit, it is the default socket. One that only validates a
    file, as gpuctl has it do, or tells its version, listens nowhere.
    """
    if not NO_DAEMON.isdisjoint(word.partition("=")[0] for word in argv):
        return False
    hosts = values(argv, "host") or [DEFAULT]
    return place(url) in {place(DEFAULT if address.startswith("fd://") else address) for address in hosts}

"""The containerd that runs here: of several the one that Kubernetes uses, and whose it is."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace
from typing import List, Optional, Sequence, Tuple

from gpuctl.facts.docker_process import is_process_id, parse_cmdline, process_ids
from gpuctl.host.decode import whole
from gpuctl.host.reading import Host, fact
from gpuctl.model import Fact

ADDRESS = "CONTAINERD_ADDRESS"
"""The environment variable by which ctr and nerdctl are told which containerd is meant (ctr(8))."""
NAMES = ("containerd", "docker-containerd")
DEFAULT_CONFIG = "/etc/containerd/config.toml"
DEFAULT_SOCKET = "/run/containerd/containerd.sock"
"""https://github.com/containerd/containerd, docs/man/containerd.8.md."""
FLAVOURS = ("k3s", "rke2", "microk8s", "plain", "docker")
"""Whose it may be: Kubernetes distributions' own, the system's, Docker's own. The order is that of preference."""


@dataclass(frozen=True)
class Process:
    """A containerd. `executable` is the program that it was started from, `cgroup` as its unit has it."""

    pid: int
    argv: Tuple[str, ...]
    executable: str
    flavour: str
    cgroup: str
    socket: str
    """Where it listens, as far as its command line says."""

    @property
    def config(self) -> str:
        """The file that it reads."""
        return option(self.argv, "config", "c") or DEFAULT_CONFIG


def probe_process(host: Host) -> Fact[Process]:
    """Returns the containerd that runs here, where ADDRESS is set the one that listens there.

    Those of containers, which have process ids of their own, are none of this machine's.
    """
    asked = host.env(ADDRESS)
    if asked.ok and asked.text:
        return _listener(host, asked.text.replace("unix://", "", 1))
    named = [pid for pid in process_ids(host) if host.read("/proc/%d/comm" % pid).text.strip() in NAMES]
    ours = host.link("/proc/self/ns/pid").text
    found = [_process(host, pid) for pid in named if host.link("/proc/%d/ns/pid" % pid).text in (ours, "")]
    alive = [process for process in found if process.argv]  # one that has ended and not been waited for has none
    first = min(alive, key=lambda process: FLAVOURS.index(process.flavour), default=None)
    return Fact(first, "/proc/%d/cmdline" % first.pid if first else "/proc")


def _listener(host: Host, socket: str) -> Fact[Process]:
    peer = fact(host.peer("unix://" + socket), whole).value
    process = None if peer is None else _process(host, peer)
    if process is None or not process.argv:
        return Fact(None, "$" + ADDRESS, unknown="nobody who can be seen listens at %s" % socket)
    return Fact(replace(process, socket=process.socket or socket), "/proc/%d/cmdline" % process.pid)


def _process(host: Host, pid: int) -> Process:
    folder = "/proc/%d/" % pid
    argv = parse_cmdline(host.read(folder + "cmdline").text)
    executable = host.link(folder + "exe").text
    parent = host.read("/proc/%d/comm" % parse_parent(host.read(folder + "stat").text)).text.strip()
    cgroup = host.read(folder + "cgroup").text
    flavour = parse_flavour(argv, executable, parent)
    return Process(pid, argv, _program(argv, executable), flavour, cgroup, option(argv, "address", "a"))


def _program(argv: Sequence[str], executable: str) -> str:
    """K3s is one program that goes by the name under which it is called: containerd is a link beside it."""
    name = posixpath.basename(argv[0]) if argv else ""
    return posixpath.join(posixpath.dirname(executable), name) if executable and name else executable


def parse_flavour(argv: Sequence[str], executable: str, parent: str) -> str:
    """Returns whose a containerd is, by the places on its command line and the name of its parent process.

    containerd -c /var/lib/rancher/k3s/agent/etc/containerd/config.toml -a /run/k3s/containerd/containerd.sock
    containerd -c /var/lib/rancher/rke2/agent/etc/containerd/config.toml -a /run/k3s/containerd/containerd.sock
    /snap/microk8s/7229/bin/containerd --config /var/snap/microk8s/7229/args/containerd.toml
    containerd --config /var/run/docker/containerd/containerd.toml
    """
    places = " ".join([executable, *argv])
    if parent in ("dockerd", "dockerd-current") or "/docker/containerd/containerd.toml" in places:
        return "docker"
    if "/microk8s/" in places:
        return "microk8s"
    if "/run/k3s/" in places:
        return "rke2" if "rke2" in places or parent == "rke2" else "k3s"
    return "plain"


def parse_parent(stat: str) -> int:
    """Returns the parent's process id, 0 when it is not told: the second field behind the name (proc(5)).

    812 (containerd) S 1 812 812 0 -1
    """
    fields = stat.rpartition(")")[2].split()
    return int(fields[1]) if len(fields) > 1 and is_process_id(fields[1]) else 0


def option(argv: Sequence[str], *names: str) -> str:
    """Returns an option's value, "" where it is not given; with one hyphen or two, with = or without.

    containerd --log-level debug -c /etc/containerd/config.toml
    """
    words: List[Optional[str]] = list(argv[1:])
    for word, following in zip(words, [*words[1:], None]):
        name, equals, value = (word or "").lstrip("-").partition("=")
        if word and word.startswith("-") and name in names:
            return value if equals else following or ""
    return ""

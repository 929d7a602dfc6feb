"""The containerd that runs here: of several the one that Kubernetes uses, and whose it is."""

from __future__ import annotations

from dataclasses import replace
from typing import List, Optional, Sequence, Tuple

from gpuctl.facts.machine.processes import is_process_id, parse_cmdline, process_name, processes_called
from gpuctl.frozen import dataclass
from gpuctl.host.decode import whole
from gpuctl.host.look.reading import Host, fact
from gpuctl.host.trusted_process import distrusted_process
from gpuctl.model import Fact

ADDRESS = "CONTAINERD_ADDRESS"
"""The environment variable by which ctr and nerdctl are told which containerd is meant (ctr(8))."""
NAMES = ("containerd", "docker-containerd")
DEFAULT_CONFIG = "/etc/containerd/config.toml"
DEFAULT_SOCKET = "/run/containerd/containerd.sock"
"""https://github.com/containerd/containerd, docs/man/containerd.8.md."""
FLAVOURS = ("k3s", "rke2", "microk8s", "k0s", "plain", "docker")
"""Whose it may be: Kubernetes distributions' own, the system's, Docker's own. The order is that of preference."""


@dataclass(frozen=True)
class ContainerdProcess:
    """A containerd. `cgroup` is as its unit has it."""

    pid: int
    argv: Tuple[str, ...]
    flavour: str
    cgroup: str
    socket: str
    """Where it listens, as far as its command line says."""

    @property
    def config(self) -> str:
        """The file that it reads."""
        return option(self.argv, "config", "c") or DEFAULT_CONFIG


def probe_process(host: Host) -> Fact[ContainerdProcess]:
    """Returns the containerd that runs here, where ADDRESS is set the one that listens there.

    Those of containers are none of this machine's. Unknown where there are only
    such as gpuctl does not go by.
    """
    asked = host.env(ADDRESS)
    if asked.ok and asked.text:
        return _listener(host, asked.text.replace("unix://", "", 1))
    found = [_process(host, pid) for pid in processes_called(host, NAMES)]
    known = [one.value for one in found if one.value]
    first = min(known, key=lambda process: FLAVOURS.index(process.flavour), default=None)
    if first:
        return Fact(first, "/proc/%d/cmdline" % first.pid)
    return next((one for one in found if one.unknown), Fact(None, "/proc"))


def _listener(host: Host, socket: str) -> Fact[ContainerdProcess]:
    peer = fact(host.peer("unix://" + socket), whole).value
    process = _process(host, peer) if peer else Fact[ContainerdProcess](None, "/proc")
    if process.value is None:
        reason = process.unknown or "nobody who can be seen listens at %s" % socket
        return Fact(None, "$" + ADDRESS, unknown=reason)
    return Fact(replace(process.value, socket=process.value.socket or socket), process.source)


def _process(host: Host, pid: int) -> Fact[ContainerdProcess]:
    """Absent for one that has ended and not been waited for: it has no words."""
    folder = "/proc/%d/" % pid
    cmdline = host.read(folder + "cmdline")
    argv = parse_cmdline(cmdline.text)
    doubt = distrusted_process(host, pid)
    if not argv or doubt:
        return Fact(None, cmdline.source, unknown=doubt if argv else None)
    parent = process_name(host, parse_parent(host.read(folder + "stat").text))
    flavour = parse_flavour(argv, host.link(folder + "exe").text, parent)
    return Fact(
        ContainerdProcess(pid, argv, flavour, host.read(folder + "cgroup").text, option(argv, "address", "a")),
        cmdline.source,
    )


def parse_flavour(argv: Sequence[str], executable: str, parent: str) -> str:
    """Returns whose a containerd is, by the places on its command line and the name of its parent process.

    containerd -c /var/lib/rancher/k3s/agent/etc/containerd/config.toml -a /run/k3s/containerd/containerd.sock
    containerd -c /var/lib/rancher/rke2/agent/etc/containerd/config.toml -a /run/k3s/containerd/containerd.sock
    /var/lib/k0s/bin/containerd --address=/run/k0s/containerd.sock --config=/etc/k0s/containerd.toml
    /snap/microk8s/7229/bin/containerd --config /var/snap/microk8s/7229/args/containerd.toml
    containerd --config /var/run/docker/containerd/containerd.toml
    """
    places = " ".join([executable, *argv])
    if parent in ("dockerd", "dockerd-current") or "/docker/containerd/containerd.toml" in places:
        return "docker"
    if "/microk8s/" in places:
        return "microk8s"
    if "/run/k0s/" in places or executable.startswith("/var/lib/k0s/"):
        return "k0s"
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

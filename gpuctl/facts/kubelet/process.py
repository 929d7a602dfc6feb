"""The kubelet that runs here: on its own, or as a part of K3s or MicroK8s, and where it keeps its files."""

from __future__ import annotations

import posixpath
from typing import Mapping, Optional, Sequence, Tuple

from gpuctl.facts.crio import options
from gpuctl.facts.machine.processes import parse_cmdline, process_name, processes_called
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host
from gpuctl.host.trusted_process import distrusted_process
from gpuctl.model import Fact
from gpuctl.regex import regex

ROOT = "/var/lib/kubelet"
MICROK8S_ROOT = "/var/snap/microk8s/common/var/lib/kubelet"
"""https://github.com/canonical/microk8s, microk8s-resources/default-args/kubelet: --root-dir under $SNAP_COMMON."""
UNITS: Mapping[str, str] = {
    "kubelet": "kubelet",
    "k3s-server": "k3s",
    "k3s-agent": "k3s-agent",
    "kubelite": "snap.microk8s.daemon-kubelite",
}
"""By what its process calls itself, into whose unit's log the kubelet writes. RKE2's writes into a file."""
K3S_CONFIG = "/etc/rancher/k3s/config.yaml"
_K3S_ROOT = regex(r"root-dir=([^\s\"',\]]{1,1000})")
_RKE2 = "/rke2/"


@dataclass(frozen=True)
class KubeletProcess:
    """The process that is, or holds, the kubelet. `root` is where it keeps pods and their volumes."""

    pid: int
    argv: Tuple[str, ...]
    name: str
    root: str

    @property
    def unit(self) -> str:
        """The systemd unit that runs it, "" where that is not known."""
        return "" if any(_RKE2 in word for word in self.argv) else UNITS[self.name]

    @property
    def engine(self) -> str:
        """The socket of the engine that it has its pods run by, "" where its command line does not tell."""
        return next(options(self.argv, "--container-runtime-endpoint"), "")


def probe_kubelet_process(host: Host) -> Fact[KubeletProcess]:
    """Returns the kubelet of this machine; those of containers are other nodes', as kind makes them."""
    doubt = None
    for pid in processes_called(host, UNITS):
        name, cmdline = process_name(host, pid), host.read("/proc/%d/cmdline" % pid)
        argv = parse_cmdline(cmdline.text)
        if argv:  # one that has ended and was not waited for has no words
            doubt = distrusted_process(host, pid) or None
            if not doubt:
                return Fact(KubeletProcess(pid, argv, name, _root(host, name, argv)), cmdline.source)
    return Fact(None, "/proc", unknown=doubt)


def _root(host: Host, name: str, argv: Sequence[str]) -> str:
    if name.startswith("k3s"):
        said = parse_k3s_root(" ".join(options(argv, "--kubelet-arg")))
        return said or parse_k3s_root(host.read(K3S_CONFIG).text) or ROOT
    if name == "kubelite":
        file = next(options(argv, "--kubelet-args-file"), "")
        asked = parse_cmdline("\0".join(["", *host.read(file).text.split()])) if file else ()
        return _absolute(next(options(asked, "--root-dir"), "")) or MICROK8S_ROOT
    return _absolute(next(options(argv, "--root-dir"), "")) or ROOT


def _absolute(path: str) -> str:
    """A path as it is written, where it needs no variable of a shell."""
    return posixpath.normpath(path) if path.startswith("/") and "$" not in path else ""


def parse_k3s_root(text: str) -> Optional[str]:
    """Returns the root that K3s hands to its kubelet, by its command line or its file.

    kubelet-arg:
      - "root-dir=/data/kubelet"
    """
    found = _K3S_ROOT.search(text)
    return _absolute(found[1]) or None if found else None

"""Podman: where it is, and which version where that tells something of GPUs."""

from __future__ import annotations

from typing import Tuple

from gpuctl.facts.docker.docker import CLIENT, is_podmans, parse_client_version
from gpuctl.facts.toolkit.cdi import FOLDERS
from gpuctl.facts.toolkit.oci_hooks import probe_hooks
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, fact
from gpuctl.model import Fact


@dataclass(frozen=True)
class Podman:
    """Podman has no daemon: it reads its configuration, and CDI specifications, for every container anew."""

    program: Fact[str]
    version: Fact[str]
    """Absent, too, where Docker is installed, not by Podman, which has no way to GPUs: nothing hangs on it there."""
    hooks: Fact[Tuple[str, ...]]
    """The toolkit's OCI hooks that lie where Podman looks; absent where none does."""


def probe_podman(host: Host) -> Podman:
    """Returns Podman. To tell its version takes it longer than most of what the doctor does."""
    program, hooks = fact(host.which("podman"), str), probe_hooks(host)
    matters = (
        hooks.value
        or not host.which("dockerd").ok
        or any(host.list(folder).text for folder in FOLDERS)
        or (program.value and is_podmans(host.run(CLIENT)))
    )
    return Podman(program, probe_version(host) if matters else Fact(None, program.source), hooks)


def probe_version(host: Host) -> Fact[str]:
    """Returns what Podman says of its version. `podman info` is not asked: it makes Podman's directories."""
    return fact(host.run(("podman", "--version")), parse_client_version)

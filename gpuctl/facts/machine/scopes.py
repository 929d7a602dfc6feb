"""The containers for which systemd keeps device rules, whichever engine runs them: one scope each."""

from __future__ import annotations

from dataclasses import replace
from typing import List, Mapping, Tuple

from gpuctl.facts.machine.systemd import BOOTED, parse_show
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, Outcome, Reading, fact
from gpuctl.model import Fact
from gpuctl.regex import regex

SHOW = ("systemctl", "show", "*.scope", "--property=Id,LoadState,ControlGroup,DevicePolicy,DeviceAllow")
ENGINES: Mapping[str, str] = {
    "docker": "Docker",
    "cri-containerd": "containerd",
    "nerdctl": "containerd",
    "crio": "CRI-O",
    "libpod": "Podman",
}
"""Whose a scope is, by how its name begins; the container's id follows."""
HIERARCHIES = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup")
"""Where systemd's own groups are, with cgroup v1 and with v2."""
_NAME = regex(r"(%s)-([0-9a-f]{12,64})\.scope" % "|".join(ENGINES))
_OF_THE_DRIVER = regex(r" /\S*(?:dev/nvidia|proc/driver/nvidia|libnvidia-ml\.so|libcuda\.so)\S* ")
"""What the toolkit mounts into a container, by whichever path."""


@dataclass(frozen=True)
class Scope:
    """`strict`: no device may be opened but those `allowed`, each with what is allowed ("/dev/char/195:255 rwm").

    `gpus`: whether files of NVIDIA's driver are mounted in it; False too where its processes may not be looked at.
    """

    engine: str
    container: str
    strict: bool
    allowed: Tuple[str, ...]
    group: str
    gpus: bool = False


@dataclass(frozen=True)
class Scopes:
    """Absent where systemd does not run the services; without containers, and with cgroupfs, there are none."""

    containers: Fact[Tuple[Scope, ...]]


def probe_scopes(host: Host) -> Scopes:
    """Returns the scopes of containers, with what systemd would set anew for each at a daemon-reload."""
    shown = host.run(SHOW) if host.stat(BOOTED).ok else Reading(BOOTED, Outcome.ABSENT)
    short = Reading("systemctl show *.scope", shown.outcome, shown.text, shown.code, shown.detail)
    return Scopes(fact(short, lambda text: tuple(_looked_into(host, one) for one in parse_scopes(text))))


def parse_scopes(text: str) -> List[Scope]:
    """Returns the scopes of containers among all.

    Id=docker-3f2a77d0b1c8e9f0a1b2c3d4e5f60718293a4b5c6d7e8f901a2b3c4d5e6f7081.scope
    LoadState=loaded
    ControlGroup=/system.slice/docker-3f2a77d0b1c8e9f0a1b2c3d4e5f60718293a4b5c6d7e8f901a2b3c4d5e6f7081.scope
    DevicePolicy=strict
    DeviceAllow=char-* m
    DeviceAllow=/dev/char/195:255 rwm
    """
    named = ((_NAME.fullmatch(unit["Id"][0]), unit) for unit in parse_show(text))
    return [
        Scope(
            engine=ENGINES[name.group(1)],
            container=name.group(2),
            strict=unit.get("DevicePolicy", ["auto"]) != ["auto"],
            allowed=tuple(unit.get("DeviceAllow", ())),
            group=unit.get("ControlGroup", [""])[0],
        )
        for name, unit in named
        if name
    ]


def _looked_into(host: Host, scope: Scope) -> Scope:
    lists = (host.read("%s%s/cgroup.procs" % (top, scope.group)).text.split() for top in HIERARCHIES)
    first = next((pids[0] for pids in lists if pids), None)
    mounts = host.read("/proc/%s/mountinfo" % first).text if first else ""
    return replace(scope, gpus=_OF_THE_DRIVER.search(mounts) is not None)

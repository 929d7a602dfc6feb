"""Docker's running containers: what each asked for that gives it GPUs, and when gpuctl's own last one ended well."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Tuple
from urllib.parse import quote

from gpuctl.facts.docker.endpoint import is_users, probe_endpoint
from gpuctl.facts.docker.unit import waiting_socket
from gpuctl.frozen import dataclass
from gpuctl.host.decode import (
    flag_in,
    moment,
    object_in,
    objects_in,
    parse_object,
    parse_objects,
    second,
    text_in,
    texts_in,
)
from gpuctl.host.look.reading import Host, Reading, fact
from gpuctl.model import Fact

LIST = "/containers/json"
MOST = 200
"""Containers that are asked about, the newest first."""
DEADLINE = 2.0
"""Seconds for each. Of one that hangs Docker has no answer, and the others are not waited for."""
EVENTS = "/events"
REMEMBERED = 24 * 3600
"""Seconds back for which gpuctl asks; dockerd remembers its last 256 events, those of removed containers too."""
_ENDS = quote('{"event":["die"],"label":["gpuctl.smoke"]}')
"""The ends of `gpuctl smoke`'s containers."""


@dataclass(frozen=True)
class DeviceRequest:
    """`driver` is cdi for `--device nvidia.com/gpu=0`, and "" or nvidia for `--gpus`."""

    driver: str
    devices: Tuple[str, ...]


@dataclass(frozen=True)
class Container:
    """A running container. `started` in seconds since the epoch; `devices` are the host's paths of `--device`.

    `rules` are those of `--device-cgroup-rule`; `visible` is NVIDIA_VISIBLE_DEVICES in its environment.
    """

    id: str
    name: str
    started: float
    runtime: str
    privileged: bool
    requests: Tuple[DeviceRequest, ...]
    devices: Tuple[str, ...]
    rules: Tuple[str, ...]
    visible: Optional[str]


@dataclass(frozen=True)
class DockerContainers:
    """Absent where no daemon may be asked."""

    running: Fact[Tuple[Container, ...]]
    smoked: Fact[float]
    """When a container of `gpuctl smoke` last ended well, as far as dockerd remembers it."""


def probe_docker_containers(host: Host) -> DockerContainers:
    """Returns the running containers. A Docker that systemd would start for the question is not asked."""
    endpoint = probe_endpoint(host).value
    if endpoint is None or not endpoint.local or waiting_socket(host, endpoint, is_users(host, endpoint)):
        return DockerContainers(Fact(None, LIST), Fact(None, EVENTS))
    return DockerContainers(_running(host, endpoint.url), _smoked(host, endpoint.url))


def _smoked(host: Host, url: str) -> Fact[float]:
    """By dockerd's own clock: it goes on saying what happens until the time that it is told, and that must be past."""
    now = fact(host.get(url, "/info"), lambda text: second(text_in(parse_object(text), "SystemTime") or ""))
    if now.value is None:
        return Fact(None, EVENTS, now.unknown)
    asked = "%s?since=%d&until=%d&filters=%s" % (EVENTS, now.value - REMEMBERED, now.value, _ENDS)
    told = fact(host.get(url, asked, DEADLINE), parse_smoked)
    return Fact(told.value, EVENTS, told.unknown)


def _running(host: Host, url: str) -> Fact[Tuple[Container, ...]]:
    listing = host.get(url, LIST, DEADLINE)
    ids = fact(listing, lambda text: [text_in(one, "Id") or "" for one in parse_objects(text)][:MOST])
    found: List[Container] = []
    for id in ids.value or ():
        seen = host.get(url, "/containers/%s/json" % id, DEADLINE)
        one = fact(seen, parse_container)
        if one.unknown is not None and not _has_ended(seen):
            return Fact(None, seen.source, one.unknown)
        found += [one.value] if one.value else []
    return Fact(None if ids.value is None else tuple(found), listing.source, ids.unknown)


def _has_ended(seen: Reading) -> bool:
    """Whether it was removed since it was listed."""
    return seen.code == 404


def parse_container(text: str) -> Container:
    """Returns what `docker inspect` tells. Raises ValueError.

    {"Id": "3f2a…", "Name": "/train", "State": {"StartedAt": "2026-11-25T10:00:01.123456789Z"},
     "Config": {"Env": ["NVIDIA_VISIBLE_DEVICES=all"]},
     "HostConfig": {"Runtime": "runc", "Privileged": false, "DeviceCgroupRules": ["c 195:* rw"],
                    "Devices": [{"PathOnHost": "/dev/nvidia0"}],
                    "DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]}]}}
    """
    told = parse_object(text)
    asked, variables = object_in(told, "HostConfig"), texts_in(object_in(told, "Config"), "Env")
    values = dict(variable.partition("=")[::2] for variable in variables)
    return Container(
        id=text_in(told, "Id") or "",
        name=(text_in(told, "Name") or "").lstrip("/"),
        started=second(text_in(object_in(told, "State"), "StartedAt") or ""),
        runtime=text_in(asked, "Runtime") or "",
        privileged=flag_in(asked, "Privileged") or False,
        requests=tuple(map(_request, objects_in(asked, "DeviceRequests"))),
        devices=tuple(text_in(one, "PathOnHost") or "" for one in objects_in(asked, "Devices")),
        rules=texts_in(asked, "DeviceCgroupRules"),
        visible=values.get("NVIDIA_VISIBLE_DEVICES"),
    )


def _request(told: Mapping[str, Any]) -> DeviceRequest:
    return DeviceRequest(text_in(told, "Driver") or "", texts_in(told, "DeviceIDs"))


def parse_smoked(text: str) -> Optional[float]:
    """Returns when the last of these containers ended with exit status 0, None where none did. Raises ValueError.

    {"Type":"container","Action":"die","Actor":{"ID":"3f2a","Attributes":{"exitCode":"0"}},"time":1764000000}
    {"Type":"container","Action":"die","Actor":{"ID":"77d0","Attributes":{"exitCode":"139"}},"time":1764000060}
    """
    ends = [parse_object(line) for line in text.splitlines()]
    well = [one for one in ends if text_in(object_in(object_in(one, "Actor"), "Attributes"), "exitCode") == "0"]
    return max((moment(str(one.get("time"))) for one in well), default=None)

"""What Docker's daemon says of itself over its socket, and which kind of Docker that is."""

from __future__ import annotations

from enum import Enum
from typing import Any, Callable, Mapping, Optional, Tuple

from gpuctl.facts.docker.endpoint import Endpoint
from gpuctl.frozen import dataclass
from gpuctl.host.decode import (
    flag_in,
    number_in,
    object_in,
    objects_in,
    parse_object,
    parse_objects,
    text_in,
    texts_in,
)
from gpuctl.host.look.deadline import begin
from gpuctl.host.look.reading import Host, Outcome, Reading, failure
from gpuctl.model import Fact

DEADLINE = 5.0
ASLEEP = "Docker is stopped, and starts by itself at the first request, which gpuctl does not make"
_BY_PATH = (("/.docker/desktop/", "desktop"), ("/podman/", "podman"), ("/run/user/", "rootless"))
"""Parts of a socket's path and whose it is."""


class State(str, Enum):
    """How we found the daemon."""

    ANSWERS = "answers"
    ABSENT = "absent"
    """There is no socket."""
    STOPPED = "stopped"
    """There is a socket at which nobody listens."""
    ASLEEP = "asleep"
    """systemd listens in its stead, and starts it for the first who connects. We did not."""
    ELSEWHERE = "elsewhere"
    """On another host, which is not asked."""
    DENIED = "denied"
    UNCLEAR = "unclear"
    """No answer in time, or none that a daemon gives."""


@dataclass(frozen=True)
class Daemon:
    """What the daemon says of itself over its socket (`/version`, `/info`)."""

    version: str
    api_version: str
    min_api_version: Optional[str]
    runtimes: Mapping[str, Optional[str]]
    """Name to the program's path; None where the daemon names none (a built-in shim)."""
    default_runtime: str
    cgroup_driver: str
    cgroup_version: Optional[str]
    live_restore: bool
    security_options: Tuple[str, ...]
    operating_system: str
    root_dir: str
    cdi_spec_dirs: Tuple[str, ...]
    cdi_devices: Tuple[str, ...]
    """CDI device names that the daemon discovered (Docker 28.3 and later tell)."""
    containers_running: int
    images: Tuple[str, ...]
    """Tags of the images on the host."""

    def __str__(self) -> str:
        return "Docker %s, API %s" % (self.version, self.api_version)


@dataclass(frozen=True)
class Found:
    """The daemon's state, what it says of itself, and its kind: see Docker."""

    state: State
    daemon: Fact[Daemon]
    kind: Fact[str]


def probe_daemon(host: Host, endpoint: Endpoint, waiting: Optional[str]) -> Found:
    """Returns the daemon; `waiting` is the systemd socket that listens in its stead, which is then left alone."""
    if waiting:
        return _not_asked(State.ASLEEP, waiting, ASLEEP, endpoint)
    asked = [_begin_get(host, endpoint.url, path) for path in ("/version", "/info", "/images/json")]
    version, info, images = (answer() for answer in asked)
    failed = next((answer for answer in (version, info) if not answer.ok), None)
    if failed is not None:
        return _without_answer(failed, endpoint)
    try:
        told, more = parse_object(version.text), parse_object(info.text)
        kind = parse_kind(told, more)
        daemon = parse_daemon(told, more, parse_tags(images.text) if images.ok else ())
    except ValueError as error:
        return _not_asked(State.UNCLEAR, version.source, "the answer is not Docker's: %s" % error, endpoint)
    return Found(State.ANSWERS, Fact(daemon, version.source), Fact(kind, version.source))


def absent(source: str) -> Found:
    """Returns that there is no daemon, as `source` shows."""
    return Found(State.ABSENT, Fact(None, source), Fact(None, source))


def _begin_get(host: Host, url: str, path: str) -> Callable[[], Reading]:
    return begin(lambda: host.get(url, path, DEADLINE))


def _without_answer(answer: Reading, endpoint: Endpoint) -> Found:
    if answer.outcome is Outcome.ABSENT:
        return absent(answer.source)
    reason = failure(answer) if answer.outcome is not Outcome.OK else "HTTP status %d" % answer.code
    if "refused" in reason:
        return _not_asked(State.STOPPED, answer.source, "the daemon is not running (%s)" % reason, endpoint)
    state = State.DENIED if answer.outcome is Outcome.DENIED else State.UNCLEAR
    return _not_asked(state, answer.source, reason, endpoint)


def _not_asked(state: State, source: str, reason: str, endpoint: Endpoint) -> Found:
    """The daemon is unknown for a reason; its kind may be told by the socket's path."""
    kind = next((kind for part, kind in _BY_PATH if part in endpoint.url), None)
    unknown: Fact[Any] = Fact(None, source, reason)
    return Found(state, unknown, Fact(kind, endpoint.url) if kind else unknown)


def parse_daemon(version: Mapping[str, Any], info: Mapping[str, Any], images: Tuple[str, ...]) -> Daemon:
    """Returns what matters of `/version` and `/info`; what an old daemon does not tell has Docker's default.

    Raises ValueError.

    /version  {"Version": "20.10.24+dfsg1", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}
    /info     {"Runtimes": {"runc": {"path": "runc"}}, "DefaultRuntime": "runc", "CgroupDriver": "systemd",
               "CgroupVersion": "2", "SecurityOptions": ["name=seccomp,profile=default"]}
    """
    number = text_in(version, "Version")
    if not number:
        raise ValueError("its Version is missing")
    runtimes = object_in(info, "Runtimes")
    devices = objects_in(info, "DiscoveredDevices")
    return Daemon(
        version=number,
        api_version=text_in(version, "ApiVersion") or "",
        min_api_version=text_in(version, "MinAPIVersion"),
        runtimes={name: text_in(object_in(runtimes, name), "path") or None for name in runtimes},
        default_runtime=text_in(info, "DefaultRuntime") or "runc",
        cgroup_driver=text_in(info, "CgroupDriver") or "",
        cgroup_version=text_in(info, "CgroupVersion"),
        live_restore=flag_in(info, "LiveRestoreEnabled") or False,
        security_options=texts_in(info, "SecurityOptions"),
        operating_system=text_in(info, "OperatingSystem") or "",
        root_dir=text_in(info, "DockerRootDir") or "",
        cdi_spec_dirs=texts_in(info, "CDISpecDirs"),
        cdi_devices=tuple(text_in(one, "ID") or "" for one in devices if one.get("Source") == "cdi"),
        containers_running=number_in(info, "ContainersRunning") or 0,
        images=images,
    )


def parse_tags(text: str) -> Tuple[str, ...]:
    """Returns the tags of `/images/json`, sorted; old daemons call an image without one <none>:<none>.

    Raises ValueError.

    [{"Id": "sha256:…", "RepoTags": ["nvidia/cuda:10.1-base"]}, {"Id": "sha256:…", "RepoTags": null}]
    """
    tags = {tag for image in parse_objects(text) for tag in texts_in(image, "RepoTags")}
    return tuple(sorted(tags - {"<none>:<none>"}))


def parse_kind(version: Mapping[str, Any], info: Mapping[str, Any]) -> str:
    """Returns podman, desktop, snap, rootless or engine. Raises ValueError.

    /version  {"Components": [{"Name": "Podman Engine"}]}
    /info     {"OperatingSystem": "Docker Desktop", "DockerRootDir": "/var/snap/docker/common/var-lib-docker",
               "SecurityOptions": ["name=seccomp,profile=default", "name=rootless"]}
    """
    components = objects_in(version, "Components")
    if any(component.get("Name") == "Podman Engine" for component in components):
        return "podman"
    if info.get("OperatingSystem") == "Docker Desktop":
        return "desktop"
    if (text_in(info, "DockerRootDir") or "").startswith("/var/snap/docker"):
        return "snap"
    return "rootless" if "name=rootless" in texts_in(info, "SecurityOptions") else "engine"

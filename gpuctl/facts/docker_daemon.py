"""What Docker's daemon says of itself over its socket, and which kind of Docker that is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from gpuctl.facts.docker_endpoint import Endpoint
from gpuctl.host.deadline import begin
from gpuctl.host.reading import Host, Outcome, Reading, failure
from gpuctl.model import Fact

DEADLINE = 5.0
_WITHOUT_ANSWER = (("/.docker/desktop/", "desktop"), ("/podman/", "podman"), ("/run/user/", "rootless"))
"""Parts of a socket's path and whose it is."""


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


def probe_daemon(host: Host, endpoint: Endpoint) -> Tuple[Fact[Daemon], Fact[str]]:
    """Returns the daemon and its kind; both absent where there is no socket."""
    asked = [_begin_get(host, endpoint.url, path) for path in ("/version", "/info", "/images/json")]
    version, info, images = (answer() for answer in asked)
    failed = next((answer for answer in (version, info) if not answer.ok), None)
    if failed is not None:
        return _no_answer(failed), _kind_without_answer(failed, endpoint)
    try:
        told, more = _object(version.text), _object(info.text)
        kind = parse_kind(told, more)
        daemon = parse_daemon(told, more, parse_tags(images.text) if images.ok else ())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        unknown = "the answer is not Docker's: %s" % error
        return Fact(None, version.source, unknown), Fact(None, version.source, unknown)
    return Fact(daemon, version.source), Fact(kind if endpoint.local else "remote", version.source)


def _begin_get(host: Host, url: str, path: str) -> Callable[[], Reading]:
    return begin(lambda: host.get(url, path, DEADLINE))


def _no_answer(answer: Reading) -> Fact[Daemon]:
    if answer.outcome is Outcome.ABSENT:
        return Fact(None, answer.source)
    reason = failure(answer) if answer.outcome is not Outcome.OK else "HTTP status %d" % answer.code
    stopped = "refused" in reason
    return Fact(None, answer.source, unknown="the daemon is not running (%s)" % reason if stopped else reason)


def _kind_without_answer(answer: Reading, endpoint: Endpoint) -> Fact[str]:
    if not endpoint.local:
        return Fact("remote", endpoint.origin)
    if answer.outcome is Outcome.ABSENT:
        return Fact(None, answer.source)
    kinds = (kind for part, kind in _WITHOUT_ANSWER if part in endpoint.url)
    kind = next(kinds, None)
    return Fact(kind, endpoint.url) if kind else Fact(None, answer.source, unknown=_no_answer(answer).unknown)


def _object(text: str) -> Dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return value


def parse_daemon(version: Mapping[str, Any], info: Mapping[str, Any], images: Tuple[str, ...]) -> Daemon:
    """Returns what matters of `/version` and `/info`; what an old daemon does not tell has Docker's default.

    /version  {"Version": "20.10.24+dfsg1", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}
    /info     {"Runtimes": {"runc": {"path": "runc"}}, "DefaultRuntime": "runc", "CgroupDriver": "systemd",
               "CgroupVersion": "2", "SecurityOptions": ["name=seccomp,profile=default"]}
    """
    runtimes = info.get("Runtimes") or {}
    devices = info.get("DiscoveredDevices") or ()
    return Daemon(
        version=version["Version"],
        api_version=version.get("ApiVersion", ""),
        min_api_version=version.get("MinAPIVersion"),
        runtimes={name: (runtime or {}).get("path") or None for name, runtime in runtimes.items()},
        default_runtime=info.get("DefaultRuntime") or "runc",
        cgroup_driver=info.get("CgroupDriver", ""),
        cgroup_version=info.get("CgroupVersion"),
        live_restore=bool(info.get("LiveRestoreEnabled")),
        security_options=tuple(info.get("SecurityOptions") or ()),
        operating_system=info.get("OperatingSystem", ""),
        root_dir=info.get("DockerRootDir", ""),
        cdi_spec_dirs=tuple(info.get("CDISpecDirs") or ()),
        cdi_devices=tuple(device["ID"] for device in devices if device.get("Source") == "cdi"),
        containers_running=info.get("ContainersRunning", 0),
        images=images,
    )


def parse_tags(text: str) -> Tuple[str, ...]:
    """Returns the tags of `/images/json`, sorted; old daemons call an image without one <none>:<none>.

    [{"Id": "sha256:…", "RepoTags": ["nvidia/cuda:10.1-base"]}, {"Id": "sha256:…", "RepoTags": null}]
    """
    images: List[Mapping[str, Any]] = json.loads(text)
    tags = {tag for image in images for tag in image.get("RepoTags") or ()}
    return tuple(sorted(tags - {"<none>:<none>"}))


def parse_kind(version: Mapping[str, Any], info: Mapping[str, Any]) -> str:
    """Returns podman, desktop, snap, rootless or engine.

    /version  {"Components": [{"Name": "Podman Engine"}]}
    /info     {"OperatingSystem": "Docker Desktop", "DockerRootDir": "/var/snap/docker/common/var-lib-docker",
               "SecurityOptions": ["name=seccomp,profile=default", "name=rootless"]}
    """
    if any(component.get("Name") == "Podman Engine" for component in version.get("Components") or ()):
        return "podman"
    if info.get("OperatingSystem") == "Docker Desktop":
        return "desktop"
    if str(info.get("DockerRootDir")).startswith("/var/snap/docker"):
        return "snap"
    return "rootless" if "name=rootless" in (info.get("SecurityOptions") or ()) else "engine"

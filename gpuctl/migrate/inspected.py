"""The `docker run` that would make a container again, of what `docker inspect` tells of it and of its image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gpuctl.host.decode import flag_in, object_in, objects_in, text_in, texts_in
from gpuctl.migrate.gpus import gpus_value
from gpuctl.migrate.migration import Gpus

_FLAGS = {"Privileged": "--privileged", "AutoRemove": "--rm", "ReadonlyRootfs": "--read-only", "Init": "--init"}
_FLAGS |= {"PublishAllPorts": "--publish-all", "OomKillDisable": "--oom-kill-disable"}
_TEXTS = {"VolumeDriver": "--volume-driver", "CgroupParent": "--cgroup-parent", "CpusetCpus": "--cpuset-cpus"}
_TEXTS |= {"CpusetMems": "--cpuset-mems", "PidMode": "--pid", "UTSMode": "--uts", "UsernsMode": "--userns"}
_NUMBERS = {
    "Memory": "--memory",
    "MemorySwap": "--memory-swap",
    "PidsLimit": "--pids-limit",
    "CpuShares": "--cpu-shares",
}
_NUMBERS |= {"CpuQuota": "--cpu-quota", "CpuPeriod": "--cpu-period"}
_LISTS = {"Binds": "--volume", "VolumesFrom": "--volumes-from", "DeviceCgroupRules": "--device-cgroup-rule"}
_LISTS |= {"CapAdd": "--cap-add", "CapDrop": "--cap-drop", "GroupAdd": "--group-add", "ExtraHosts": "--add-host"}
_LISTS |= {"Dns": "--dns", "DnsSearch": "--dns-search", "DnsOptions": "--dns-option", "Links": "--link"}
_MAPS = {"Sysctls": ("--sysctl", "="), "Tmpfs": ("--tmpfs", ":")}
COMPOSE = "com.docker.compose."
"""What the labels begin with by which Compose knows its containers."""
_MODES = {
    "NetworkMode": ("--network", (None, "", "default", "bridge")),
    "IpcMode": ("--ipc", (None, "", "private", "shareable")),
}
"""Options, and what Docker takes where they are not given."""
_SHM_SIZE, _PERMISSIONS = str(64 << 20), "rwm"


def words_of(container: Mapping[str, Any], image: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the words; what the image says itself is left to it. Raises ValueError where the answer is not Docker's.

    {"Name": "/train", "Config": {"Env": ["A=b"], "Cmd": ["python"], "Image": "app:1"},
     "HostConfig": {"Binds": ["/data:/data"], "Devices": [{"PathOnHost": "/dev/nvidia0", …}]}}
    """
    config, asked, own = object_in(container, "Config"), object_in(container, "HostConfig"), object_in(image, "Config")
    name = (text_in(container, "Name") or "").lstrip("/")
    options = [*_pairs([("--name", name)]), *_of_config(config, own), *_of_host(asked)]
    entrypoint, command = texts_in(config, "Entrypoint"), texts_in(config, "Cmd")
    behind = command
    if entrypoint != texts_in(own, "Entrypoint"):
        options += ["--entrypoint", entrypoint[0] if entrypoint else ""]
        behind = (*entrypoint[1:], *command)
    elif command == texts_in(own, "Cmd"):
        behind = ()
    return ("docker", "run", "--detach", *options, text_in(config, "Image") or "", *behind)


def _of_config(config: Mapping[str, Any], image: Mapping[str, Any]) -> Iterator[str]:
    yield from (option for key, option in (("Tty", "--tty"), ("OpenStdin", "--interactive")) if flag_in(config, key))
    texts = (("User", "--user"), ("WorkingDir", "--workdir"), ("StopSignal", "--stop-signal"))
    yield from _pairs(
        (option, text_in(config, key)) for key, option in texts if text_in(config, key) != text_in(image, key)
    )
    own = texts_in(image, "Env")
    yield from _pairs(("--env", variable) for variable in texts_in(config, "Env") if variable not in own)
    labels, owned = object_in(config, "Labels"), object_in(image, "Labels")
    own_labels = (key for key in labels if labels[key] != owned.get(key) and not key.startswith(COMPOSE))
    yield from _pairs(("--label", f"{key}={labels[key]}") for key in own_labels)


def _of_host(asked: Mapping[str, Any]) -> Iterator[str]:
    yield from (option for key, option in _FLAGS.items() if flag_in(asked, key))
    yield from _pairs((option, text_in(asked, key)) for key, option in _TEXTS.items())
    yield from _pairs((option, _number(asked, key)) for key, option in _NUMBERS.items())
    yield from _pairs((option, value) for key, option in _LISTS.items() for value in texts_in(asked, key))
    for key, (option, sign) in _MAPS.items():
        yield from _pairs(
            (option, f"{name}{sign * bool(value)}{value}") for name, value in object_in(asked, key).items()
        )
    for key, (option, usual) in _MODES.items():
        yield from _pairs([(option, text_in(asked, key))] if text_in(asked, key) not in usual else [])
    yield from _pairs(_limits(asked))
    yield from _pairs(_log(asked))
    yield from _pairs(_ports(asked))
    yield from _pairs(_devices(asked))
    yield from _pairs(_mounts(asked))


Pairs = Iterable[tuple[str, str | None]]
"""Options, and the value of each; without one it is not given."""


def _pairs(pairs: Pairs) -> Iterator[str]:
    yield from (word for option, value in pairs if value for word in (option, value))


def _number(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    return str(value) if isinstance(value, int) and value else ""


def _limits(asked: Mapping[str, Any]) -> Pairs:
    if _number(asked, "ShmSize") != _SHM_SIZE:
        yield "--shm-size", _number(asked, "ShmSize")
    cpus = _number(asked, "NanoCpus")
    yield "--cpus", f"{int(cpus) / 1e9:g}" if cpus else None
    for value in texts_in(asked, "SecurityOpt"):
        if not (value == "label=disable" and flag_in(asked, "Privileged")):  # which Docker adds itself
            yield "--security-opt", value
    for limit in objects_in(asked, "Ulimits"):
        yield "--ulimit", f"{limit.get('Name')}={limit.get('Soft')}:{limit.get('Hard')}"
    restart = object_in(asked, "RestartPolicy")
    policy, most = text_in(restart, "Name") or "no", _number(restart, "MaximumRetryCount")
    if policy != "no":
        yield "--restart", f"{policy}:{most}" if most else policy
    if text_in(asked, "Runtime") != "runc":
        yield "--runtime", text_in(asked, "Runtime")


def _log(asked: Mapping[str, Any]) -> Pairs:
    log = object_in(asked, "LogConfig")
    options = object_in(log, "Config")
    if options or text_in(log, "Type") != "json-file":
        yield "--log-driver", text_in(log, "Type")
    yield from (("--log-opt", f"{name}={value}") for name, value in options.items())


def _ports(asked: Mapping[str, Any]) -> Pairs:
    for port in object_in(asked, "PortBindings"):
        for one in objects_in(object_in(asked, "PortBindings"), port):
            parts = (text_in(one, "HostIp"), text_in(one, "HostPort") or "0", port.removesuffix("/tcp"))
            yield "--publish", ":".join(filter(None, parts))


def _devices(asked: Mapping[str, Any]) -> Pairs:
    for one in objects_in(asked, "Devices"):
        host, inside = text_in(one, "PathOnHost") or "", text_in(one, "PathInContainer") or ""
        permissions = text_in(one, "CgroupPermissions") or _PERMISSIONS
        if permissions != _PERMISSIONS:
            yield "--device", f"{host}:{inside}:{permissions}"
        else:
            yield "--device", host if inside in ("", host) else f"{host}:{inside}"
    for request in objects_in(asked, "DeviceRequests"):
        ids, count = texts_in(request, "DeviceIDs"), _number(request, "Count")
        if text_in(request, "Driver") == "cdi":
            yield from (("--device", name) for name in ids)
        elif ids:
            yield "--gpus", gpus_value(Gpus(ids))
        else:
            yield "--gpus", "all" if count in ("", "-1") else count


def _mounts(asked: Mapping[str, Any]) -> Pairs:
    for mount in objects_in(asked, "Mounts"):
        fields = {"type": mount.get("Type"), "source": mount.get("Source"), "target": mount.get("Target")}
        words = [f"{key}={value}" for key, value in fields.items() if value]
        yield "--mount", ",".join([*words, *(["readonly"] if flag_in(mount, "ReadOnly") else [])])

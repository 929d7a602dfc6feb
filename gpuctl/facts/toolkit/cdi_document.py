"""A CDI specification as a document, held to what every engine holds it to.

https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md says what it holds; specs-go/config.go and
version.go, pkg/cdi/spec.go, device.go and container-edits.go (1.1.0) what engines refuse: a field that they do not
know, a version below what the content needs, a device that changes nothing.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

from gpuctl.facts.toolkit.cdi_text import NOTHING, NotFollowed, load
from gpuctl.frozen import dataclass
from gpuctl.regex import regex

VERSIONS = ("0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0")
"""Those that engines take, the oldest first (specs-go/version.go): none before, and none between them."""
NO_DEVICE = "it names no device"
NODES_LIMIT = 2000
"""Of device nodes, and as many of files: gpuctl looks for each."""
_KIND = regex(r"[A-Za-z](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?/[A-Za-z](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?")
_DEVICE = regex(r"[A-Za-z0-9](?:[A-Za-z0-9_.:-]*[A-Za-z0-9])?")
_VERSION = regex(r"v?\d{1,3}\.\d{1,3}\.\d{1,3}")
_NODE = ("path", "hostPath", "type", "major", "minor", "fileMode", "permissions", "uid", "gid")
_RDT = ("closID", "l3CacheSchema", "memBwSchema", "schemata", "enableMonitoring", "enableCMT", "enableMBM")
_EDITS: Mapping[str, Any] = {
    "env": None,
    "deviceNodes": dict.fromkeys(_NODE),
    "netDevices": dict.fromkeys(("hostInterfaceName", "name")),
    "hooks": dict.fromkeys(("hookName", "path", "args", "env", "timeout")),
    "mounts": dict.fromkeys(("hostPath", "containerPath", "options", "type")),
    "intelRdt": dict.fromkeys(_RDT),
    "additionalGids": None,
}
_FIELDS: Mapping[str, Any] = {
    "cdiVersion": None,
    "kind": None,
    "annotations": None,
    "devices": {"name": None, "annotations": None, "containerEdits": _EDITS},
    "containerEdits": _EDITS,
}
"""The fields of each object, nested; None: what is below is text, or anybody's."""
_HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
_NODE_TYPES = (None, "", "b", "c", "u", "p")

Node = Tuple[str, Optional[int], Optional[int]]


@dataclass(frozen=True)
class Device:
    """A device by the name behind "=", and the paths on the host of the nodes that it gives a container."""

    name: str
    nodes: Tuple[str, ...]


@dataclass(frozen=True)
class Document:
    """What a specification says. `nodes` are the device nodes' paths on the host, major and minor numbers."""

    kind: str = ""
    version: str = ""
    devices: Tuple[Device, ...] = ()
    nodes: Tuple[Node, ...] = ()
    mounts: Tuple[str, ...] = ()
    """Paths on the host that are mounted."""
    hooks: Tuple[str, ...] = ()
    """Programs that are called for every container."""
    error: Optional[str] = None
    """Why no engine takes it."""


def parse_document(text: str) -> Document:
    """Returns what a specification says. Raises TooMuch for one that gpuctl does not follow.

    cdiVersion: 0.5.0
    kind: nvidia.com/gpu
    devices:
    - name: "0"
      containerEdits:
        deviceNodes:
        - path: /dev/nvidia0
    containerEdits:
      hooks:
      - hookName: createContainer
        path: /usr/bin/nvidia-cdi-hook
        args: [nvidia-cdi-hook, update-ldcache, --folder, /usr/lib/x86_64-linux-gnu]
      mounts:
      - hostPath: /usr/lib/x86_64-linux-gnu/libcuda.so.535.161.08
        containerPath: /usr/lib/x86_64-linux-gnu/libcuda.so.535.161.08
    """
    try:
        value = load(text)
    except NotFollowed:
        raise
    except ValueError as error:
        return Document(error=str(error))
    kind = value.get("kind") if isinstance(value, dict) else None
    try:
        return _document(value)
    except NotFollowed:
        raise
    except ValueError as error:
        return Document(kind if isinstance(kind, str) and _KIND.fullmatch(kind) else "", error=str(error))


def _document(value: Any) -> Document:
    spec = _known_fields(_object(value, "it"), _FIELDS)
    version = _text(spec, "cdiVersion", _VERSION).lstrip("v")
    if version not in VERSIONS and _is_older(version, VERSIONS[-1]):
        raise ValueError("no engine takes cdiVersion %s" % version)
    devices = _objects(spec, "devices", "a device")
    parts = [_member(part, "containerEdits") for part in (*devices, spec)]
    names = tuple(_text(device, "name", _DEVICE) for device in devices)
    kind = _text(spec, "kind", _KIND)
    _check_devices(names, parts)
    for part in parts:
        _check_edits(part)
    _check_version(version, _needs(kind, names, [*devices, spec], parts))
    nodes = {node[0]: node for part in parts for node in _nodes(part)}
    files = dict.fromkeys(path for part in parts for path in _host_paths(part))
    if len(nodes) > NODES_LIMIT or len(files) > NODES_LIMIT:
        raise NotFollowed("it names more than %d device nodes or files" % NODES_LIMIT)
    return Document(
        kind=kind,
        version=version,
        devices=tuple(Device(name, tuple(node[0] for node in _nodes(part))) for name, part in zip(names, parts)),
        nodes=tuple(nodes.values()),
        mounts=tuple(files),
        hooks=tuple(dict.fromkeys(str(hook["path"]) for part in parts for hook in _objects(part, "hooks", "a hook"))),
    )


def _known_fields(value: Dict[str, Any], fields: Mapping[str, Any]) -> Dict[str, Any]:
    """The object with its fields as CDI spells them, since engines take them in any case.

    Raises ValueError for one that CDI does not have; a version that gpuctl does not know may have more.
    """
    version = str(value.get("cdiVersion", "")).lstrip("v")
    is_newer = bool(_VERSION.fullmatch(version)) and _is_older(VERSIONS[-1], version)
    return dict(_spelt(value, fields, is_newer))


def _spelt(value: Any, fields: Optional[Mapping[str, Any]], is_newer: bool) -> Any:
    if isinstance(value, list):
        return [_spelt(member, fields, is_newer) for member in value]
    if not isinstance(value, dict) or fields is None:
        return value
    names = {name.lower(): name for name in fields}
    unknown = next((key for key in value if str(key).lower() not in names), None)
    if unknown is not None and not is_newer:
        raise ValueError("it has the field %.50r, which CDI does not have there" % (unknown,))
    known = {names[str(key).lower()]: member for key, member in value.items() if str(key).lower() in names}
    return {name: _spelt(member, fields[name], is_newer) for name, member in known.items()}


def _check_devices(names: Tuple[str, ...], parts: List[Dict[str, Any]]) -> None:
    if not names:
        raise ValueError(NO_DEVICE)
    if len(set(names)) < len(names):
        raise ValueError("it names one device twice")
    empty = next((name for name, part in zip(names, parts) if _is_empty(part)), None)
    if empty is not None:
        raise ValueError("its device %s changes nothing in a container" % empty)


def _is_empty(part: Mapping[str, Any]) -> bool:
    return all(value in (*NOTHING, []) for value in part.values())


def _check_edits(part: Mapping[str, Any]) -> None:
    hooks = _objects(part, "hooks", "a hook")
    for holder in (part, *hooks):
        if any(str(variable).find("=") < 1 for variable in _list(holder, "env")):
            raise ValueError("a variable of it has no name or no value")
    if any(hook.get("hookName") not in _HOOKS or hook.get("path") in NOTHING for hook in hooks):
        raise ValueError("a hook has no path, or a name that is none")
    for node in _objects(part, "deviceNodes", "a device node"):
        if node.get("type") not in _NODE_TYPES or set(str(node.get("permissions") or "")) - set("rwm"):
            raise ValueError("the type or the permissions of a device node are none")
    for network in _objects(part, "netDevices", "a network device"):
        if network.get("name") in NOTHING or network.get("hostInterfaceName") in NOTHING:
            raise ValueError("a network device has no name")


def _needs(
    kind: str, names: Iterable[str], holders: List[Dict[str, Any]], parts: List[Dict[str, Any]]
) -> Iterator[Tuple[str, str]]:
    """The versions that the content needs and what needs them, the newest first (specs-go/version.go)."""
    rdts = [_member(part, "intelRdt") for part in parts if part.get("intelRdt") not in NOTHING]
    nodes = [node for part in parts for node in _objects(part, "deviceNodes", "a device node")]
    mounts = [mount for part in parts for mount in _objects(part, "mounts", "a mount")]
    uses = (
        ("1.1.0", "netDevices", any(_list(part, "netDevices") for part in parts)),
        ("1.1.0", "intelRdt.schemata", any(rdt.get("schemata") not in NOTHING for rdt in rdts)),
        ("1.1.0", "intelRdt.enableMonitoring", any(rdt.get("enableMonitoring") in (True, "true") for rdt in rdts)),
        ("0.7.0", "intelRdt", bool(rdts)),
        ("0.7.0", "additionalGids", any(_list(part, "additionalGids") for part in parts)),
        ("0.6.0", "annotations", any(_member(holder, "annotations") for holder in holders)),
        ("0.6.0", "a dot in the class of a kind", "." in kind.partition("/")[2]),
        ("0.5.0", "a device name that begins with a digit", any(name[0].isdigit() for name in names)),
        ("0.5.0", "the hostPath of a device node", any(node.get("hostPath") not in NOTHING for node in nodes)),
        ("0.4.0", "the type of a mount", any(mount.get("type") not in NOTHING for mount in mounts)),
    )
    return ((version, what) for version, what, is_used in uses if is_used)


def _check_version(version: str, needs: Iterator[Tuple[str, str]]) -> None:
    for needed, what in needs:
        if _is_older(version, needed):
            raise ValueError("it says version %s, and %s came with %s" % (version, what, needed))


def _is_older(one: str, other: str) -> bool:
    return [int(part) for part in one.split(".")] < [int(part) for part in other.split(".")]


def _nodes(part: Mapping[str, Any]) -> Iterator[Node]:
    for node in _objects(part, "deviceNodes", "a device node"):
        path = node.get("hostPath") or node.get("path")
        if not node.get("path") or not isinstance(path, str) or not path.isprintable():
            raise ValueError("a device node has no path, or one that cannot be printed")
        yield path, _number(node, "major"), _number(node, "minor")


def _host_paths(part: Mapping[str, Any]) -> Iterator[str]:
    for mount in _objects(part, "mounts", "a mount"):
        path, place = mount.get("hostPath"), mount.get("containerPath")
        if not isinstance(path, str) or not isinstance(place, str) or not path or not place:
            raise ValueError("a mount has no hostPath or no containerPath")
        if path.startswith("/") and mount.get("type") in (*NOTHING, "bind"):
            yield path


def _object(value: Any, what: str) -> Dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("%s is not an object" % what)
    return value


def _member(value: Mapping[str, Any], key: str) -> Dict[str, Any]:
    return {} if value.get(key) in NOTHING else _object(value[key], key)


def _list(value: Mapping[str, Any], key: str) -> List[Any]:
    found = value.get(key)
    if found in NOTHING:
        return []
    if not isinstance(found, list):
        raise ValueError("%s is not a list" % key)
    return found


def _objects(value: Mapping[str, Any], key: str, what: str) -> List[Dict[str, Any]]:
    return [_object(member, what) for member in _list(value, key)]


def _text(value: Mapping[str, Any], key: str, shape: re.Pattern[str]) -> str:
    found = value.get(key)
    text = str(found) if isinstance(found, (str, int)) else ""
    if len(text) > 253 or not shape.fullmatch(text):
        raise ValueError("its %s is missing or not valid" % key)
    return text


def _number(value: Mapping[str, Any], key: str) -> Optional[int]:
    found = value.get(key)
    if found in NOTHING:
        return None
    if not re.fullmatch(r"-?\d{1,9}", str(found)):
        raise ValueError("the %s of a device node is no number" % key)
    return int(found)

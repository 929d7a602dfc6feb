"""containerd's configuration: which table is the CRI plugin's, what its files say together, registering a runtime.

https://github.com/containerd/containerd: docs/man/containerd-config.toml.5.md, docs/PLUGINS.md, docs/cri/config.md, and
experiments with `containerd config dump` of 1.4.13, 1.6.20, 1.7.24 and 2.1.9.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpuctl.engines.merge import REMOVED, Keys, Value, value_at
from gpuctl.engines.toml.spelling import told
from gpuctl.engines.toml.text import NotAccepted, decoded, line_of, set_values, table_at, values

RUNC_V2 = "io.containerd.runc.v2"
RUNTIME_PLUGIN = "io.containerd.cri.v1.runtime"
CRI_PLUGINS = ("cri", "io.containerd.grpc.v1.cri", RUNTIME_PLUGIN, "io.containerd.cri.v1.images")
"""Names under which a file can disable what Kubernetes needs of containerd."""
DISABLED: Keys = ("disabled_plugins",)
_NEWEST_VERSION = 4
_UNSET = (REMOVED, False, "")
_TYPES: Mapping[Keys, tuple[type, str]] = {
    ("privileged_without_host_devices",): (bool, "boolean"),
    ("base_runtime_spec",): (str, "string"),
    ("options", "SystemdCgroup"): (bool, "boolean"),
}
"""What holds for runc's containers on this host, and has to hold for those of the new runtime too."""


class Differs(NotAccepted):
    """The runtime is registered in another way; the message says in which."""

    replaceable = True


@dataclass(frozen=True)
class Settings:
    """What files say of the CRI plugin: its runtimes, name to program ("" for runc's own), and its default runtime."""

    runtimes: Mapping[str, str]
    default: str
    disabled: bool
    """Whether the plugin is disabled, so that Kubernetes cannot use this containerd."""


def cri_plugin(raw: bytes, generation: int) -> str:
    """Returns the name under `plugins` of the CRI plugin's table, for this file as the main one.

    `generation` is the first number of containerd's version. Without a version key a file is of version 1, whose CRI
    table 2.x does not take over when it migrates the file (seen on 2.1.9): there the new name holds in it as well.
    Raises NotAccepted.
    """
    version = values(raw).get("version", 1)
    if type(version) is not int or not 0 <= version <= _NEWEST_VERSION:
        raise NotAccepted(f"version {told(version)} is none that gpuctl knows", line_of(decoded(raw), ("version",)))
    if version > 2 or (version < 2 and generation > 1):
        return RUNTIME_PLUGIN
    return CRI_PLUGINS[1] if version == 2 else CRI_PLUGINS[0]


def new_file(generation: int) -> bytes:
    """Returns what a file has to begin with."""
    return b"version = 3\n" if generation > 1 else b"version = 2\n"


def merged(files: Sequence[bytes], plugin: str, generation: int) -> dict[str, Any]:
    """Returns what the main file and its imports, in containerd's order, say together of disabled plugins and of CRI.

    1.x takes each plugin's table whole from the last file that has it; 2.x merges tables key by key
    (https://github.com/containerd/containerd/pull/9982). Lists of disabled plugins are always joined. Raises
    NotAccepted.
    """
    disabled: list[Any] = []
    table: dict[str, Any] = {}
    for document in map(values, files):
        disabled += _disabled(document)
        there = value_at(document, ("plugins", plugin))
        if isinstance(there, dict):
            table = _overlaid(table, there) if generation > 1 else there
    return {DISABLED[0]: disabled, "plugins": {plugin: table}}


def check_types(raw: bytes, plugin: str) -> None:
    """Raises NotAccepted, with the line, where something else stands in the place of what gpuctl reads in a file."""
    text, document = decoded(raw), values(raw)
    runtimes = runtimes_of(plugin)
    tables = [(*runtimes, name) for name in table_at(text, document, runtimes)]
    for path in [default_table_of(plugin), *tables]:
        table_at(text, document, (*path, "options"))
    for path, (kind, name) in _TYPES.items():
        found = value_at(document, (*runtimes, "runc", *path))
        if found is not REMOVED and not isinstance(found, kind):
            raise NotAccepted(f"{path[-1]} of runc is no {name}", line_of(text, (*runtimes, "runc", *path)))


def settings(document: Mapping[str, Any], plugin: str) -> Settings:
    """Returns what a document (see `merged`) says. Raises NotAccepted for values of the wrong type."""
    runtimes = _table(document, runtimes_of(plugin))
    default = value_at(document, default_of(plugin))
    programs = {name: str(_table(runtimes, (name, "options")).get("BinaryName", "")) for name in runtimes}
    disabled = any(name in CRI_PLUGINS for name in _disabled(document))
    return Settings(programs, default if isinstance(default, str) else "", disabled)


def runtimes_of(plugin: str) -> Keys:
    """Returns where the runtimes stand."""
    return ("plugins", plugin, "containerd", "runtimes")


def default_of(plugin: str) -> Keys:
    """Returns where the default runtime's name stands."""
    return ("plugins", plugin, "containerd", "default_runtime_name")


def default_table_of(plugin: str) -> Keys:
    """Returns where the old table of the default runtime stands."""
    return ("plugins", plugin, "containerd", "default_runtime")


def register(
    raw: bytes, plugin: str, name: str, entry: Mapping[str, Any], *, default: bool, force: bool, alone: bool
) -> bytes:
    """Returns the bytes with the runtime registered, and made the default if `default`; the same bytes if it is so.

    `entry` is what `wished_entry` gives. The CRI plugin is taken out of the disabled ones. `alone`: no file has any
    runtime, so that this one would stand in the place of containerd's own runc; up to 1.7 CRI does not start without
    its default runtime (https://github.com/containerd/containerd/issues/7982, seen on 1.6.20 and 1.7.24). Raises
    NotAccepted, and Differs where NAME is registered in another way and not `force`.
    """
    document = values(raw)
    changes = list(_enabling(document))
    if alone:
        changes.append(((*runtimes_of(plugin), "runc"), {"runtime_type": RUNC_V2}))
    if default:
        _check_default(raw, document, plugin)
        changes.append((default_of(plugin), name))
    path = (*runtimes_of(plugin), name)
    there = table_at(decoded(raw), document, path)
    why = difference(there, entry)
    if there and why and not force:
        raise Differs(f"the runtime {name} is registered in another way: {why}", line_of(decoded(raw), path))
    if why:
        changes.append((path, dict(entry)))
    return set_values(raw, changes)


def enable(raw: bytes) -> bytes:
    """Returns the bytes with the CRI plugin taken out of the disabled ones. Raises NotAccepted."""
    return set_values(raw, list(_enabling(values(raw))))


def wished_entry(document: Mapping[str, Any], plugin: str, program: str) -> dict[str, Any]:
    """Returns the entry of a runtime of this program, which has what runc has: never what the default runtime has.

    https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html. The cgroup driver has
    to be the same for all runtimes of a node (https://github.com/containerd/containerd, docs/cri/config.md).
    """
    runc = _table(document, (*runtimes_of(plugin), "runc"))
    cgroup = value_at(runc, ("options", "SystemdCgroup"))
    spec = runc.get("base_runtime_spec")
    return {
        "privileged_without_host_devices": runc.get("privileged_without_host_devices", False),
        "runtime_type": RUNC_V2,
        **({"base_runtime_spec": spec} if spec else {}),
        "options": {"BinaryName": program, **({} if cgroup is REMOVED else {"SystemdCgroup": cgroup})},
    }


def difference(there: Mapping[str, Any], wished: Mapping[str, Any]) -> str:
    """Returns in which way an entry is another than the wished one, "" where containerd does the same with both."""
    for path in (("runtime_type",), ("options", "BinaryName"), ("options", "SystemdCgroup")):
        has, wants = (value_at(entry, path) for entry in (there, wished))
        if has != wants and not (has in _UNSET and wants in _UNSET):
            return f"its {path[-1]} is {_shown(has)}, not {_shown(wants)}"
    return ""


def _overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        there = result.get(key)
        result[key] = _overlaid(there, value) if isinstance(there, dict) and isinstance(value, dict) else value
    return result


def _table(document: Mapping[str, Any], path: Keys) -> Mapping[str, Any]:
    found = value_at(document, path)
    if found is REMOVED:
        return {}
    if not isinstance(found, dict):
        raise NotAccepted(f"{'.'.join(path)} is not a table")
    return found


def _disabled(document: Mapping[str, Any]) -> list[Any]:
    disabled = document.get(DISABLED[0], [])
    if not isinstance(disabled, list):
        raise NotAccepted(f"{DISABLED[0]} is not an array")
    return disabled


def _enabling(document: Mapping[str, Any]) -> Iterator[Value]:
    disabled = _disabled(document)
    kept = [name for name in disabled if name not in CRI_PLUGINS]
    if kept != disabled:
        yield DISABLED, kept


def _check_default(raw: bytes, document: Mapping[str, Any], plugin: str) -> None:
    """Up to 1.7 a table of that name, where it has a type, goes before the default runtime's name."""
    path = default_table_of(plugin)
    if table_at(decoded(raw), document, path).get("runtime_type"):
        message = "the old table default_runtime goes before default_runtime_name: remove it first"
        raise NotAccepted(message, line_of(decoded(raw), path))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value.isprintable() else told(value)

"""containerd's configuration: which table is the CRI plugin's, what its files say together, registering a runtime.

https://github.com/containerd/containerd: docs/man/containerd-config.toml.5.md, docs/PLUGINS.md, docs/cri/config.md, and
experiments with `containerd config dump` of 1.4.13, 1.6.20, 1.7.24 and 2.1.9.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gpuctl.engines.merge import REMOVED, Keys, Value, Values, value_at
from gpuctl.engines.toml.spelling import told
from gpuctl.engines.toml.text import NotAccepted, decoded, line_of, set_values, table_at, values
from gpuctl.frozen import dataclass

RUNC_V2 = "io.containerd.runc.v2"
_OF_RUNC = ("io.containerd.runc.", "io.containerd.runtime.v1.linux")
"""How the types begin whose shim calls runc, or what stands in its place; the last one is gone from 2.0 on."""
RUNTIME_PLUGIN = "io.containerd.cri.v1.runtime"
CRI_PLUGINS = ("cri", "io.containerd.grpc.v1.cri", RUNTIME_PLUGIN, "io.containerd.cri.v1.images")
"""Names under which a file can disable what Kubernetes needs of containerd."""
DISABLED: Keys = ("disabled_plugins",)
_NEWEST_VERSION = 4
_UNSET = (REMOVED, False, "")
_OWN = ("runtime_type", "runtime_engine", "runtime_root", "runtime_path", "cfg_path", "options")
_OWN_OPTIONS = ("BinaryName", "Runtime", "RuntimeRoot")
"""What says which program a runtime is: all else of the one that containers use holds for the new one too."""
CDI_FOLDERS = ["/etc/cdi", "/var/run/cdi"]
"""containerd's own default of cdi_spec_dirs (docs/cri/config.md)."""
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
class CriSettings:
    """What files say of the CRI plugin: its runtimes, name to program ("" for runc's own), and its default runtime."""

    runtimes: Mapping[str, str]
    default: str
    disabled: bool
    """Whether the plugin is disabled, so that Kubernetes cannot use this containerd."""
    cdi: bool | None = None
    """What enable_cdi says; None: nothing."""


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
    for table in [default_table_of(plugin), *tables]:
        table_at(text, document, (*table, "options"))
        for path, (kind, name) in _TYPES.items():
            found = value_at(document, (*table, *path))
            if found is not REMOVED and not isinstance(found, kind):
                raise NotAccepted(f"{path[-1]} of {table[-1]} is no {name}", line_of(text, (*table, *path)))


def settings(document: Mapping[str, Any], plugin: str) -> CriSettings:
    """Returns what a document (see `merged`) says. Raises NotAccepted for values of the wrong type."""
    runtimes = _table(document, runtimes_of(plugin))
    default = value_at(document, default_of(plugin))
    programs = {name: str(_table(runtimes, (name, "options")).get("BinaryName", "")) for name in runtimes}
    disabled = any(name in CRI_PLUGINS for name in _disabled(document))
    cdi = value_at(document, cdi_of(plugin))
    return CriSettings(
        programs, default if isinstance(default, str) else "", disabled, cdi if isinstance(cdi, bool) else None
    )


def runtimes_of(plugin: str) -> Keys:
    """Returns where the runtimes stand."""
    return ("plugins", plugin, "containerd", "runtimes")


def default_of(plugin: str) -> Keys:
    """Returns where the default runtime's name stands."""
    return ("plugins", plugin, "containerd", "default_runtime_name")


def cdi_of(plugin: str) -> Keys:
    """Returns where it stands that CDI is on: https://github.com/containerd/containerd, docs/cri/config.md."""
    return ("plugins", plugin, "enable_cdi")


def default_table_of(plugin: str) -> Keys:
    """Returns where the old table of the default runtime stands."""
    return ("plugins", plugin, "containerd", "default_runtime")


def register(
    raw: bytes, plugin: str, name: str, entry: Mapping[str, Any], *, default: bool, force: bool, further: Values = ()
) -> bytes:
    """Returns the bytes with the runtime registered, and made the default if `default`; the same bytes if it is so.

    `entry` is what `wished_entry` gives, `further` what else is to be set. The CRI plugin is taken out of the disabled
    ones. Raises NotAccepted, and Differs where NAME is registered in another way and not `force`.
    """
    document = values(raw)
    changes = [*_enabling(document), *further]
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


def missing_runc(document: Mapping[str, Any], plugin: str) -> Values:
    """Returns runc's table where the runtimes in files are to stand in the place of containerd's own, up to 1.7.

    There CRI does not start without its default runtime, which is runc where no file names one
    (https://github.com/containerd/containerd/issues/7982, seen on 1.6.20 and 1.7.24).
    """
    said = settings(document, plugin)
    if "runc" in said.runtimes or (said.runtimes and said.default not in ("", "runc")):
        return ()
    return (((*runtimes_of(plugin), "runc"), {"runtime_type": RUNC_V2}),)


def switching_cdi_on(document: Mapping[str, Any], plugin: str, generation: int) -> Values:
    """Returns what has CRI read CDI specifications: it does by itself from 2.0 on, and never where no folder is named.

    https://github.com/containerd/containerd/pull/9621.
    """
    folders: Keys = ("plugins", plugin, "cdi_spec_dirs")
    is_on = value_at(document, cdi_of(plugin)) in ((True, REMOVED) if generation > 1 else (True,))
    named: Values = ((folders, CDI_FOLDERS),) if value_at(document, folders) == [] else ()
    return (*(() if is_on else ((cdi_of(plugin), True),)), *named)


def carries(keys: Keys) -> Keys | None:
    """Returns where others build on a value that gpuctl sets; None: nothing is built on it.

    All of a file is of its version; other runtimes need runc beside them, and a plugin's settings need the plugin.
    """
    if keys == ("version",):
        return ()
    if keys == DISABLED:
        return ("plugins",)
    return keys[:-1] if keys[-2:] == ("runtimes", "runc") else None


def enable(raw: bytes) -> bytes:
    """Returns the bytes with the CRI plugin taken out of the disabled ones. Raises NotAccepted."""
    return set_values(raw, list(_enabling(values(raw))))


def wished_entry(document: Mapping[str, Any], plugin: str, name: str, program: str) -> dict[str, Any]:
    """Returns the entry of a runtime of this program, with what the runtime has that containers really use.

    The cgroup driver has to be the same for all runtimes of a node (https://github.com/containerd/containerd,
    docs/cri/config.md).
    """
    used = _used_runtime(document, plugin, name)
    options = {key: value for key, value in _table(used, ("options",)).items() if key not in _OWN_OPTIONS}
    return {
        "privileged_without_host_devices": False,
        "runtime_type": RUNC_V2,
        **{key: value for key, value in used.items() if key not in _OWN and value not in ("", [])},
        "options": {"BinaryName": program, **{key: value for key, value in options.items() if value != ""}},
    }


def _used_runtime(document: Mapping[str, Any], plugin: str, name: str) -> Mapping[str, Any]:
    """The default runtime's table, else runc's or crun's; NVIDIA's own, and other shims' such as kata's, are none."""
    runtimes, default = _table(document, runtimes_of(plugin)), settings(document, plugin).default
    old = _table(document, default_table_of(plugin))
    named = (_table(runtimes, (one,)) for one in (default, "runc", "crun") if one != name and one[:6] != "nvidia")
    found = (table for table in (old if old.get("runtime_type") else {}, *named) if table)
    return next((table for table in found if _is_of_runcs_shim(table)), {})


def _is_of_runcs_shim(table: Mapping[str, Any]) -> bool:
    kind, program = str(table.get("runtime_type", "")), str(value_at(table, ("options", "BinaryName")))
    is_other = kind.startswith(("io.containerd.", "/")) and not kind.startswith(_OF_RUNC)
    return not is_other and "nvidia-container-runtime" not in program


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

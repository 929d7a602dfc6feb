"""containerd's configuration: which table is the CRI plugin's, what its files say together, registering a runtime.

https://github.com/containerd/containerd: docs/man/containerd-config.toml.5.md, docs/PLUGINS.md, docs/cri/config.md, and
experiments with `containerd config dump` of 1.4.13, 1.6.20, 1.7.24, 2.1.9 and 2.3.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
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
Release = tuple[int, int]
"""The first two numbers of containerd's version."""
KEY_BY_KEY: Release = (2, 0)
"""From here on tables of several files are merged key by key."""
EACH_BY_ITSELF: Release = (2, 3)
"""From here on each file is migrated to the newest version before they are merged."""
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


def plugin_of(files: Sequence[bytes], index: int, release: Release) -> str:
    """Returns the name under `plugins` of the table in which one of the files names a runtime, so that it counts.

    It is where runtimes are already; else a file of version 2 has the old name, any other on 2.x the new one: the CRI
    table of version 1 is not taken over up to 2.2. Raises NotAccepted.
    """
    names, by_itself = names_of(files, release)[index], release >= EACH_BY_ITSELF
    documents = [values(raw) for raw in (files[index : index + 1] if by_itself else files)]
    used = (name for name in names if any(value_at(one, runtimes_of(name)) is not REMOVED for one in documents))
    usual = CRI_PLUGINS[1] if by_itself and version_of(files[index]) == 2 else names[0 if by_itself else -1]
    return next(used, usual)


def names_of(files: Sequence[bytes], release: Release) -> list[tuple[str, ...]]:
    """Returns under which names the CRI table of each file counts; of two the first goes first. Raises NotAccepted.

    Up to 2.2 the last version that a file names decides for all of them, as the files are merged first; from 2.3 on
    each is migrated by itself: cmd/containerd/server/config/config.go, LoadConfig. 1.x takes 3 for 2 (seen on 1.6.20).
    """
    versions = [version_of(raw) for raw in files]
    _check_versions(versions, release)
    if release >= EACH_BY_ITSELF:
        both = (RUNTIME_PLUGIN, CRI_PLUGINS[1])
        of_version = {0: (*both, CRI_PLUGINS[0]), 1: (*both, CRI_PLUGINS[0]), 2: both, 3: both}
        return [of_version.get(version, both[:1]) for version in versions]
    if release >= KEY_BY_KEY:
        last = next((version for version in reversed(versions) if version > 1), 3)
        return [(RUNTIME_PLUGIN, CRI_PLUGINS[1]) if last == 2 else (RUNTIME_PLUGIN,)] * len(files)
    last = next(filter(None, reversed(versions)), 1)
    return [(CRI_PLUGINS[0 if last < 2 else 1],)] * len(files)


def _check_versions(versions: Sequence[int], release: Release) -> None:
    """2.0 to 2.2 start with no version 4, and later ones with none that is higher than the main file's."""
    most = _NEWEST_VERSION if release < KEY_BY_KEY else 3
    most = next(filter(None, versions), _NEWEST_VERSION) if release >= EACH_BY_ITSELF else most
    highest = max(versions, default=0)
    if highest > most:
        raise NotAccepted(f"containerd does not start with a file of version {highest} here: {most} is the highest")


def version_of(raw: bytes) -> int:
    """Returns the version of a file's keys, 0 where it names none. Raises NotAccepted."""
    version = values(raw).get("version", 0)
    if type(version) is not int or not 0 <= version <= _NEWEST_VERSION:
        raise NotAccepted(f"version {told(version)} is none that gpuctl knows", line_of(decoded(raw), ("version",)))
    return version


def new_file(release: Release) -> bytes:
    """Returns what a file has to begin with."""
    return b"version = 3\n" if release >= KEY_BY_KEY else b"version = 2\n"


def merged(files: Sequence[bytes], plugin: str, release: Release) -> dict[str, Any]:
    """Returns what the main file and its imports, in containerd's order, say together of disabled plugins and of CRI.

    CRI's table stands under the name `plugin` there. 1.x takes it whole from the last file that has it; 2.x merges
    tables key by key (https://github.com/containerd/containerd/pull/9982). Lists of disabled plugins are always joined.
    Raises NotAccepted.
    """
    documents = [values(raw) for raw in files]
    disabled = [name for document in documents for name in _disabled(document)]
    names = names_of(files, release)
    tables = [_tables(document, one) for document, one in zip(documents, names, strict=True)]
    nothing: dict[str, Any] = {}
    if release >= EACH_BY_ITSELF:
        table = reduce(_overlaid, map(_migrated, tables), nothing)
    elif release >= KEY_BY_KEY:
        in_order = {name: nothing for one in names[:1] for name in one}
        table = _migrated(reduce(_overlaid, tables, in_order))
    else:
        table = next((_migrated(one) for one in reversed(tables) if one), {})
    return {DISABLED[0]: disabled, "plugins": {plugin: table}}


def _tables(document: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """CRI's tables in a file by their names, in the order in which they go first."""
    found = {name: value_at(document, ("plugins", name)) for name in names}
    return {name: table for name, table in found.items() if isinstance(table, dict)}


def _migrated(tables: Mapping[str, Any]) -> dict[str, Any]:
    """The one table that they come to: plugins/cri/runtime/plugin.go, migrateConfig, adds what the new one lacks."""
    result: dict[str, Any] = {}
    for table in reversed(list(tables.values())):
        inner = {**_inner(result), **_inner(table)}
        result = {**result, **table, **({"containerd": inner} if inner else {})}
    return result


def _inner(table: Mapping[str, Any]) -> Mapping[str, Any]:
    found = table.get("containerd", {})
    return found if isinstance(found, dict) else {}


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


def switching_cdi_on(document: Mapping[str, Any], plugin: str, release: Release) -> Values:
    """Returns what has CRI read CDI specifications: it does by itself from 2.0 on, and never where no folder is named.

    https://github.com/containerd/containerd/pull/9621.
    """
    folders: Keys = ("plugins", plugin, "cdi_spec_dirs")
    is_on = value_at(document, cdi_of(plugin)) in ((True, REMOVED) if release >= KEY_BY_KEY else (True,))
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

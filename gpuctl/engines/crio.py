"""A CRI-O configuration file as a document: a runtime is registered, and all else stays as it is written.

crio.conf(5): https://github.com/cri-o/cri-o/blob/main/docs/crio.conf.5.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpuctl.engines.merge import REMOVED, Keys, Value
from gpuctl.engines.toml.spelling import told
from gpuctl.engines.toml.text import NotAccepted, decoded, line_of, set_values, table_at, values
from gpuctl.facts.crio import CrioConfig, parse_config

HEADER = b"# Written by gpuctl install-runtime.\n"
RUNTIME: Keys = ("crio", "runtime")
_OWN = ("runtime_path", "runtime_type", "runtime_config_path", "platform_runtime_paths", "inherit_default_runtime")
"""What says which program a runtime is: all else of the one that is called holds for the one that calls it too.

CRI-O's packages bring a conmon that is not on PATH: with a runtime that has no monitor_path, CRI-O does not start then
(https://github.com/NVIDIA/nvidia-container-toolkit/issues/681).
"""
_OTHER_KINDS = ("vm", "pod")
"""Types whose tables hold what a runtime of type oci cannot use: virtual machines, and conmon-rs."""
_NVIDIA = "nvidia-container-runtime"
_UNSET: tuple[Any, ...] = (REMOVED, "", [], {})


class Differs(NotAccepted):
    """The runtime is registered already, as another program."""

    replaceable = True


def register(raw: bytes | None, name: str, entry: Mapping[str, Any], default: bool, force: bool) -> bytes:
    """Returns the file with the runtime. Where it has that program already, only what it lacks is added.

    With `force` each value becomes the wished one. Raises Differs without it, where the program is another, and
    NotAccepted for what is no file of CRI-O's.
    """
    raw = HEADER if raw is None else raw
    text, path = decoded(raw), (*RUNTIME, "runtimes", name)
    there = table_at(text, values(raw), path)
    if there and not is_program(there, entry["runtime_path"]):
        if not force:
            line = line_of(text, (*path, "runtime_path")) or line_of(text, path)
            raise Differs(f"the runtime {name} is registered as {shown_program(there)}", line)
        there = {}
    changes: list[Value] = [((*RUNTIME, "default_runtime"), name)] if default else []
    return set_values(raw, [*changes, (path, completed(there, entry, force))])


def completed(there: Mapping[str, Any], entry: Mapping[str, Any], force: bool) -> dict[str, Any]:
    """Returns the table with what it lacks of the wished entry; with `force`, with all of it."""
    return {**there, **{key: value for key, value in entry.items() if force or there.get(key, REMOVED) in _UNSET}}


def is_program(table: Mapping[str, Any], program: str) -> bool:
    """Returns whether a runtime's table has CRI-O call that program: two keys put another one in its place."""
    moved = table.get("inherit_default_runtime") or table.get("platform_runtime_paths")
    return not moved and table.get("runtime_path") == program


def shown_program(table: Mapping[str, Any]) -> str:
    """Returns what CRI-O calls for a runtime's table, as it may be shown."""
    if table.get("inherit_default_runtime"):
        return "the default runtime's program (inherit_default_runtime)"
    return told(table.get("platform_runtime_paths") or table.get("runtime_path", REMOVED))


def inherited(runtimes: Mapping[str, Mapping[str, Any]], default: str, name: str) -> dict[str, Any]:
    """Returns what the new runtime `name` has of the one that containers really use: the default, else runc or crun.

    NVIDIA's own are passed over, and those of another kind, such as kata's virtual machines.
    """
    for candidate in (default, "runc", "crun"):
        entry = runtimes.get(candidate)
        if entry is None or candidate == name or candidate.startswith("nvidia"):
            continue
        if entry.get("runtime_type") not in _OTHER_KINDS and _NVIDIA not in str(entry.get("runtime_path")):
            return {key: value for key, value in entry.items() if key not in _OWN and value not in _UNSET}
    return {}


def settings(raw: bytes | None, path: str = "") -> CrioConfig:
    """Returns what the file at `path` says of runtimes; nothing for no file, or for one that is not understood."""
    try:
        return parse_config(path, (raw or b"").decode())
    except (ValueError, RecursionError):
        return parse_config(path, "")

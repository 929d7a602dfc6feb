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
INHERITED = ("monitor_path", "monitor_cgroup", "monitor_exec_cgroup", "monitor_env", "allowed_annotations")
"""What a runtime needs of the one that it calls. CRI-O's packages bring a conmon that is not on PATH: with a runtime
that has no monitor_path, CRI-O does not start then (https://github.com/NVIDIA/nvidia-container-toolkit/issues/681).
runtime_root and whatever is true of one program only are not among them."""


class Differs(NotAccepted):
    """The runtime is registered already, as another program."""

    replaceable = True


def register(raw: bytes | None, name: str, entry: Mapping[str, Any], default: bool, force: bool) -> bytes:
    """Returns the file with the runtime. Where it has that program already, only what it lacks is added.

    Raises Differs without `force`, and NotAccepted for what is no file of CRI-O's.
    """
    raw = HEADER if raw is None else raw
    text, path = decoded(raw), (*RUNTIME, "runtimes", name)
    there = table_at(text, values(raw), path)
    if there and there.get("runtime_path") != entry["runtime_path"]:
        if not force:
            line = line_of(text, (*path, "runtime_path")) or line_of(text, path)
            raise Differs(f"the runtime {name} is registered as {told(there.get('runtime_path', REMOVED))}", line)
        there = {}
    changes: list[Value] = [((*RUNTIME, "default_runtime"), name)] if default else []
    return set_values(raw, [*changes, (path, {**entry, **there})])


def settings(raw: bytes | None) -> CrioConfig:
    """Returns what a file says of runtimes; nothing for no file, or for one that is not understood."""
    try:
        return parse_config("", (raw or b"").decode())
    except (ValueError, RecursionError):
        return parse_config("", "")

"""A CRI-O configuration file as a document: a runtime is registered, and all else stays as it is written.

crio.conf(5): https://github.com/cri-o/cri-o/blob/main/docs/crio.conf.5.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from gpuctl.facts.crio import CrioConfig, parse_config

HEADER = "# Written by gpuctl install-runtime.\n\n"
PATHS = ("crio", "runtime", "runtimes")
INHERITED = ("monitor_path", "monitor_cgroup", "monitor_exec_cgroup", "monitor_env", "allowed_annotations")
"""What a runtime needs of the one that it calls. CRI-O's packages bring a conmon that is not on PATH: with a runtime
that has no monitor_path, CRI-O does not start then (https://github.com/NVIDIA/nvidia-container-toolkit/issues/681).
runtime_root and whatever is true of one program only are not among them."""


class NotAccepted(ValueError):
    """A file that gpuctl does not edit; the message says why, with the place."""


class Differs(NotAccepted):
    """The runtime is registered already, as another program."""


def register(raw: bytes | None, name: str, entry: Mapping[str, Any], default: bool, force: bool) -> bytes:
    """Returns the file with the runtime. Where it has that program already, only what it lacks is added.

    Raises Differs without `force`, and NotAccepted for what is no file of CRI-O's.
    """
    document = _parsed(raw if raw is not None else HEADER.encode())
    runtime = _table(document, PATHS[:2])
    if default:
        runtime["default_runtime"] = name
    runtimes = _table(document, PATHS)
    there = runtimes.get(name, {})
    if there and there.get("runtime_path") != entry["runtime_path"]:
        if not force:
            raise Differs(f"the runtime {name} is registered as {there.get('runtime_path')!r}")
        there = {}
    if not there:
        runtimes[name] = tomlkit.table()
    for key in entry:
        if key not in there:
            runtimes[name][key] = entry[key]
    return tomlkit.dumps(document).encode()


def _parsed(raw: bytes) -> tomlkit.TOMLDocument:
    try:
        parse_config("", raw.decode())  # what tomlkit does not look at: whether tables are tables
        return tomlkit.parse(raw.decode())
    except (ValueError, RecursionError, TOMLKitError) as error:
        raise NotAccepted(f"not understood: {error}") from None


def _table(document: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        if key not in document:
            document[key] = tomlkit.table(is_super_table=key == PATHS[2] or None)
        document = document[key]
    return document


def settings(raw: bytes | None) -> CrioConfig:
    """Returns what a file says of runtimes; nothing for no file, or for one that is not understood."""
    try:
        return parse_config("", (raw or b"").decode())
    except (ValueError, RecursionError):
        return parse_config("", "")

"""A CDI specification as a document: JSON or YAML, from files that anybody may have written.

https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md says what it holds. Of YAML only what a
generator writes is understood: an alias could unfold without end, and a tag could ask for more than text.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from gpuctl import documents

GPU_KIND = "nvidia.com/gpu"
SIZE_LIMIT = 512 << 10
"""Bytes. A host with 16 GPUs cut into 7 parts each has a quarter of it."""
DEPTH_LIMIT = 32
NODES_LIMIT = 2000
TOKENS_LIMIT = 60_000
"""Of YAML, which takes a second for so many. The host above has half of it."""
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*/[A-Za-z][A-Za-z0-9_.-]*")
_DEVICE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.:-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"v?\d{1,3}\.\d{1,3}\.\d{1,3}")
_NOTHING = (None, "", "~", "null")
"""What a key without a value reads as."""
_ANY_ORDER = ("devices", "deviceNodes", "mounts", "env", "options")
"""Lists whose order means nothing, unlike that of hooks and their arguments."""

Node = Tuple[str, Optional[int], Optional[int]]


class TooMuch(ValueError):
    """Engines may take this specification; gpuctl does not follow it."""


@dataclass(frozen=True)
class Document:
    """What a specification says. `nodes` are the device nodes' paths on the host, major and minor numbers."""

    kind: str = ""
    version: str = ""
    devices: Tuple[str, ...] = ()
    nodes: Tuple[Node, ...] = ()
    mounts: Tuple[str, ...] = ()
    """Paths on the host that are mounted."""
    error: Optional[str] = None
    """Why it is no specification."""


def parse_document(path: str, text: str) -> Document:
    """Returns what a specification says. Raises TooMuch for one that gpuctl does not follow.

    cdiVersion: 0.5.0
    kind: nvidia.com/gpu
    devices:
    - name: "0"
      containerEdits:
        deviceNodes:
        - path: /dev/nvidia0
    containerEdits:
      mounts:
      - hostPath: /usr/lib/x86_64-linux-gnu/libcuda.so.535.161.08
        containerPath: /usr/lib/x86_64-linux-gnu/libcuda.so.535.161.08
    """
    try:
        return _document(load(path, text))
    except TooMuch:
        raise
    except ValueError as error:
        return Document(error=str(error))


def same(path: str, one: str, other: str) -> bool:
    """Returns whether two texts are one specification, however they are laid out. Raises ValueError."""
    return bool(_sorted(load(path, one)) == _sorted(load(path, other)))


def load(path: str, text: str) -> Any:
    """Returns the document that a text is: dicts, lists and text, numbers too where it is JSON. Raises ValueError."""
    if len(text) > SIZE_LIMIT:
        raise TooMuch("it is larger than %d KiB" % (SIZE_LIMIT >> 10))
    try:
        return documents.load_json(text) if path.endswith(".json") else _load_yaml(text)
    except documents.TooMuch as error:
        raise TooMuch(str(error)) from None


def _load_yaml(text: str) -> Any:
    try:
        from ruamel.yaml import YAML
    except ImportError:
        raise TooMuch("ruamel.yaml is not installed, without which gpuctl reads no YAML") from None
    reader = YAML(typ="base", pure=True)  # base: text, lists and dicts, whatever a tag asks for
    try:
        _check_tokens(reader.scan(text))
        return reader.load(text)
    except TooMuch:
        raise
    except Exception as error:  # what a hostile text makes of the reader is not always a YAMLError
        mark = getattr(error, "problem_mark", None)
        place = " (line %d, column %d)" % (mark.line + 1, mark.column + 1) if mark else ""
        raise ValueError("it is no YAML%s" % place) from None


def _check_tokens(tokens: Any) -> None:
    from ruamel.yaml import tokens as kinds

    opening = (
        kinds.BlockSequenceStartToken,
        kinds.BlockMappingStartToken,
        kinds.FlowSequenceStartToken,
        kinds.FlowMappingStartToken,
    )
    closing = (kinds.BlockEndToken, kinds.FlowSequenceEndToken, kinds.FlowMappingEndToken)
    depth = 0
    for number, token in enumerate(tokens):
        if number > TOKENS_LIMIT:
            raise TooMuch("it has more than %d words and signs" % TOKENS_LIMIT)
        depth += isinstance(token, opening) - isinstance(token, closing)
        if depth > DEPTH_LIMIT:
            raise TooMuch("it is nested more than %d levels deep" % DEPTH_LIMIT)
        if isinstance(token, (kinds.AliasToken, kinds.TagToken)):
            raise TooMuch("it has a YAML alias or tag, which gpuctl does not follow")


def _document(value: Any) -> Document:
    spec = _object(value, "it")
    devices = [_object(device, "a device") for device in _list(spec, "devices")]
    edits = [_member(part, "containerEdits") for part in (*devices, spec)]
    nodes = {node[0]: node for part in edits for node in map(_node, _list(part, "deviceNodes"))}
    if len(nodes) > NODES_LIMIT:
        raise TooMuch("it names more than %d device nodes" % NODES_LIMIT)
    names = tuple(_text(device, "name", _DEVICE) for device in devices)
    if len(set(names)) < len(names):
        raise ValueError("it names one device twice")
    empty = next((name for name, device in zip(names, devices) if not _member(device, "containerEdits")), None)
    if empty is not None:  # pkg/cdi/device.go: "empty device edits"
        raise ValueError("its device %s changes nothing in a container" % empty)
    return Document(
        kind=_text(spec, "kind", _KIND),
        version=_text(spec, "cdiVersion", _VERSION).lstrip("v"),
        devices=names,
        nodes=tuple(nodes.values()),
        mounts=tuple(path for part in edits for path in _host_paths(part)),
    )


def _node(value: Any) -> Node:
    node = _object(value, "a device node")
    path = node.get("hostPath") or node.get("path")
    if not isinstance(path, str) or not path.isprintable():
        raise ValueError("a device node has no path, or one that cannot be printed")
    return path, _number(node, "major"), _number(node, "minor")


def _host_paths(edits: Mapping[str, Any]) -> Iterator[str]:
    for mount in _list(edits, "mounts"):
        path = _object(mount, "a mount").get("hostPath")
        if not isinstance(path, str):
            raise ValueError("a mount has no hostPath")
        yield path


def _object(value: Any, what: str) -> Dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("%s is not an object" % what)
    return value


def _member(value: Mapping[str, Any], key: str) -> Dict[str, Any]:
    return {} if value.get(key) in _NOTHING else _object(value[key], key)


def _list(value: Mapping[str, Any], key: str) -> List[Any]:
    found = value.get(key)
    if found in _NOTHING:
        return []
    if not isinstance(found, list):
        raise ValueError("%s is not a list" % key)
    return found


def _text(value: Mapping[str, Any], key: str, shape: re.Pattern[str]) -> str:
    found = value.get(key)
    if not isinstance(found, str) or len(found) > 253 or not shape.fullmatch(found):
        raise ValueError("its %s is missing or not valid" % key)
    return found


def _number(value: Mapping[str, Any], key: str) -> Optional[int]:
    found = value.get(key)
    if found in _NOTHING:
        return None
    if not re.fullmatch(r"\d{1,9}", str(found)):
        raise ValueError("the %s of a device node is no number" % key)
    return int(found)


def _sorted(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _sorted(member, name) for name, member in value.items() if member not in _NOTHING}
    if isinstance(value, list):
        members = [_sorted(member) for member in value]
        return sorted(members, key=lambda member: json.dumps(member, sort_keys=True)) if key in _ANY_ORDER else members
    return value if value is None else str(value)

"""dockerd's daemon.json as a document: registering a runtime is an edit of its text, not a new text.

Everything that is not the runtime's entry or the default runtime stays as it is, byte for byte.
https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file and experiments with dockerd 20.10.24.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import unified_diff
from typing import Any

from gpuctl.engines.json.layout import Layout
from gpuctl.engines.json.text import JsonKind, Member, Node, NotAccepted, decode, parse, place, string, walk
from gpuctl.engines.merge import REMOVED, Keys, Values
from gpuctl.engines.spans import newline, replaced
from gpuctl.frozen import dataclass
from gpuctl.host.record.redact import public_value

RUNTIMES = "runtimes"
DEFAULT_RUNTIME = "default-runtime"
FEATURES, CDI = "features", "cdi"

_ENTRY_FIELDS = {
    "path": JsonKind.STRING,
    "runtimeargs": JsonKind.ARRAY,
    "runtimetype": JsonKind.STRING,
    "options": JsonKind.OBJECT,
}
"""What dockerd reads of a runtime's entry. Go matches these names whatever their case, and skips all others."""


class Differs(NotAccepted):
    """The runtime is registered in another way; `entry` is the existing entry on one line."""

    replaceable = True

    def __init__(self, name: str, entry: str, line: int, column: int) -> None:
        super().__init__(f"the runtime {name} is registered in another way: {entry}", line, column)
        self.entry = entry


@dataclass(frozen=True)
class Runtime:
    """An OCI runtime as dockerd is told of it: its program's path and the arguments before the command."""

    path: str
    args: tuple[str, ...] = ()


@dataclass(frozen=True)
class DaemonSettings:
    """A file's runtimes, name to program ("" where it names none), and its default runtime ("" for none).

    `cdi` tells whether it switches CDI on.
    """

    runtimes: Mapping[str, str]
    default: str
    cdi: bool = False


def register(
    raw: bytes, name: str, runtime: Runtime, default: bool = False, cdi: bool = False, force: bool = False
) -> bytes:
    """Returns the bytes with `runtimes.NAME` set, `default-runtime` if `default`, and `features.cdi` if `cdi`.

    They are the same bytes if all of that is set already.

    `raw` is b"" for a file that does not exist. Raises NotAccepted for what is no daemon.json that can be edited
    safely, Differs where NAME is registered in another way and not `force`.
    """
    text, encoding = decode(raw)
    entry = {"path": runtime.path, **({"runtimeArgs": list(runtime.args)} if runtime.args else {})}
    edited = _with_runtime(_with_object(text), name, entry, force)
    if default:
        edited = _with_value(edited, (DEFAULT_RUNTIME,), name)
    if cdi:
        edited = _with_value(edited, (FEATURES, CDI), True)
    return encoding.encode(edited)


def values(raw: bytes) -> dict[str, Any]:
    """Returns all that the file says. Raises NotAccepted as `register` does, and for numbers that no program takes."""
    text, _ = decode(raw)
    text = _with_object(text)
    root = _parsed(text)
    try:
        said: dict[str, Any] = json.loads(text)
    except ValueError as error:  # a number of thousands of digits
        raise NotAccepted(str(error), *place(text, root.start)) from None
    return said


def set_values(raw: bytes, wanted: Values) -> bytes:
    """Returns the bytes in which the keys lead to these values. Raises NotAccepted as `register` does."""
    text, encoding = decode(raw)
    text = _with_object(text)
    for keys, value in wanted:
        text = _without(text, keys) if value is REMOVED else _with_value(text, keys, value)
    return encoding.encode(text)


def settings(raw: bytes) -> DaemonSettings:
    """Returns what the file says of runtimes. Raises NotAccepted as `register` does."""
    text, _ = decode(raw)
    text = _with_object(text)
    root = _parsed(text)
    default, runtimes = root.get(DEFAULT_RUNTIME), root.get(RUNTIMES)
    return DaemonSettings(
        {member.key: _fields(text, member.value).get("path", "") for member in (runtimes.members if runtimes else ())},
        string(text, default) if default and default.kind is JsonKind.STRING else "",
        cdi=_has_cdi(text, root.get(FEATURES)),
    )


def _has_cdi(text: str, features: Node | None) -> bool:
    cdi = features.get(CDI) if features else None
    return cdi is not None and text[cdi.start : cdi.end] == "true"


def shown(raw: bytes) -> str:
    """Returns the text as it may be shown, without secrets.

    Raises NotAccepted for what `register` does not accept.
    """
    text, _ = decode(raw)
    if not text.strip():
        return text
    strings = [(keys, node) for keys, node in walk(_parsed(text)) if node.kind is JsonKind.STRING]
    pairs = [(node, string(text, node), public_value(keys, string(text, node))) for keys, node in strings]
    return replaced(text, [(node.start, node.end, json.dumps(new)) for node, old, new in pairs if old != new])


def diff(path: str, before: bytes | None, after: bytes | None) -> str:
    """Returns the unified diff of two contents as they may be shown; None stands for no file."""
    try:
        old, new = (shown(raw or b"").splitlines(keepends=True) for raw in (before, after))
    except NotAccepted as error:
        return f"(not shown: {path}: {error})\n"
    lines = unified_diff(old, new, "/dev/null" if before is None else path, "/dev/null" if after is None else path)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _with_object(text: str) -> str:
    """What dockerd takes as no settings, an empty file (23.0 and later) and null, becomes an empty object."""
    if not text.strip(" \t\r\n"):
        return "{}" + newline(text)
    root = parse(text)
    return replaced(text, [(root.start, root.end, "{}")]) if root.kind is JsonKind.NULL else text


def _parsed(text: str) -> Node:
    root = parse(text)
    _expect(text, root, JsonKind.OBJECT, "daemon.json")
    for member in root.members:
        _check_spelling(text, member)
    _expect(text, root.get(DEFAULT_RUNTIME), JsonKind.STRING, DEFAULT_RUNTIME)
    runtimes = root.get(RUNTIMES)
    _expect(text, runtimes, JsonKind.OBJECT, RUNTIMES)
    for member in runtimes.members if runtimes else ():
        _check_entry(text, member)
    return root


def _expect(text: str, node: Node | None, kind: JsonKind, what: str) -> None:
    if node is None or node.kind is kind or (node.kind is JsonKind.NULL and what != "daemon.json"):
        return
    raise NotAccepted(f"{what} must be {kind.value}, this is {node.kind.value}", *place(text, node.start))


def _check_spelling(text: str, member: Member) -> None:
    known = next((key for key in (RUNTIMES, DEFAULT_RUNTIME) if key == member.key.casefold() != member.key), None)
    if known:
        message = f"dockerd does not know {json.dumps(member.key)}, it is spelt {json.dumps(known)}"
        raise NotAccepted(message, *place(text, member.start))


def _check_entry(text: str, entry: Member) -> None:
    name = f"{RUNTIMES}.{entry.key}"
    _expect(text, entry.value, JsonKind.OBJECT, name)
    seen: set[str] = set()
    for member in entry.value.members:
        field = member.key.casefold()
        if field in seen and field in _ENTRY_FIELDS:
            raise NotAccepted(
                f"dockerd takes {json.dumps(member.key)} for a second {field}", *place(text, member.start)
            )
        seen.add(field)
        if field in _ENTRY_FIELDS:
            _expect(text, member.value, _ENTRY_FIELDS[field], f"{name}.{member.key}")
        for item in member.value.items if field == "runtimeargs" else ():
            _expect(text, item, JsonKind.STRING, f"an argument of {name}")


def _fields(text: str, entry: Node) -> Mapping[str, Any]:
    """What dockerd takes from an entry, by lower-case name; what is null or empty counts as not there."""
    # Numbers stay texts: their size is nobody's business here.
    values = {
        member.key.casefold(): json.loads(text[member.value.start : member.value.end], parse_int=str, parse_float=str)
        for member in entry.members
        if member.key.casefold() in _ENTRY_FIELDS
    }
    return {field: value for field, value in values.items() if value}


def _with_runtime(text: str, name: str, entry: Mapping[str, Any], force: bool) -> str:
    runtimes = _parsed(text).get(RUNTIMES)
    there = runtimes.get(name) if runtimes else None
    fields = _fields(text, there) if there else {}
    if fields == {key.casefold(): value for key, value in entry.items()}:
        return text
    if there and fields and not force:
        raise Differs(name, " ".join(text[there.start : there.end].split()), *place(text, there.start))
    return _with_value(text, (RUNTIMES, name), entry)


def _with_value(text: str, keys: Keys, value: Any) -> str:
    """The text with a value at these keys, and with objects that lead to it; unchanged where it is there."""
    root = node = _parsed(text)
    layout = Layout.of(text, root)
    for depth, key in enumerate(keys):
        rest = keys[depth + 1 :]
        wanted = _nested(rest, value)
        if node.kind is JsonKind.NULL:
            return layout.replace(node, {key: wanted})
        _expect(text, node, JsonKind.OBJECT, ".".join(keys[:depth]))
        below = node.get(key)
        if below is None:
            return layout.insert(node, key, wanted)
        node = below
    same = json.loads(text[node.start : node.end], parse_int=str, parse_float=str) == value
    return text if same else layout.replace(node, value)


def _nested(keys: Keys, value: Any) -> Any:
    return {keys[0]: _nested(keys[1:], value)} if keys else value


def _without(text: str, keys: Keys) -> str:
    root = node = _parsed(text)
    for key in keys[:-1]:
        below = node.get(key)
        if below is None:
            return text
        node = below
    return Layout.of(text, root).remove(node, keys[-1]) if node.get(keys[-1]) else text

"""A snapshot as one file: JSON lines, compressed with gzip. It names no path to write to and holds no link.

The first line is the head, every other one a reading:

    {"schema": "gpuctl.snapshot/1", "gpuctl": "0.2.0", "at": 1764000000.1, "anonymised": false, "taken": […], …}
    {"kind": "read", "source": "/proc/modules", "outcome": "ok", "text": "nvidia 1 0 - Live 0x0\n"}

`outcome` "ok", `text` "", `code` 0 and `detail` "" may be left out, and a file that is not compressed is read as well:
so a host can be written by hand, with `"unrecorded": "absent"` in its head instead of a line for all that is not there.
"""

from __future__ import annotations

import gzip
import json
from typing import Any, Dict, Iterable, List, Mapping, Tuple

from gpuctl.bounds import TooLong, amount, unpacked
from gpuctl.frozen import dataclass
from gpuctl.host.decode import LAST_SECOND
from gpuctl.host.look.reading import Outcome, Reading
from gpuctl.host.record.snapshot import SnapshotHost, key
from gpuctl.host.status import parse_status

SCHEMA = "gpuctl.snapshot/1"
KINDS = ("read", "list", "link", "stat", "which", "run", "get", "call", "peer", "nvml", "env")
SIZE_LIMIT = 5_000_000
"""Bytes of a snapshot's file: what a ticket takes as an attachment."""
OPENED_LIMIT, LINES_LIMIT, LINE_LIMIT = 32 << 20, 200_000, 16 << 20
"""Bytes, lines, and characters of a line, of a snapshot that is not compressed. A normal host's is below one MiB."""
_GZIP = b"\x1f\x8b"
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}
_UNRECORDED = {"unknown": Outcome.ERROR, "absent": Outcome.ABSENT}


class BadSnapshot(ValueError):
    """What was given is no snapshot; the message says why, in words that go after the file's name."""


@dataclass(frozen=True)
class Snapshot:
    """A host's readings by their keys, and what a person should know of them.

    `at` in seconds since the epoch. `redacted` has what was made unreadable, and where; `left_out` what did not fit.
    `unrecorded` is how a look ends that was not recorded.
    """

    readings: Mapping[str, Reading]
    at: float = 0.0
    gpuctl: str = ""
    anonymised: bool = False
    redacted: Tuple[str, ...] = ()
    left_out: Tuple[str, ...] = ()
    unrecorded: Outcome = Outcome.ERROR

    @property
    def host(self) -> SnapshotHost:
        """The host that was recorded."""
        return SnapshotHost(self.readings, self.unrecorded)


def encode(snapshot: Snapshot) -> bytes:
    """Returns the file's content; the same for the same snapshot."""
    return _packed(lines(snapshot).encode("utf-8", "replace"))


def _packed(raw: bytes) -> bytes:
    return gzip.compress(raw, mtime=0)


def fits(snapshot: Snapshot, limit: int) -> bool:
    """Returns whether the file has at most `limit` bytes, and can be opened again."""
    text = lines(snapshot)
    raw = text.encode("utf-8", "replace")
    small = len(raw) <= OPENED_LIMIT and max(map(len, text.split("\n"))) <= LINE_LIMIT
    return small and (len(raw) < limit // 2 or len(_packed(raw)) <= limit)  # packed, nothing is twice as long


def lines(snapshot: Snapshot) -> str:
    """Returns the file's content before it is compressed."""
    head = {
        "schema": SCHEMA,
        "gpuctl": snapshot.gpuctl,
        "at": snapshot.at,
        "anonymised": snapshot.anonymised,
        "unrecorded": next(name for name, outcome in _UNRECORDED.items() if outcome is snapshot.unrecorded),
        "taken": sorted(snapshot.readings),
        "redacted": snapshot.redacted,
        "left_out": snapshot.left_out,
    }
    taken = (_line(name, reading) for name, reading in sorted(snapshot.readings.items()))
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in [head, *taken])


def _line(name: str, reading: Reading) -> Dict[str, Any]:
    line: Dict[str, Any] = {"kind": name.partition(":")[0], "source": reading.source}
    if reading.outcome is not Outcome.OK:
        line["outcome"] = reading.outcome.value
    told = {"text": reading.text, "code": reading.code, "detail": reading.detail}
    return {**line, **{field: value for field, value in told.items() if value}}


def decode(raw: bytes) -> Snapshot:
    """Returns the snapshot in a file's content. Raises BadSnapshot."""
    written = enumerate(_opened(raw).split("\n"), 1)
    found = ((number, _object(number, line)) for number, line in written if line.strip())  # one at a time is in memory
    head = next(found, (1, {}))[1]
    if head.get("schema") != SCHEMA:
        raise BadSnapshot("it does not begin as a snapshot of gpuctl, with %s" % SCHEMA)
    unrecorded = _UNRECORDED.get(_typed(head, "unrecorded", str, 1) or "unknown")
    if unrecorded is None:
        raise BadSnapshot("line 1: `unrecorded` is neither unknown nor absent")
    return Snapshot(
        readings=_readings(found),
        at=_moment(head),
        gpuctl=_typed(head, "gpuctl", str, 1),
        anonymised=bool(_typed(head, "anonymised", bool, 1)),
        redacted=_texts(head, "redacted"),
        left_out=_texts(head, "left_out"),
        unrecorded=unrecorded,
    )


def _opened(raw: bytes) -> str:
    """The lines; a piece at most OPENED_LIMIT long is ever opened."""
    try:
        opened = unpacked(raw, OPENED_LIMIT) if raw.startswith(_GZIP) else raw
    except TooLong as error:
        raise BadSnapshot("it is %s" % error.words) from None
    except OSError as error:
        raise BadSnapshot("it is damaged: %s" % error.strerror) from None
    if len(opened) > OPENED_LIMIT or opened.count(b"\n") > LINES_LIMIT:
        raise BadSnapshot("it holds more than %s, or %d lines" % (amount(OPENED_LIMIT), LINES_LIMIT))
    try:
        return opened.decode("utf-8")
    except UnicodeDecodeError:
        raise BadSnapshot("it is not UTF-8 text") from None


def _object(number: int, line: str) -> Dict[str, Any]:
    if len(line) > LINE_LIMIT:
        raise BadSnapshot("line %d is too long" % number)
    try:
        value, end = _DECODER.raw_decode(line)
        if end != len(line):  # space around it, or more than one value
            value = _DECODER.decode(line)
    except _Twice as twice:
        raise BadSnapshot("line %d: it says %.40r twice" % (number, twice.args[0])) from None
    except (ValueError, RecursionError):
        raise BadSnapshot("line %d is not JSON" % number) from None
    if not isinstance(value, dict):
        raise BadSnapshot("line %d is no JSON object" % number)
    return value


class _Twice(Exception):
    """A name that an object has twice: readers disagree which of its values counts."""


def _each_once(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(next(name for name in names if names.count(name) > 1))
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_each_once)
"""One for all lines: json.loads makes one for each where it is given a hook."""


def _readings(found: Iterable[Tuple[int, Mapping[str, Any]]]) -> Dict[str, Reading]:
    readings: Dict[str, Reading] = {}
    for number, line in found:
        kind = _text_in(line, "kind", number)
        if kind not in KINDS:
            raise BadSnapshot("line %d: its kind is none of %s" % (number, ", ".join(KINDS)))
        reading = _reading(line, kind, number)
        name = key(kind, reading.source)
        if name in readings:
            raise BadSnapshot("line %d: it is there twice" % number)
        readings[name] = reading
    return readings


def _reading(line: Mapping[str, Any], kind: str, number: int) -> Reading:
    source, text = _text_in(line, "source", number), _text_in(line, "text", number)
    code = _typed(line, "code", int, number) if "code" in line else 0
    outcome = _OUTCOMES.get(_text_in(line, "outcome", number) or "ok")
    if outcome is None:
        raise BadSnapshot("line %d: its outcome is none that gpuctl knows" % number)
    if kind == "stat" and outcome is Outcome.OK:
        _check_stat(text, number)
    if not source:
        raise BadSnapshot("line %d: it does not say what was looked at" % number)
    return Reading(source, outcome, text, code, _text_in(line, "detail", number))


def _check_stat(text: str, number: int) -> None:
    """What stat answers was put into words by gpuctl itself: other words are no snapshot of its."""
    try:
        parse_status(text)
    except ValueError as error:
        raise BadSnapshot("line %d: it is no answer of stat (%s)" % (number, error)) from None


def _typed(line: Mapping[str, Any], name: str, kind: Any, number: int) -> Any:
    """The value, or the kind's empty one. In JSON a number is no truth value, as it is in Python."""
    empty = "" if kind is str else 0
    if name not in line:
        return empty
    value = line[name]
    kind = (int, float) if kind is float else kind
    if (not isinstance(value, kind) and value is not empty) or (isinstance(value, bool) and kind is not bool):
        raise BadSnapshot("line %d: `%s` is of the wrong type" % (number, name))
    if isinstance(value, (int, float)) and not -(2.0**53) < value < 2.0**53:
        raise BadSnapshot("line %d: `%s` is out of range" % (number, name))
    return value


def _moment(head: Mapping[str, Any]) -> float:
    at = float(_typed(head, "at", float, 1))
    if not 0 <= at < LAST_SECOND:
        raise BadSnapshot("line 1: `at` is out of range")
    return at


def _text_in(line: Mapping[str, Any], name: str, number: int) -> str:
    """A text, which a snapshot has thousands of. Half a character, which JSON can escape, is none that can be written.

    What is of another type is refused as everywhere.
    """
    value = line.get(name, "")
    text: str = value if type(value) is str else _typed(line, name, str, number)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _texts(head: Mapping[str, Any], name: str) -> Tuple[str, ...]:
    value = head.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BadSnapshot("line 1: `%s` is no list of texts" % name)
    return tuple(one.encode("utf-8", "replace").decode() for one in value)

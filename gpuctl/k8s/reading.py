"""Lists of objects as kubectl prints them and as the API pages them, read one object at a time.

A cluster's pods are hundreds of megabytes, of which a hundredth is kept: neither the text nor what it says is ever in
memory as a whole.
"""

from __future__ import annotations

import json
import re
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gpuctl.bounds import amount
from gpuctl.frozen import dataclass
from gpuctl.k8s.cluster import KINDS, UNASKED, Cluster, cluster_of, plural
from gpuctl.k8s.keeping import Keeper, Objects

OBJECT_LIMIT = 16 << 20
"""Letters of one object; the API's own bound is one and a half megabytes before it is printed in lines."""
AHEAD = 1 << 16
"""Letters that are there before an object is parsed: one that turns out to be cut off has to be parsed twice."""
DIGITS = 20
SCHEMA, HOST_SCHEMA = "gpuctl.cluster/1", "gpuctl.snapshot/"
"""With what the head of a cluster's snapshot begins, and that of a host's."""
FORBIDDEN = 403
_BLANKS = re.compile(r"[ \t\r\n\ufeff]*")


class NotACluster(ValueError):
    """What was given are no lists of objects; the message says why, in words that go after the file's name."""


@dataclass(frozen=True)
class Page:
    """What a list says of itself: which kind of objects it holds, and where the next page begins."""

    kind: str
    more: str = ""


class Text:
    """A text that comes in pieces."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._text, self._at = "", 0
        self.line = 1

    def next(self) -> str:
        """Returns the next letter that is no blank, "" at the end."""
        while True:
            found = _BLANKS.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, wanted: str) -> None:
        """Goes past a letter. Raises NotACluster where it is another."""
        if self.next() != wanted:
            raise NotACluster(self.wrong())
        self._at += 1

    def value(self) -> Any:
        """Returns the value that follows. Raises NotACluster."""
        self.next()
        if len(self._text) - self._at < AHEAD:
            self._more()
        while True:
            try:
                value, end = _JSON.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._more():
                    raise NotACluster(self.wrong(_is_cut(error))) from None
            except RecursionError:
                raise NotACluster("an object in it is nested too deeply") from None
            else:
                if end < len(self._text) or not self._more():
                    self._at = end
                    return value

    def wrong(self, is_cut: bool = False) -> str:
        """Returns that what follows is not what has to follow, and where."""
        line = self.line + self._text.count("\n", 0, self._at)
        return f"line {line} is no JSON of a cluster{': it is cut off' if is_cut or not self.next() else ''}"

    def _more(self) -> bool:
        if len(self._text) - self._at > OBJECT_LIMIT:
            raise NotACluster(f"it holds an object of more than {amount(OBJECT_LIMIT)}")
        piece = next(self._pieces, None)
        if piece is None:
            return False
        if "\n" in self._text:  # which is found faster than counted
            self.line += self._text.count("\n", 0, self._at)
        self._text = self._text[self._at :] + self._decoder.decode(piece)
        self._at = 0
        return True


def _is_cut(error: json.JSONDecodeError) -> bool:
    """Whether a text ends where it should go on."""
    rest = error.doc[error.pos :].strip()
    begun = any(word.startswith(rest) for word in ("true", "false", "null", "-"))
    escape = error.msg.startswith("Invalid \\u") and len(rest) < len("u12345")
    return error.msg.startswith("Unterminated") or begun or escape


def _whole(digits: str) -> int:
    if len(digits) > DIGITS:
        raise NotACluster("it holds a number that is out of range")
    return int(digits)


def _refuse(constant: str) -> None:
    raise NotACluster(f"{constant} is not JSON")


_JSON = json.JSONDecoder(parse_int=_whole, parse_constant=_refuse)


class Reader:
    """Has a keeper take up the objects of several texts, each once, and tells the lists that could not be had."""

    def __init__(self, keeper: Keeper) -> None:
        self.missing: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self.seen: set[str] = set()
        self.last = Page("")
        self.version = ""
        self._keeper = keeper
        self._names: set[tuple[str, Any, Any]] = set()

    def read(self, pieces: Iterable[bytes]) -> None:
        """Takes up all lists and objects of a text; `last` is what the last of them says. Raises NotACluster."""
        text = Text(pieces)
        first = text.next()
        if first not in ("{", "["):
            raise NotACluster(_unlike(first))
        while text.next():
            self.last = self._document(text)

    def _document(self, text: Text) -> Page:
        head: dict[str, Any] = {}
        if text.next() == "[":
            self._items(text, head)
            return Page("")
        had = False
        for name in _members(text):
            if name == "items" and text.next() == "[":
                self._items(text, head)
                had = True
            else:
                head[name] = text.value()
        kind = _kind_of(head)
        if "schema" in head:
            self._begins(head)
        elif not had and "items" not in head:
            self._keep(head, kind)
        elif head.get("items") is not None:  # null is a list of none
            raise NotACluster("its items are no list")
        elif kind.endswith("List") and kind[:-4] in KINDS:
            self.seen.add(kind[:-4])
        meta = head.get("metadata")
        more = meta.get("continue") if isinstance(meta, dict) else None
        return Page(kind, more if isinstance(more, str) else "")

    def _begins(self, head: Mapping[str, Any]) -> None:
        """Takes up the head of a snapshot: {"schema": "gpuctl.cluster/1", "version": "1.36"}."""
        schema, version = head["schema"], head.get("version")
        if isinstance(schema, str) and schema.startswith(HOST_SCHEMA):
            raise NotACluster("it is a host's snapshot, for `gpuctl doctor --from`")
        if schema != SCHEMA:
            raise NotACluster(f"its schema is not {SCHEMA}, which this gpuctl reads")
        self.version = _printable(version) if isinstance(version, str) else ""

    def _items(self, text: Text, head: Mapping[str, Any]) -> None:
        of_list = _kind_of(head).removesuffix("List")
        text.take("[")
        while text.next() != "]":
            found = text.value()
            if not isinstance(found, dict):
                raise NotACluster("its list holds what is no object")
            self._keep(found, _kind_of(found) or of_list)
            if text.next() != "]":
                text.take(",")
        text.take("]")

    def _keep(self, found: Mapping[str, Any], kind: str) -> None:
        if not kind:
            raise NotACluster("it holds an object that does not say its kind")
        if kind == "Status":
            self._refused(found)
            return
        try:
            if not self._is_known(kind, found) and self._keeper.take(kind, found):
                self.seen.add(kind)
        except ValueError as error:
            raise NotACluster(_printable(str(error))) from None

    def _is_known(self, kind: str, found: Mapping[str, Any]) -> bool:
        """Whether the object came before: files may overlap, and what is counted twice would be missing elsewhere."""
        meta = found.get("metadata")
        namespace, name = (meta.get("namespace"), meta.get("name")) if isinstance(meta, dict) else (None, None)
        if not (isinstance(name, str) and isinstance(namespace, (str, type(None)))):
            return False
        before = len(self._names)
        self._names.add((kind, namespace, name))
        return len(self._names) == before

    def _refused(self, status: Mapping[str, Any]) -> None:
        """Takes up that the server refused a list: {"kind": "Status", "code": 403, "details": {"kind": "nodes"}}."""
        details, message = status.get("details"), status.get("message")
        of = details.get("kind") if isinstance(details, dict) else None
        said = _printable(message) if isinstance(message, str) else "the API refused it"
        kind = next((kind for kind in KINDS if plural(kind) == of), None)
        if kind is None:
            raise NotACluster(f"the API's answer is no list: {said}")
        lists = self.missing if status.get("code") in (FORBIDDEN, None) else self.failed
        lists[kind] = said

    def cluster(self, objects: Objects) -> Cluster:
        """Returns the cluster of what was kept."""
        missing = {kind: UNASKED for kind in KINDS if kind not in self.seen and kind not in self.failed}
        lacking = {**missing, **self.missing}
        return cluster_of(objects.things, lacking, self.failed, objects.folded, self.version)


def read_cluster(texts: Iterable[Iterable[bytes]], fold: bool = False) -> Cluster:
    """Returns the cluster of several texts. `fold`: of plain pods only what they take of their nodes is kept.

    Raises NotACluster.
    """
    objects = Objects(fold)
    reader = Reader(objects)
    for pieces in texts:
        reader.read(pieces)
    return reader.cluster(objects)


def _members(text: Text) -> Iterator[str]:
    text.take("{")
    while text.next() != "}":
        name = text.value()
        if not isinstance(name, str):
            raise NotACluster(text.wrong())
        text.take(":")
        yield name
        if text.next() != "}":
            text.take(",")
    text.take("}")


def _kind_of(found: Mapping[str, Any]) -> str:
    kind = found.get("kind")
    return kind if isinstance(kind, str) else ""


def sort_of_text(raw: bytes) -> str:
    """Returns what is to be said of a text that holds no objects."""
    return _unlike(raw[:1024].decode("utf-8", "replace").lstrip()[:1])


def _unlike(first: str) -> str:
    if not first:
        return "it is empty"
    if first == "<":
        return "it is HTML, which a proxy or a login page answers, and no cluster"
    return "it is no JSON: kubectl prints that with `-o json`"


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()[:300]

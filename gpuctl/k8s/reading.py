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
from gpuctl.k8s.cluster import KINDS, RULES, Cluster, cluster_of
from gpuctl.k8s.decode import thing
from gpuctl.k8s.objects import Thing

OBJECT_LIMIT = 16 << 20
"""Letters of one object; the API's own bound is one and a half megabytes before it is printed in lines."""
AHEAD = 1 << 16
"""Letters that are there before an object is parsed: one that turns out to be cut off has to be parsed twice."""
OBJECTS_LIMIT = 250_000
"""Objects that are kept, each of which takes a kilobyte."""
DIGITS = 20
UNASKED = "it is not in what was read"
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
            except json.JSONDecodeError:
                if not self._more():
                    raise NotACluster(self.wrong()) from None
            except RecursionError:
                raise NotACluster("an object in it is nested too deeply") from None
            else:
                if end < len(self._text) or not self._more():
                    self._at = end
                    return value

    def wrong(self) -> str:
        """Returns that what follows is not what has to follow, and where."""
        line = self.line + self._text.count("\n", 0, self._at)
        return f"line {line} is no JSON of a cluster{': it is cut off' if not self.next() else ''}"

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


def _whole(digits: str) -> int:
    if len(digits) > DIGITS:
        raise NotACluster("it holds a number that is out of range")
    return int(digits)


def _refuse(constant: str) -> None:
    raise NotACluster(f"{constant} is not JSON")


_JSON = json.JSONDecoder(parse_int=_whole, parse_constant=_refuse)


class Reader:
    """Collects what is kept of the objects of several texts."""

    def __init__(self) -> None:
        self.things: list[Thing] = []
        self.missing: dict[str, str] = {}
        self.seen: set[str] = set()
        self.last = Page("")

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
        if not had:
            self._keep(head, kind)
        elif kind.endswith("List") and kind[:-4] in KINDS:
            self.seen.add(kind[:-4])
        meta = head.get("metadata")
        more = meta.get("continue") if isinstance(meta, dict) else None
        return Page(kind, more if isinstance(more, str) else "")

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
            kept = thing(kind, found)
        except ValueError as error:
            raise NotACluster(_printable(str(error))) from None
        if kept is not None:
            if len(self.things) == OBJECTS_LIMIT:
                raise NotACluster(f"it holds more than {OBJECTS_LIMIT:,} objects")
            self.seen.add(kind)
            self.things.append(kept)

    def _refused(self, status: Mapping[str, Any]) -> None:
        """Takes up that the server refused a list: {"kind": "Status", "code": 403, "details": {"kind": "nodes"}}."""
        details, message = status.get("details"), status.get("message")
        plural = details.get("kind") if isinstance(details, dict) else None
        said = _printable(message) if isinstance(message, str) else "the API refused it"
        kind = next((kind for kind, rule in RULES.items() if rule.split(" ")[-1].split(".")[0] == plural), None)
        if kind is None:
            raise NotACluster(f"the API's answer is no list: {said[:300]}")
        self.missing[kind] = said

    def cluster(self, asked_each: bool = False) -> Cluster:
        """Returns the cluster. `asked_each`: each kind was asked for by itself, so that none is missing unsaid."""
        missing = {kind: UNASKED for kind in KINDS if kind not in self.seen}
        return cluster_of(self.things, self.missing if asked_each else {**missing, **self.missing})


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


def _unlike(first: str) -> str:
    if not first:
        return "it is empty"
    if first == "<":
        return "it is HTML, which a proxy or a login page answers, and no cluster"
    return "it is no JSON: kubectl prints that with `-o json`"


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()[:300]

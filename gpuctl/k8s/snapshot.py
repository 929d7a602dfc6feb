"""A cluster as one file: the API's lists with the fields that are kept, one a line, packed with gzip.

    {"schema": "gpuctl.cluster/1", "gpuctl": "0.4.0", "at": 1764000000.1, "version": "1.36"}
    {"kind": "NodeList", "items": [{"metadata": {"name": "gpu-03", "labels": {…}}, "spec": {…}, "status": {…}}]}
    {"kind": "Status", "code": 403, "message": "events is forbidden: …", "details": {"kind": "events"}}
    {"kind": "PodLogList", "items": [{"metadata": {"name": "nvidia-device-plugin-x7k2p", …}, "lines": […]}]}

So it reads as what kubectl prints of a cluster does, and an old one is judged again by newer knowledge.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from gpuctl.frozen import dataclass
from gpuctl.host.api.answer import Ask
from gpuctl.k8s.cluster import KINDS, UNASKED, plural
from gpuctl.k8s.decode.things import POD_LOG, thing
from gpuctl.k8s.fields import FIELDS, kept
from gpuctl.k8s.live import LISTS, Api, NoList
from gpuctl.k8s.logs import is_told, logs_of
from gpuctl.k8s.objects import ClusterNode, Pod, PodLog
from gpuctl.k8s.reading import FORBIDDEN, SCHEMA, Reader

_GZIP = zlib.MAX_WBITS | 16


@dataclass(frozen=True)
class ClusterSnapshot:
    """A recorded cluster: the file's content, how many objects of each kind it holds, and why lists are not there.

    `at` in seconds since the epoch.
    """

    raw: bytes
    at: float
    version: str
    objects: Mapping[str, int]
    missing: Mapping[str, str]


class Lines:
    """A list of a kind with the fields that count, packed as they come: a cluster's pods are gigabytes before that."""

    def __init__(self, kind: str) -> None:
        self.count = 0
        self.nodes: list[ClusterNode] = []
        self.told: list[Pod] = []
        self._packer = zlib.compressobj(wbits=_GZIP)
        self._raw = bytearray()
        self._write(f'{{"kind": "{kind}List", "items": [')

    def take(self, kind: str, found: Mapping[str, Any]) -> bool:
        one = thing(kind, found)  # what cannot be read again is not recorded
        if isinstance(one, ClusterNode):
            self.nodes.append(one)
        elif isinstance(one, Pod) and is_told(one):
            self.told.append(one)
        self._write((", " if self.count else "") + _text(kept(found, FIELDS[kind])))
        self.count += 1
        return True

    def _write(self, text: str) -> None:
        self._raw += self._packer.compress(text.encode("utf-8", "replace"))

    def packed(self) -> bytes:
        """Returns all of it. Nothing can be added any more."""
        self._write("]}\n")
        return bytes(self._raw + self._packer.flush())


class Kinds:
    """Keeps objects that come in any order, each in its kind's list, and logs."""

    def __init__(self) -> None:
        self.lists: dict[str, Lines] = {}
        self.logs: list[PodLog] = []

    def take(self, kind: str, found: Mapping[str, Any]) -> bool:
        if kind in KINDS:
            return self.of(kind).take(kind, found)
        one = thing(kind, found)
        if isinstance(one, PodLog):
            self.logs.append(one)
        return one is not None

    def of(self, kind: str) -> Lines:
        """Returns a kind's list, a new one where there is none."""
        if kind not in self.lists:
            self.lists[kind] = Lines(kind)
        return self.lists[kind]


def record(ask: Ask, gpuctl: str, at: float) -> ClusterSnapshot:
    """Returns a cluster's snapshot. Raises ApiProblem, NotACluster."""
    whole = Api(ask)
    outcomes = {kind: whole.list(kind, one, partial(Lines, kind)) for kind, one in LISTS.items()}
    lists = {kind: one for kind, one in outcomes.items() if isinstance(one, Lines)}
    refused = {kind: one for kind, one in outcomes.items() if isinstance(one, NoList)}
    pods = lists["Pod"].told if "Pod" in lists else []
    nodes = lists["Node"].nodes if "Node" in lists else []
    head = {"schema": SCHEMA, "gpuctl": gpuctl, "at": at, "version": whole.version}
    return _snapshot(head, lists, refused, logs_of(ask, pods, nodes))


def record_texts(texts: Iterable[Iterable[bytes]], gpuctl: str, at: float) -> ClusterSnapshot:
    """Returns the snapshot of a cluster whose lists were printed. Raises NotACluster."""
    objects = Kinds()
    reader = Reader(objects)
    for pieces in texts:
        reader.read(pieces)
    for kind in reader.seen & set(KINDS):  # those that are empty
        objects.of(kind)
    refused = {kind: NoList(reason, True) for kind, reason in reader.missing.items()}
    refused.update({kind: NoList(reason, False) for kind, reason in reader.failed.items()})
    head = {"schema": SCHEMA, "gpuctl": gpuctl, "at": at, "version": reader.version}
    return _snapshot(head, objects.lists, refused, objects.logs)


def _snapshot(
    head: Mapping[str, Any], lists: Mapping[str, Lines], refused: Mapping[str, NoList], logs: Iterable[PodLog]
) -> ClusterSnapshot:
    """Of a kind that is in neither there is no line: nobody asked for its list."""
    parts = [_line(head)]
    missing: dict[str, str] = {}
    for kind in KINDS:
        if kind in lists:
            parts.append(lists[kind].packed())
            continue
        missing[kind] = refused[kind].reason if kind in refused else UNASKED
        if kind in refused:
            parts.append(_line(_status(kind, refused[kind])))
    parts.append(_line({"kind": f"{POD_LOG}List", "items": list(map(_log, logs))}))
    counts = {kind: lists[kind].count for kind in KINDS if kind in lists}
    return ClusterSnapshot(b"".join(parts), head["at"], head["version"], counts, missing)


def _status(kind: str, outcome: NoList) -> Mapping[str, Any]:
    code = FORBIDDEN if outcome.forbidden else 500
    return {"kind": "Status", "code": code, "message": outcome.reason, "details": {"kind": plural(kind)}}


def _log(one: PodLog) -> Mapping[str, Any]:
    return {
        "metadata": {"namespace": one.namespace, "name": one.name},
        "lines": one.lines,
        "lacking": one.lacking,
    }


def _line(found: Mapping[str, Any]) -> bytes:
    return gzip.compress((_text(found) + "\n").encode("utf-8", "replace"), mtime=0)


def _text(found: Mapping[str, Any]) -> str:
    return json.dumps(found, ensure_ascii=False)

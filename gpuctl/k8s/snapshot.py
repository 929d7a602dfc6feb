"""A cluster as one file: the API's lists with the fields that are kept, one a line, packed with gzip.

    {"schema": "gpuctl.cluster/1", "gpuctl": "0.4.0", "at": 1764000000.1, "version": "1.36"}
    {"kind": "NodeList", "items": [{"metadata": {"name": "gpu-03", "labels": {…}}, "spec": {…}, "status": {…}}]}
    {"kind": "Status", "code": 403, "message": "events is forbidden: …", "details": {"kind": "events"}}
    {"kind": "PodLogList", "items": [{"metadata": {"name": "nvidia-device-plugin-x7k2p", …}, "lines": […]}]}

So it reads as what kubectl prints of a cluster does, and an old one is judged again by newer knowledge.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from gpuctl.frozen import dataclass
from gpuctl.host.api.answer import Ask
from gpuctl.k8s.cluster import plural
from gpuctl.k8s.decode import POD_LOG, thing
from gpuctl.k8s.fields import FIELDS, kept
from gpuctl.k8s.live import LISTS, Api, NoList
from gpuctl.k8s.objects import ClusterNode, Pod, PodLog
from gpuctl.k8s.plugin import is_plugin_pod
from gpuctl.k8s.plugin_logs import plugin_logs
from gpuctl.k8s.reading import FORBIDDEN, SCHEMA

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
    """Keeps of objects the fields that count, packed as they come: a cluster's pods are gigabytes before that."""

    def __init__(self) -> None:
        self.count = 0
        self.nodes: list[ClusterNode] = []
        self.plugins: list[Pod] = []
        self._packer = zlib.compressobj(wbits=_GZIP)
        self._raw = bytearray()

    def take(self, kind: str, found: Mapping[str, Any]) -> bool:
        one = thing(kind, found)  # what cannot be read again is not recorded
        if isinstance(one, ClusterNode):
            self.nodes.append(one)
        elif isinstance(one, Pod) and is_plugin_pod(one):
            self.plugins.append(one)
        self.write((", " if self.count else "") + _text(kept(found, FIELDS[kind])))
        self.count += 1
        return True

    def write(self, text: str) -> None:
        """Adds a text as it is."""
        self._raw += self._packer.compress(text.encode("utf-8", "replace"))

    def packed(self) -> bytes:
        """Returns all of it. Nothing can be added any more."""
        return bytes(self._raw + self._packer.flush())


def record(ask: Ask, gpuctl: str, at: float) -> ClusterSnapshot:
    """Returns a cluster's snapshot. Raises ApiProblem, NotACluster."""
    whole = Api(ask)
    head = {"schema": SCHEMA, "gpuctl": gpuctl, "at": at, "version": whole.version}
    parts = [_line(head)]
    objects: dict[str, int] = {}
    missing: dict[str, str] = {}
    nodes: list[ClusterNode] = []
    plugins: list[Pod] = []
    for kind, one in LISTS.items():
        outcome = whole.list(kind, one, lambda kind=kind: _begun(kind))  # type: ignore[misc]
        if isinstance(outcome, NoList):
            missing[kind] = outcome.reason
            parts.append(_line(_status(kind, outcome)))
        else:
            outcome.write("]}\n")
            objects[kind] = outcome.count
            parts.append(outcome.packed())
            nodes += outcome.nodes
            plugins += outcome.plugins
    parts.append(_line({"kind": f"{POD_LOG}List", "items": list(map(_log, plugin_logs(ask, plugins, nodes)))}))
    return ClusterSnapshot(b"".join(parts), at, whole.version, objects, missing)


def _begun(kind: str) -> Lines:
    lines = Lines()
    lines.write(f'{{"kind": "{kind}List", "items": [')
    return lines


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
    lines = Lines()
    lines.write(_text(found) + "\n")
    return lines.packed()


def _text(found: Mapping[str, Any]) -> str:
    return json.dumps(found, ensure_ascii=False)

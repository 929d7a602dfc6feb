"""A cluster's lists by its API, a page at a time. How a path is asked for is the caller's."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from urllib.parse import quote

from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Outcome, Reading, failure
from gpuctl.k8s.cluster import KINDS, Cluster
from gpuctl.k8s.reading import Reader

PAGE = 500
_DRA = ("v1", "v1beta2", "v1beta1")
"""Versions of resource.k8s.io, the newest first: 1.34, 1.33, 1.32 and later have them."""
_SAID = re.compile(r"Error from server \((\w+)\): (.*)")
_CONTEXT = re.compile(r"context .*does not exist|no context exists with the name", re.IGNORECASE)


@dataclass(frozen=True)
class List:
    """Where a kind's list is, by every path that a version of the API has; `only` is a selector of fields."""

    paths: tuple[str, ...]
    only: tuple[str, ...] = ("",)


LISTS: Mapping[str, List] = {
    "Node": List(("/api/v1/nodes",)),
    "Pod": List(("/api/v1/pods",), ("status.phase!=Succeeded",)),
    "Event": List(("/api/v1/events",), ("reason=FailedScheduling", "reason=FailedCreate")),
    "ResourceQuota": List(("/api/v1/resourcequotas",)),
    "DaemonSet": List(("/apis/apps/v1/daemonsets",)),
    "RuntimeClass": List(("/apis/node.k8s.io/v1/runtimeclasses",)),
    "DeviceClass": List(tuple(f"/apis/resource.k8s.io/{one}/deviceclasses" for one in _DRA)),
    "ResourceSlice": List(tuple(f"/apis/resource.k8s.io/{one}/resourceslices" for one in _DRA)),
    "ResourceClaim": List(tuple(f"/apis/resource.k8s.io/{one}/resourceclaims" for one in _DRA)),
    "Job": List(("/apis/batch/v1/jobs",)),
    "PersistentVolumeClaim": List(("/api/v1/persistentvolumeclaims",)),
}


class NoCluster(Exception):
    """The cluster could not be asked; the message is a sentence."""


class NoSuchContext(NoCluster):
    """The context that was named is none."""


Ask = Callable[[str], Reading]


def live_cluster(ask: Ask, kinds: Collection[str] = KINDS) -> Cluster:
    """Returns a cluster by its API. A list that is forbidden is missing, with the reason.

    Raises NoAnswer where the cluster cannot be asked at all, and NotACluster where what answers is none.
    """
    whole = Reader()
    for kind in kinds:
        try:
            found = _list(ask, LISTS[kind])
        except _Refused as refused:
            whole.missing[kind] = str(refused)
        else:
            whole.things += found.things
    return whole.cluster(asked_each=True)


class _Refused(Exception):
    pass


class _Absent(Exception):
    pass


class _Expired(Exception):
    pass


def _list(ask: Ask, one: List) -> Reader:
    """A kind's objects by the first path that there is; none where no version of the API has the kind."""
    for path in one.paths:
        try:
            return _read(ask, [_query(path, only) for only in one.only])
        except _Absent:
            continue
        except _Expired:  # what was read of it may have changed meanwhile: once more from its beginning
            try:
                return _read(ask, [_query(path, only) for only in one.only])
            except _Expired:
                raise NoCluster(f"the cluster's answers expire before {path} is read to its end.") from None
    return Reader()


def _query(path: str, only: str) -> str:
    return f"{path}?limit={PAGE}{'&fieldSelector=' + quote(only, safe='=') if only else ''}"


def _read(ask: Ask, queries: list[str]) -> Reader:
    reader = Reader()
    for query in queries:
        for text in _pages(ask, query, reader):
            reader.read([text])
    return reader


def _pages(ask: Ask, query: str, reader: Reader) -> Iterator[bytes]:
    """A list's pages; where the next one begins, the reader has seen in the one before."""
    seen: set[str] = set()
    more = ""
    while True:
        yield _answer(ask(f"{query}{'&continue=' + quote(more, safe='') if more else ''}")).encode()
        more = reader.last.more
        if not more:
            return
        if more in seen:
            raise NoCluster("the cluster's list never ends: it names the same next page again.")
        seen.add(more)


def _answer(reading: Reading) -> str:
    if reading.ok:
        return reading.text
    if reading.outcome is Outcome.ABSENT:
        raise NoCluster("kubectl is not on PATH, by which the cluster is asked: install it, or give --from FILE.")
    said = _SAID.search(reading.detail)
    reason = said[1] if said else ""
    if reason == "NotFound":
        raise _Absent
    if reason in ("Expired", "Gone"):
        raise _Expired
    if reason == "Forbidden" and said:
        raise _Refused(said[2])
    words = failure(reading)
    if _CONTEXT.search(reading.detail):
        raise NoSuchContext(f"kubectl: {words}")
    raise NoCluster(f"the cluster could not be asked: {words}")

"""A cluster's lists by its API, a page at a time. How a path is asked for is the caller's."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar
from urllib.parse import quote

from gpuctl.frozen import dataclass
from gpuctl.host.api import answer as api
from gpuctl.host.api.answer import ApiAnswer, ApiProblem, Ask
from gpuctl.host.decode import parse_object, text_in
from gpuctl.k8s.cluster import KINDS, UNASKED, Cluster, cluster_of
from gpuctl.k8s.keeping import Keeper, Objects
from gpuctl.k8s.objects import Thing
from gpuctl.k8s.pages import take_page
from gpuctl.k8s.reading import NotACluster, sort_of_text
from gpuctl.k8s.said import AUTOSCALING

K = TypeVar("K", bound=Keeper)

PAGE = 500
MOST_PAGES = 600
"""Pages of a list: 300,000 objects. Kubernetes is made for 150,000 pods."""
BEGINNINGS = 3
"""How often a list is begun whose pages expire before its end."""
_DRA = tuple(f"/apis/resource.k8s.io/{one}/" for one in ("v1", "v1beta2", "v1beta1"))
"""Versions of resource.k8s.io, the newest first: 1.34, 1.33, 1.32 and later have them. All have the same kinds."""


def _always(_: Iterable[Thing]) -> bool:
    return True


@dataclass(frozen=True)
class List:
    """Where a kind's list is; `only` are selectors of fields, each of which is asked for by itself.

    `tells`: whether, by what was read before it, its objects tell anything: it is taken as empty where they do not.
    """

    path: str
    only: tuple[str, ...] = ("",)
    tells: Callable[[Iterable[Thing]], bool] = _always

    def paths(self, dra: tuple[str, ...]) -> tuple[str, ...]:
        """Returns the paths at which it may be, where these are the versions of resource.k8s.io that may be there."""
        return (self.path,) if self.path.startswith("/") else tuple(one + self.path for one in dra)


EVENT_REASONS = (
    *("FailedScheduling", "FailedCreate", "FailedCreatePodSandBox", "FailedPrepareDynamicResources"),
    *AUTOSCALING,
)
"""Of events, which may be tens of thousands, those that tell why a pod waits."""
LISTS: Mapping[str, List] = {
    "Node": List("/api/v1/nodes"),
    "Pod": List("/api/v1/pods", ("status.phase!=Succeeded",)),
    "Event": List("/api/v1/events", tuple(f"reason={one}" for one in EVENT_REASONS)),
    "ResourceQuota": List("/api/v1/resourcequotas"),
    "DaemonSet": List("/apis/apps/v1/daemonsets"),
    "RuntimeClass": List("/apis/node.k8s.io/v1/runtimeclasses"),
    "ResourceSlice": List("resourceslices"),
    "DeviceClass": List("deviceclasses"),
    "ResourceClaim": List("resourceclaims"),
    "Job": List("/apis/batch/v1/jobs"),
    "PersistentVolumeClaim": List("/api/v1/persistentvolumeclaims"),
    "ClusterPolicy": List("/apis/nvidia.com/v1/clusterpolicies"),
    "NVIDIADriver": List("/apis/nvidia.com/v1alpha1/nvidiadrivers"),
}
"""Pods that have ended well hold nothing, and a cluster may keep thousands: the server leaves them out."""


def lists_of(kinds: Collection[str], node: str | None = None) -> Mapping[str, List]:
    """Returns the lists of some kinds. `node`: only what lies on that node, and the pods that have no node yet."""
    lists = {kind: one for kind, one in LISTS.items() if kind in kinds}
    if node is None:
        return lists
    of_node = {
        "Node": (f"metadata.name={node}",),
        "Pod": (f"spec.nodeName={node},status.phase!=Succeeded", "spec.nodeName=,status.phase!=Succeeded"),
        "ResourceSlice": (f"spec.nodeName={node}",),
    }
    return {kind: replace(one, only=of_node.get(kind, one.only)) for kind, one in lists.items()}


class NoCluster(ApiProblem):
    """The cluster could not be asked; the message is a sentence."""


@dataclass(frozen=True)
class NoList:
    """A list that could not be had: why, and whether this identity may not see it."""

    reason: str
    forbidden: bool


class _Absent(Exception):
    """No version of the API that is there has the kind."""


class _Expired(Exception):
    """The pages of a list are no longer kept."""


class _Broken(Exception):
    """The API does not answer as it should; the message says how."""


class Api:
    """A cluster's API, asked with patience. `version` is what it says of itself, "" where it does not."""

    def __init__(self, ask: Ask) -> None:
        """Raises ApiProblem where it cannot be asked, and NotACluster where what answers is none."""
        self._ask = ask
        self._dra = _DRA
        self.version = self._begun()

    def _begun(self) -> str:
        first = _patiently(self._ask, "/version")
        if first.code == api.FORBIDDEN:
            return ""
        if first.code != api.OK:
            raise NoCluster(f"the cluster could not be asked: {_said(first)}.")
        try:
            found = parse_object(first.body)
            major, minor = (text_in(found, name) for name in ("major", "minor"))
        except ValueError:
            raise NotACluster(sort_of_text(first.body)) from None
        if not major or not minor:
            raise NotACluster("its /version names none")
        return f"{major}.{minor.removesuffix('+')}"[:20]

    def list(self, kind: str, one: List, keeper: Callable[[], K]) -> K | NoList:
        """Returns a keeper that has taken up a list: nothing, where no version of the API has the kind.

        Raises ApiProblem.
        """
        try:
            for path in one.paths(self._dra):
                try:
                    kept = self._from_beginnings(path, kind, one, keeper)
                except _Absent:
                    continue
                self._found(path, one)
                return kept
        except _Refused as refused:
            return NoList(str(refused), True)
        except (_Broken, NotACluster) as broken:
            return NoList(str(broken), False)
        self._found("", one)
        return keeper()

    def may_list(self, kind: str, one: List) -> str:
        """Returns why a list cannot be had, "" where it can, or where no version of the API has the kind.

        Raises ApiProblem.
        """
        for path in one.paths(self._dra):
            try:
                _body(_patiently(self._ask, _query(path, "", 1)))
            except _Absent:
                continue
            except (_Refused, _Broken) as problem:
                return str(problem)
            self._found(path, one)
            return ""
        return ""

    def _found(self, path: str, one: List) -> None:
        """Learns which version of resource.k8s.io is there, so that it is not looked for again."""
        if not one.path.startswith("/"):
            self._dra = tuple(version for version in self._dra if path.startswith(version))

    def _from_beginnings(self, path: str, kind: str, one: List, keeper: Callable[[], K]) -> K:
        for _ in range(BEGINNINGS):
            kept = keeper()
            try:
                for only in one.only:
                    self._pages(_query(path, only, PAGE), kind, kept)
            except _Expired:  # what was read of it may have changed meanwhile: once more from its beginning
                continue
            return kept
        raise _Broken(f"the pages of {path} expire before its end is read")

    def _pages(self, query: str, kind: str, keeper: Keeper) -> None:
        more, seen = "", set[str]()
        for _ in range(MOST_PAGES):
            answer = _patiently(self._ask, f"{query}{'&continue=' + quote(more, safe='') if more else ''}")
            more = take_page(_body(answer), kind, keeper)
            if not more:
                return
            if more in seen:
                break
            seen.add(more)
        raise _Broken(f"the list {query.partition('?')[0]} never ends")


def _query(path: str, only: str, limit: int) -> str:
    return f"{path}?limit={limit}{'&fieldSelector=' + quote(only, safe='=!,') if only else ''}"


class _Refused(Exception):
    """This identity may not see a list; the message is the API's."""


def _body(answer: ApiAnswer) -> bytes:
    if answer.code == api.OK:
        return answer.body
    if answer.code == api.UNAUTHORIZED:
        raise NoCluster(f"the cluster could not be asked: {_said(answer)}.")
    if answer.code == api.FORBIDDEN:
        raise _Refused(_said(answer))
    if answer.code == api.NOT_FOUND:
        raise _Absent
    if answer.code == api.GONE:
        raise _Expired
    raise _Broken(_said(answer))


TRIES = 4
LONGEST_WAIT = 15.0
"""Seconds before an API that asks for patience is asked again, whatever it wants."""
_FIRST_WAIT = 0.25
_PASSING = (api.TOO_MANY, 500, 502, 503, 504)
"""Answers after which the same question may be answered."""


def _patiently(ask: Ask, path: str) -> ApiAnswer:
    for number in range(TRIES):
        answer = ask(path)
        if answer.code not in _PASSING or number == TRIES - 1:
            break
        time.sleep(min(answer.wait or _FIRST_WAIT * 2**number, LONGEST_WAIT))
    return answer


def _said(answer: ApiAnswer) -> str:
    """What an answer that is no list says, in words that end no sentence."""
    if answer.code == api.NO_ANSWER:
        return answer.detail.rstrip(".")
    try:
        said = text_in(parse_object(answer.body), "message") or ""
    except ValueError:
        said = ""
    if answer.code == api.UNAUTHORIZED:
        return "it does not take these credentials (401): they are wrong or have expired, so log in anew"
    if answer.code == api.FORBIDDEN and said:
        return said[:300]
    if 300 <= answer.code < 400:
        return f"it sends one elsewhere ({answer.code}), as login pages do"
    return f"it answers {answer.code}{': ' + said[:300] if said else ''}"


def live_cluster(ask: Ask, lists: Mapping[str, List], node: str | None = None, fold: bool = False) -> Cluster:
    """Returns a cluster by its API. A list that is forbidden, or that breaks down, is missing, with the reason.

    `node` says that these are a node's lists; `fold`: of plain pods only what they take of their nodes is kept.
    Raises ApiProblem where the cluster cannot be asked at all, and NotACluster where what answers is none.
    """
    things: list[Thing] = []
    folded: dict[str, dict[str, int]] = {}
    missing = {kind: UNASKED for kind in KINDS if kind not in lists}
    failed: dict[str, str] = {}
    whole = Api(ask)
    for kind, one in lists.items():
        if not one.tells(things):
            continue
        outcome = whole.list(kind, one, lambda: Objects(fold))
        if isinstance(outcome, NoList):
            (missing if outcome.forbidden else failed)[kind] = outcome.reason
        else:
            things += outcome.things
            folded.update(outcome.folded)
    return cluster_of(things, missing, failed, folded, whole.version, node or "")


def lacking(ask: Ask) -> Mapping[str, str]:
    """Returns by kind why a list cannot be had: each is asked for one of its objects. Raises ApiProblem, NotACluster.

    Not by a SelfSubjectAccessReview: that is made by a POST, and what gpuctl asks a cluster for are GETs alone.
    """
    whole = Api(ask)
    answers = {kind: whole.may_list(kind, one) for kind, one in LISTS.items()}
    return {kind: reason for kind, reason in answers.items() if reason}

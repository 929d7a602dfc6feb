"""A cluster's nodes cordoned and uncordoned by the user's own kubectl.

Which run has cordoned a node, an annotation says; that nobody has brought it back and cordoned it anew, the API itself,
which knows who gave a field its value: https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from gpuctl.bounds import plain
from gpuctl.fleet.drain.drain import IN_SERVICE, Taken, each, problems
from gpuctl.frozen import dataclass
from gpuctl.host.api.answer import ApiProblem
from gpuctl.host.api.kubectl import Kubectl, kubectl
from gpuctl.host.api.nodes import FIELD_MANAGER, is_conflict, patch_node, read_node
from gpuctl.host.decode import flag_in, object_in, objects_in, parse_object, text_in
from gpuctl.host.look.reading import Reading, failure
from gpuctl.k8s.keeping import Objects
from gpuctl.k8s.live import Api, List, NoList
from gpuctl.k8s.objects import Pod
from gpuctl.k8s.reading import NotACluster
from gpuctl.k8s.requests import gpus_in

ANNOTATION = "gpuctl.dev/cordoned-by"
Node = Mapping[str, Any]
TRIES = 5
"""How often a node is looked at anew that was changed by somebody else since."""


class _NodeProblem(Exception):
    """A node could not be asked for or changed; the message is a sentence. `sent`: it may be changed all the same."""

    def __init__(self, words: str, sent: bool = False) -> None:
        super().__init__(words)
        self.sent = sent


@dataclass(frozen=True)
class _Wish:
    """What is wished of a node: the run that marks it, None for no mark, and of its spec what is to be changed."""

    mark: str | None
    spec: Mapping[str, Any]


class KubernetesDrain:
    """Cordons with its run's name in an annotation, and waits for the pods that have GPUs. It evicts none."""

    def __init__(self, run: str, cluster: Kubectl) -> None:
        self._run, self._cluster = run, cluster

    def take_out(self, hosts: Sequence[str]) -> Mapping[str, Taken]:
        """Cordons nodes; their pods go on."""
        return each(hosts, self._taken)

    def _taken(self, host: str) -> Taken:
        try:
            return Taken(self._is_ours(self._changed(host, self._cordon)))
        except _NodeProblem as problem:
            return Taken(self._may_be_ours(host) if problem.sent else None, str(problem))

    def _may_be_ours(self, host: str) -> bool:
        """Whether a node is cordoned by this run of which the API has not said so: it may have heard all the same."""
        try:
            return self._is_ours(self._node(host))
        except _NodeProblem:
            return True

    def busy(self, hosts: Sequence[str]) -> Mapping[str, str]:
        """Returns on which nodes pods still have GPUs, or may be given some."""
        try:
            api = Api(kubectl(self._cluster.context, self._cluster.kubeconfig))
        except (ApiProblem, NotACluster) as problem:
            return dict.fromkeys(hosts, f"The cluster could not be asked: {str(problem).removesuffix('.')}.")
        return problems(hosts, partial(self._busy, api))

    def _busy(self, api: Api, host: str) -> str:
        try:
            return _with_gpus(api, host) if _is_cordoned(self._node(host)) else IN_SERVICE
        except _NodeProblem as problem:
            return str(problem)

    def bring_back(self, hosts: Sequence[str]) -> Mapping[str, str]:
        """Uncordons its own nodes, in one piece with the look at whose they are."""
        return problems(hosts, self._brought_back)

    def _brought_back(self, host: str) -> str:
        try:
            self._changed(host, self._uncordon)
        except _NodeProblem as problem:
            return "" if problem.sent and not self._may_be_ours(host) else str(problem)
        return ""

    def _cordon(self, node: Node) -> _Wish | None:
        return None if _is_cordoned(node) else _Wish(self._run, {"unschedulable": True})

    def _uncordon(self, node: Node) -> _Wish | None:
        """Of a node that somebody else has cordoned since, no more than the mark is taken off."""
        if _marked_by(node) != self._run:
            return None
        return _Wish(None, {"unschedulable": None} if self._is_ours(node) else {})

    def _is_ours(self, node: Node) -> bool:
        return _is_cordoned(node) and _marked_by(node) == self._run and _is_by_gpuctl(node)

    def _changed(self, host: str, wish: Callable[[Node], _Wish | None]) -> Node:
        """A node, changed if that is wished of it as it is: who changes it meanwhile has it looked at anew."""
        for _ in range(TRIES):
            node = self._node(host)
            wished = wish(node)
            if wished is None:
                return node
            seen = text_in(object_in(node, "metadata"), "resourceVersion")
            metadata = {"resourceVersion": seen, "annotations": {ANNOTATION: wished.mark}}
            reading = patch_node(self._cluster, host, {"metadata": metadata, "spec": wished.spec})
            if not is_conflict(reading):
                return _read(host, reading, sent=True)
        raise _NodeProblem(f"Others change the node {host} all the time.")

    def _node(self, host: str) -> Node:
        return _read(host, read_node(self._cluster, host))


def _read(host: str, reading: Reading, sent: bool = False) -> Node:
    if not reading.ok:
        raise _NodeProblem(f"{plain(failure(reading)).removesuffix('.')}.", sent)
    try:
        return parse_object(reading.text)
    except ValueError as error:
        raise _NodeProblem(f"What the cluster tells of the node {host} is not understood: {error}.", sent) from None


def _is_cordoned(node: Node) -> bool:
    return flag_in(object_in(node, "spec"), "unschedulable") or False


def _marked_by(node: Node) -> str | None:
    return text_in(object_in(object_in(node, "metadata"), "annotations"), ANNOTATION)


def _is_by_gpuctl(node: Node) -> bool:
    """Whether it was a gpuctl that cordoned it last; so it is taken where the API keeps no account of a node's fields.

    {"manager": "gpuctl", "operation": "Update", "fieldsV1": {"f:spec": {"f:unschedulable": {}}}, …}
    """
    managed = objects_in(object_in(node, "metadata"), "managedFields")
    by = [one for one in managed if "f:unschedulable" in object_in(object_in(one, "fieldsV1"), "f:spec")]
    return not by or any(text_in(one, "manager") == FIELD_MANAGER for one in by)


def _with_gpus(api: Api, host: str) -> str:
    there = List("/api/v1/pods", (f"spec.nodeName={host},status.phase!=Succeeded,status.phase!=Failed",))
    try:
        found = api.list("Pod", there, Objects)
    except ApiProblem as problem:
        return f"Its pods could not be asked for: {str(problem).removesuffix('.')}."
    if isinstance(found, NoList):
        return f"Its pods could not be asked for: {found.reason.removesuffix('.')}."
    names = [one.shown for one in found.things if isinstance(one, Pod) and (gpus_in(one.requests) or one.claims)]
    return f"Pods have GPUs on it: {', '.join(map(plain, names[:3]))}." if names else ""

"""A cluster's nodes cordoned and uncordoned by the user's own kubectl; who has cordoned one, an annotation says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from gpuctl.bounds import plain
from gpuctl.fleet.drain.drain import IN_SERVICE, Taken, each, problems
from gpuctl.host.api.answer import ApiProblem
from gpuctl.host.api.kubectl import Kubectl, kubectl
from gpuctl.host.api.nodes import is_conflict, patch_node, read_node
from gpuctl.host.decode import flag_in, object_in, parse_object, text_in
from gpuctl.host.look.reading import Reading, failure
from gpuctl.k8s.keeping import Objects
from gpuctl.k8s.live import Api, List, NoList
from gpuctl.k8s.objects import Pod
from gpuctl.k8s.reading import NotACluster
from gpuctl.k8s.requests import gpus_in

ANNOTATION = "gpuctl.dev/cordoned-by"
TRIES = 5
"""How often a node is looked at anew that was changed by somebody else since."""


class _NodeProblem(Exception):
    """A node could not be asked for or changed; the message is a sentence. `sent`: it may be changed all the same."""

    def __init__(self, words: str, sent: bool = False) -> None:
        super().__init__(words)
        self.sent = sent


class KubernetesDrain:
    """Cordons with its run's name in an annotation, and waits for the pods that have GPUs. It evicts none."""

    def __init__(self, run: str, cluster: Kubectl) -> None:
        self._run, self._cluster = run, cluster

    def take_out(self, hosts: Sequence[str]) -> Mapping[str, Taken]:
        """Cordons nodes; their pods go on."""
        return each(hosts, self._taken)

    def _taken(self, host: str) -> Taken:
        try:
            node = self._changed(host, lambda node: not _is_cordoned(node), cordoned=True, by=self._run)
            return Taken(_cordoned_by(node) == self._run)
        except _NodeProblem as problem:
            return Taken(self._may_be_ours(host) if problem.sent else None, str(problem))

    def _may_be_ours(self, host: str) -> bool:
        """Whether a node is cordoned by this run of which the API has not said so: it may have heard all the same."""
        try:
            return _cordoned_by(self._node(host)) == self._run
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
            self._changed(host, lambda node: _cordoned_by(node) == self._run, cordoned=None, by=None)
        except _NodeProblem as problem:
            return str(problem)
        return ""

    def _changed(
        self, host: str, wanted: Callable[[Mapping[str, Any]], bool], cordoned: bool | None, by: str | None
    ) -> Mapping[str, Any]:
        """A node, changed if that is wanted of it as it is: who changes it meanwhile has it looked at anew."""
        for _ in range(TRIES):
            node = self._node(host)
            if not wanted(node):
                return node
            seen = text_in(object_in(node, "metadata"), "resourceVersion")
            metadata = {"resourceVersion": seen, "annotations": {ANNOTATION: by}}
            reading = patch_node(self._cluster, host, {"metadata": metadata, "spec": {"unschedulable": cordoned}})
            if not is_conflict(reading):
                return _read(host, reading, sent=True)
        raise _NodeProblem(f"Others change the node {host} all the time.")

    def _node(self, host: str) -> Mapping[str, Any]:
        return _read(host, read_node(self._cluster, host))


def _read(host: str, reading: Reading, sent: bool = False) -> Mapping[str, Any]:
    if not reading.ok:
        raise _NodeProblem(f"{plain(failure(reading)).removesuffix('.')}.", sent)
    try:
        return parse_object(reading.text)
    except ValueError as error:
        raise _NodeProblem(f"What the cluster tells of the node {host} is not understood: {error}.", sent) from None


def _is_cordoned(node: Mapping[str, Any]) -> bool:
    return flag_in(object_in(node, "spec"), "unschedulable") or False


def _cordoned_by(node: Mapping[str, Any]) -> str | None:
    return text_in(object_in(object_in(node, "metadata"), "annotations"), ANNOTATION)


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

"""A cluster's nodes cordoned and uncordoned by the user's own kubectl; who has cordoned one, an annotation says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpuctl.bounds import plain
from gpuctl.fleet.drain.drain import Taken
from gpuctl.host.api.answer import ApiProblem
from gpuctl.host.api.kubectl import kubectl
from gpuctl.host.api.nodes import patch_node, read_node
from gpuctl.host.decode import flag_in, object_in, parse_object, text_in
from gpuctl.host.look.reading import Reading, failure
from gpuctl.k8s.keeping import Objects
from gpuctl.k8s.live import Api, List, NoList
from gpuctl.k8s.objects import Pod
from gpuctl.k8s.reading import NotACluster
from gpuctl.k8s.requests import gpus_in

ANNOTATION = "gpuctl.dev/cordoned-by"
_PLACE = "/metadata/annotations/" + ANNOTATION.replace("/", "~1")


class _NodeProblem(Exception):
    """A node could not be asked for or changed; the message is a sentence."""


class KubernetesDrain:
    """Cordons with its run's name in an annotation, and waits for the pods that have GPUs. It evicts none."""

    def __init__(self, run: str) -> None:
        self._run = run

    def take_out(self, hosts: Sequence[str]) -> Mapping[str, Taken]:
        """Cordons nodes; their pods go on."""
        return {host: self._taken(host) for host in hosts}

    def _taken(self, host: str) -> Taken:
        try:
            node = _node(host)
            if flag_in(object_in(node, "spec"), "unschedulable"):
                return Taken(_cordoned_by(node) == self._run)
            _patched(host, {"spec": {"unschedulable": True}, "metadata": {"annotations": {ANNOTATION: self._run}}})
            return Taken(True)
        except _NodeProblem as problem:
            return Taken(False, str(problem))

    def busy(self, hosts: Sequence[str]) -> Mapping[str, str]:
        """Returns on which nodes pods still have GPUs."""
        try:
            api = Api(kubectl(None))
        except (ApiProblem, NotACluster) as problem:
            return dict.fromkeys(hosts, f"The cluster could not be asked: {problem}.")
        told = {host: _with_gpus(api, host) for host in hosts}
        return {host: why for host, why in told.items() if why}

    def bring_back(self, hosts: Sequence[str]) -> Mapping[str, str]:
        """Uncordons its own nodes, in one piece with the look at whose they are."""
        problems = {}
        for host in hosts:
            try:
                if _cordoned_by(_node(host)) == self._run:
                    ours = {"op": "test", "path": _PLACE, "value": self._run}
                    gone = [{"op": "remove", "path": place} for place in (_PLACE, "/spec/unschedulable")]
                    _patched(host, [ours, *gone])
            except _NodeProblem as problem:
                problems[host] = str(problem)
        return problems


def _node(host: str) -> Mapping[str, Any]:
    try:
        return parse_object(_said(read_node(host)))
    except ValueError as error:
        raise _NodeProblem(f"What the cluster tells of the node {host} is not understood: {error}.") from None


def _cordoned_by(node: Mapping[str, Any]) -> str | None:
    return text_in(object_in(object_in(node, "metadata"), "annotations"), ANNOTATION)


def _patched(host: str, patch: object) -> None:
    _said(patch_node(host, patch))


def _said(reading: Reading) -> str:
    if not reading.ok:
        raise _NodeProblem(f"{plain(failure(reading)).removesuffix('.')}.")
    return reading.text


def _with_gpus(api: Api, host: str) -> str:
    there = List("/api/v1/pods", (f"spec.nodeName={host},status.phase!=Succeeded,status.phase!=Failed",))
    try:
        found = api.list("Pod", there, Objects)
    except ApiProblem as problem:
        return f"Its pods could not be asked for: {problem}."
    if isinstance(found, NoList):
        return f"Its pods could not be asked for: {found.reason}."
    names = [one.shown for one in found.things if isinstance(one, Pod) and (gpus_in(one.requests) or one.claims)]
    return f"Pods have GPUs on it: {', '.join(map(plain, names[:3]))}." if names else ""

"""The API asked by the user's own kubectl, with its kubeconfig, its programs for credentials and its proxies."""

from __future__ import annotations

import json
import re
from typing import List, Mapping, Optional, Sequence

from gpuctl.bounds import ANSWER_LIMIT
from gpuctl.frozen import dataclass
from gpuctl.host.act.process import ask_program
from gpuctl.host.api.answer import FORBIDDEN, GONE, NO_ANSWER, NOT_FOUND, OK, ApiAnswer, Ask, BadConfiguration
from gpuctl.host.api.kubeconfig import kubeconfigs
from gpuctl.host.look.reading import Reading, failure

DEADLINE = 60.0
"""Seconds for an answer, the program for credentials among them."""
_SAID = re.compile(r"Error from server \((\w+)\): (.*)")
_CODES: Mapping[str, int] = {"NotFound": NOT_FOUND, "Expired": GONE, "Gone": GONE, "Forbidden": FORBIDDEN}
_CONTEXT = re.compile(r"context .*does not exist|no context exists with the name", re.IGNORECASE)


@dataclass(frozen=True)
class Kubectl:
    """The cluster that a kubectl is to ask: a context, None: the current one; a kubeconfig, None: the user's."""

    context: Optional[str] = None
    kubeconfig: Optional[str] = None

    @property
    def words(self) -> List[str]:
        """The words that begin its command."""
        chosen = (("--context", self.context), ("--kubeconfig", self.kubeconfig))
        return ["kubectl", *(word for option, value in chosen if value is not None for word in (option, value))]


def kubectl(context: Optional[str], kubeconfig: Optional[str] = None) -> Ask:
    """Returns what asks by kubectl, which waits as the API tells it to by itself. Raises BadConfiguration."""
    kubeconfigs(kubeconfig)
    cluster = Kubectl(context, kubeconfig)
    return lambda path: _answer(run_kubectl(cluster, ("get", "--raw", path)))


def settled(cluster: Kubectl) -> Kubectl:
    """Returns the same cluster by its context's name, whichever is current later. Raises BadConfiguration.

    In a pod it has none, and is the cluster of that pod.
    """
    files = kubeconfigs(cluster.kubeconfig)
    if not files and cluster.context is None:
        return cluster
    asked = ("current-context",) if cluster.context is None else ("get-contexts", "-o", "name", "--", cluster.context)
    said = run_kubectl(Kubectl(kubeconfig=cluster.kubeconfig), ("config", *asked))
    if not said.ok:
        raise BadConfiguration("kubectl: %s." % failure(said).rstrip("."))
    return Kubectl(said.text.strip(), cluster.kubeconfig)


def run_kubectl(cluster: Kubectl, words: Sequence[str], stdin: str = "") -> Reading:
    """Returns how a kubectl ended."""
    # Without --request-timeout: with it, kubectl no longer sees that it is in a pod.
    return ask_program([*cluster.words, *words], stdin, DEADLINE, ANSWER_LIMIT)


def _answer(reading: Reading) -> ApiAnswer:
    if reading.ok:
        return ApiAnswer(OK, reading.text.encode())
    if _CONTEXT.search(reading.detail):
        raise BadConfiguration("kubectl: %s" % failure(reading))
    said = _SAID.search(reading.detail)
    code = _CODES.get(said[1]) if said else None
    if said is None or code is None:
        return ApiAnswer(NO_ANSWER, detail=failure(reading))
    status = {"kind": "Status", "message": said[2], "code": code}
    return ApiAnswer(code, json.dumps(status).encode())

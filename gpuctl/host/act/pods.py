"""Pods that are made and removed by the user's own kubectl: all that gpuctl ever changes in a cluster."""

from __future__ import annotations

from typing import Optional, Sequence
from urllib.parse import quote

from gpuctl.bounds import ANSWER_LIMIT
from gpuctl.frozen import dataclass
from gpuctl.host.act.process import ask_program
from gpuctl.host.look.reading import Reading

ANSWER_SECONDS = 30.0
"""For an answer of the API, the program for credentials among it."""


@dataclass(frozen=True)
class KubectlPods:
    """The pods of a namespace that have a label. `context` None: kubectl's current one."""

    namespace: str
    label: str
    context: Optional[str] = None

    def create(self, manifest: str) -> Reading:
        """Returns how the API took a pod; its name where it did."""
        return self._kubectl(("create", "-f", "-", "-o", "name"), manifest)

    def read(self) -> Reading:
        """Returns the list of the pods, as JSON."""
        return self._raw("pods?labelSelector=%s" % quote(self.label))

    def events(self, name: str) -> Reading:
        """Returns the list of what was said of a pod, as JSON."""
        return self._raw("events?fieldSelector=%s" % quote("involvedObject.name=" + name))

    def log(self, name: str) -> Reading:
        """Returns what a pod's container printed, its last megabyte."""
        return self._raw("pods/%s/log?limitBytes=%d" % (quote(name, safe=""), 1 << 20))

    def delete(self) -> Reading:
        """Returns how the API took it that all of them are to go; none is no failure."""
        words = ("delete", "pods", "--selector", self.label, "--wait=false", "--ignore-not-found", "--grace-period=1")
        return self._kubectl(words, "")

    def _raw(self, path: str) -> Reading:
        return self._kubectl(("get", "--raw", "/api/v1/namespaces/%s/%s" % (quote(self.namespace, safe=""), path)), "")

    def _kubectl(self, words: Sequence[str], stdin: str) -> Reading:
        chosen = ["--context", self.context] if self.context is not None else []
        limit = ["--request-timeout", "%ds" % ANSWER_SECONDS]
        argv = ["kubectl", *chosen, *limit, "--namespace", self.namespace, *words]
        return ask_program(argv, stdin, ANSWER_SECONDS + 5, ANSWER_LIMIT)

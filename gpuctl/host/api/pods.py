"""Pods that are made and removed by the user's own kubectl; gpuctl changes nothing else in a cluster but nodes."""

from __future__ import annotations

from typing import Optional
from urllib.parse import quote

from gpuctl.frozen import dataclass
from gpuctl.host.api.kubectl import Kubectl, run_kubectl
from gpuctl.host.look.reading import Reading

LOG_LIMIT = 8 << 20
"""Bytes: a snapshot as text takes seven millions."""


@dataclass(frozen=True)
class KubectlPods:
    """The pods of a namespace that have a label. `context` None: kubectl's current one."""

    namespace: str
    label: str
    context: Optional[str] = None

    def create(self, manifest: str) -> Reading:
        """Returns how the API took a pod; its name where it did."""
        words = ("--namespace", self.namespace, "create", "-f", "-", "-o", "name")
        return run_kubectl(Kubectl(self.context), words, manifest)

    def read(self) -> Reading:
        """Returns the list of the pods, as JSON."""
        return self._get("pods?labelSelector=%s" % quote(self.label))

    def events(self, name: str) -> Reading:
        """Returns the list of what was said of a pod, as JSON."""
        return self._get("events?fieldSelector=%s" % quote("involvedObject.name=" + name))

    def log(self, name: str) -> Reading:
        """Returns what a pod's container printed, its first megabytes."""
        return self._get("pods/%s/log?limitBytes=%d" % (quote(name, safe=""), LOG_LIMIT))

    def delete(self) -> Reading:
        """Returns how the API took it that all of them are to go; none is no failure."""
        words = ("delete", "pods", "--selector", self.label, "--wait=false", "--ignore-not-found", "--grace-period=1")
        return run_kubectl(Kubectl(self.context), ("--namespace", self.namespace, *words))

    def _get(self, path: str) -> Reading:
        whole = "/api/v1/namespaces/%s/%s" % (quote(self.namespace, safe=""), path)
        return run_kubectl(Kubectl(self.context), ("get", "--raw", whole))

"""Judgement of a cluster: what the lists of its objects tell. Importing this registers every check."""

from gpuctl.k8s.checks import api, dra, gpu, host, node, operator, plugin, plugin_work, pods, runtime
from gpuctl.k8s.checks.frame import CHECKS, View, diagnose

__all__ = [
    "CHECKS",
    "View",
    "api",
    "diagnose",
    "dra",
    "gpu",
    "host",
    "node",
    "operator",
    "plugin",
    "plugin_work",
    "pods",
    "runtime",
]

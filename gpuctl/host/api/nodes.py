"""A cluster's nodes, read and changed by the user's own kubectl."""

from __future__ import annotations

import json
from typing import Any, Mapping
from urllib.parse import quote

from gpuctl.host.api.kubectl import Kubectl, run_kubectl
from gpuctl.host.look.reading import Reading

FIELD_MANAGER = "gpuctl"
"""By which the API tells of a field that gpuctl has given it its value, until somebody else gives it another."""


def read_node(cluster: Kubectl, name: str) -> Reading:
    """Returns a node as JSON."""
    return run_kubectl(cluster, ("get", "--raw", "/api/v1/nodes/%s" % quote(name, safe="")))


def patch_node(cluster: Kubectl, name: str, patch: Mapping[str, Any]) -> Reading:
    """Returns the node as JSON into which the API has merged this (RFC 7386).

    With a `resourceVersion` in it, only into the node that had that; `is_conflict` of the answer otherwise.
    """
    how = ("--type=merge", "--field-manager=" + FIELD_MANAGER, "--patch", json.dumps(patch), "-o", "json")
    return run_kubectl(cluster, ("patch", *how, "--", "node", name))


def is_conflict(reading: Reading) -> bool:
    """Returns whether a change was not made because somebody else had made one meanwhile."""
    return not reading.ok and "Error from server (Conflict)" in reading.detail

"""A cluster's nodes, read and changed by the user's own kubectl."""

from __future__ import annotations

import json
from urllib.parse import quote

from gpuctl.host.api.kubectl import run_kubectl
from gpuctl.host.look.reading import Reading


def read_node(name: str) -> Reading:
    """Returns a node as JSON."""
    return run_kubectl(None, ("get", "--raw", "/api/v1/nodes/%s" % quote(name, safe="")))


def patch_node(name: str, patch: object) -> Reading:
    """Returns how the API took a change of a node: a list of steps (RFC 6902), or what is to be merged (RFC 7386)."""
    kind = "json" if isinstance(patch, list) else "merge"
    return run_kubectl(
        None, ("patch", "--type=" + kind, "--patch", json.dumps(patch), "-o", "name", "--", "node", name)
    )

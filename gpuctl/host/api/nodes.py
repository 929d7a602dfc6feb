"""A cluster's nodes, read and changed by the user's own kubectl."""

from __future__ import annotations

import json
from urllib.parse import quote

from gpuctl.bounds import ANSWER_LIMIT
from gpuctl.host.act.process import ask_program
from gpuctl.host.look.reading import Reading

ANSWER_SECONDS = 35.0


def read_node(name: str) -> Reading:
    """Returns a node as JSON."""
    argv = ["kubectl", "get", "--raw", "/api/v1/nodes/%s" % quote(name, safe="")]
    return ask_program(argv, "", ANSWER_SECONDS, ANSWER_LIMIT)


def patch_node(name: str, patch: object) -> Reading:
    """Returns how the API took a change of a node: a list of steps (RFC 6902), or what is to be merged (RFC 7386)."""
    kind = "json" if isinstance(patch, list) else "merge"
    argv = ["kubectl", "patch", "--type=" + kind, "--patch", json.dumps(patch), "-o", "name", "--", "node", name]
    return ask_program(argv, "", ANSWER_SECONDS, ANSWER_LIMIT)

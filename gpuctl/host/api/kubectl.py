"""The API asked by the user's own kubectl, with its kubeconfig, its programs for credentials and its proxies."""

from __future__ import annotations

import json
import re
from typing import Mapping, Optional, Sequence

from gpuctl.bounds import ANSWER_LIMIT
from gpuctl.host.act.process import ask_program
from gpuctl.host.api.answer import FORBIDDEN, GONE, NO_ANSWER, NOT_FOUND, OK, ApiAnswer, Ask, BadConfiguration
from gpuctl.host.api.kubeconfig import kubeconfigs
from gpuctl.host.look.reading import Reading, failure

DEADLINE = 60.0
"""Seconds for an answer, the program for credentials among them."""
_SAID = re.compile(r"Error from server \((\w+)\): (.*)")
_CODES: Mapping[str, int] = {"NotFound": NOT_FOUND, "Expired": GONE, "Gone": GONE, "Forbidden": FORBIDDEN}
_CONTEXT = re.compile(r"context .*does not exist|no context exists with the name", re.IGNORECASE)


def kubectl(context: Optional[str]) -> Ask:
    """Returns what asks by kubectl, which waits as the API tells it to by itself. Raises BadConfiguration."""
    kubeconfigs()
    return lambda path: _answer(run_kubectl(context, ("get", "--raw", path)))


def run_kubectl(context: Optional[str], words: Sequence[str], stdin: str = "") -> Reading:
    """Returns how a kubectl ended. `context` None: its current one."""
    chosen = ["--context", context] if context is not None else []
    # Without --request-timeout: with it, kubectl no longer sees that it is in a pod.
    return ask_program(["kubectl", *chosen, *words], stdin, DEADLINE, ANSWER_LIMIT)


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

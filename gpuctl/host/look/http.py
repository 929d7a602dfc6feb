"""HTTP GET over a Unix or TCP socket, under one deadline for the whole exchange."""

from __future__ import annotations

import http.client
import socket
from contextlib import suppress
from typing import List, Tuple
from urllib.parse import urlsplit

from gpuctl.bounds import ANSWER_LIMIT, whole
from gpuctl.host.look.deadline import DeadlineExceeded, within
from gpuctl.host.look.reading import Outcome, Reading, http_source
from gpuctl.host.look.unanswered import unanswered
from gpuctl.host.look.unix import connected
from gpuctl.host.trust import Distrusted


def get(endpoint: str, path: str, deadline: float) -> Reading:
    """Returns the body; `code` is 0 for HTTP 200 and the status otherwise, `detail` the reason."""
    source = http_source(endpoint, path)
    opened: List[socket.socket] = []
    try:
        status, body = within(deadline, lambda: _exchange(endpoint, path, deadline, opened))
    except (DeadlineExceeded, Distrusted, OSError, ValueError, http.client.HTTPException) as error:
        return unanswered(source, error, deadline)
    finally:
        for connection in opened:  # a server that says something for ever would keep the thread that listens
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
    return Reading(source, Outcome.OK, body, 0 if status == 200 else status)


def _exchange(endpoint: str, path: str, timeout: float, opened: List[socket.socket]) -> Tuple[int, str]:
    opened.append(_connected(endpoint, timeout))
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc or "localhost")
    connection.sock = opened[0]
    try:
        connection.request("GET", path)
        with connection.getresponse() as response:
            body = whole(response.read, ANSWER_LIMIT, "the answer is longer than")
        return response.status, body.decode("utf-8", "replace")
    finally:
        connection.close()
        opened[0].close()  # which http.client leaves to the response where that ends with the connection


def _connected(endpoint: str, timeout: float) -> socket.socket:
    parts = urlsplit(endpoint)
    if parts.scheme == "tcp" and parts.hostname:
        return socket.create_connection((parts.hostname, parts.port or 2375), timeout)
    if parts.scheme != "unix":
        raise ValueError("gpuctl does not look through %s:// endpoints" % parts.scheme)
    return connected(parts.path, timeout)

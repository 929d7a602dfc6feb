"""HTTP GET over a Unix or TCP socket, under one deadline for the whole exchange."""

from __future__ import annotations

import errno
import http.client
from typing import Tuple
from urllib.parse import urlsplit

from gpuctl.host.deadline import DeadlineExceeded, within
from gpuctl.host.reading import Outcome, Reading, http_source
from gpuctl.host.trust import Distrusted
from gpuctl.host.unanswered import unanswered
from gpuctl.host.unix import connected

BODY_LIMIT = 16 << 20


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path, self._seconds = path, timeout

    def connect(self) -> None:
        self.sock = connected(self._path, self._seconds)


def get(endpoint: str, path: str, deadline: float) -> Reading:
    """Returns the body; `code` is 0 for HTTP 200 and the status otherwise, `detail` the reason."""
    source = http_source(endpoint, path)
    try:
        status, body = within(deadline, lambda: _exchange(endpoint, path, deadline))
    except (DeadlineExceeded, Distrusted, OSError, ValueError, http.client.HTTPException) as error:
        return unanswered(source, error, deadline)
    return Reading(source, Outcome.OK, body, 0 if status == 200 else status)


def _exchange(endpoint: str, path: str, timeout: float) -> Tuple[int, str]:
    connection = _connection(endpoint, timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read(BODY_LIMIT + 1)
        if len(body) > BODY_LIMIT:
            raise OSError(errno.EFBIG, "the answer is longer than %d MiB" % (BODY_LIMIT >> 20))
        return response.status, body.decode("utf-8", "replace")
    finally:
        connection.close()


def _connection(endpoint: str, timeout: float) -> http.client.HTTPConnection:
    parts = urlsplit(endpoint)
    if parts.scheme == "unix":
        return _UnixConnection(parts.path, timeout)
    if parts.scheme == "tcp" and parts.hostname:
        return http.client.HTTPConnection(parts.hostname, parts.port or 2375, timeout=timeout)
    raise ValueError("gpuctl does not look through %s:// endpoints" % parts.scheme)

"""HTTP GET over a Unix or TCP socket, under one deadline for the whole exchange.

Asked by HTTP/1.0, a server says its answer and hangs up, and cuts nothing into pieces. So no more is needed than this;
http.client, which loads TLS and all of email, took longer than what it fetched.
"""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from typing import List, Tuple
from urllib.parse import urlsplit

from gpuctl.bounds import ANSWER_LIMIT, TooLong, whole
from gpuctl.host.look.deadline import DeadlineExceeded, within
from gpuctl.host.look.reading import Outcome, Reading, http_source
from gpuctl.host.look.unanswered import unanswered
from gpuctl.host.look.unix import connected
from gpuctl.host.trust import Distrusted

HEAD_LIMIT = 64 << 10
"""Bytes before an answer's body."""
_TOO_LONG = "the answer is longer than"
_STATUS = rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r\n"
_LENGTH = rb"(?im)^content-length:[ \t]*(\d{1,18})[ \t]*\r$"
_CHUNKED = rb"(?im)^transfer-encoding:.*chunked"


def get(endpoint: str, path: str, deadline: float) -> Reading:
    """Returns the body; `code` is 0 for HTTP 200 and the status otherwise, `detail` the reason."""
    source = http_source(endpoint, path)
    opened: List[socket.socket] = []
    try:
        status, body = parse_answer(within(deadline, lambda: _exchange(endpoint, path, deadline, opened)))
    except (DeadlineExceeded, Distrusted, OSError, ValueError) as error:
        return unanswered(source, error, deadline)
    finally:
        for connection in opened:  # a server that says something for ever would keep the thread that listens
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
    return Reading(source, Outcome.OK, body.decode("utf-8", "replace"), 0 if status == 200 else status)


def _exchange(endpoint: str, path: str, timeout: float, opened: List[socket.socket]) -> bytes:
    opened.append(connection_to(endpoint, timeout))
    with opened[0] as connection:
        connection.sendall(request(endpoint, path))
        return whole(connection.recv, ANSWER_LIMIT + HEAD_LIMIT, _TOO_LONG)


def parse_answer(raw: bytes) -> Tuple[int, bytes]:
    """Returns the status and the body of an answer. Raises ValueError where it is none, or not the whole.

    HTTP/1.0 200 OK
    Content-Length: 2

    OK
    """
    head, end, body = raw.partition(b"\r\n\r\n")
    status, length = re.match(_STATUS, head + b"\r\n"), re.search(_LENGTH, head + b"\r\n")
    if not status or not end or re.search(_CHUNKED, head):
        raise ValueError("the answer is no HTTP/1.0" if raw else "it closed the connection")
    if length and len(body) < int(length[1]):
        raise ValueError("the answer was cut off")
    if len(body) > ANSWER_LIMIT:
        raise TooLong(ANSWER_LIMIT, _TOO_LONG)
    return int(status[1]), body[: int(length[1])] if length else body


def request(endpoint: str, path: str) -> bytes:
    """Returns a GET of a path. Raises UnicodeError where it is not ASCII."""
    return ("GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" % (path, urlsplit(endpoint).netloc or "localhost")).encode("ascii")


def connection_to(endpoint: str, timeout: float) -> socket.socket:
    """Returns a socket that is connected to unix:///path or tcp://host:port. Raises OSError, Distrusted, ValueError."""
    parts = urlsplit(endpoint)
    if parts.scheme == "tcp" and parts.hostname:
        return socket.create_connection((parts.hostname, parts.port or 2375), timeout)
    if parts.scheme != "unix":
        raise ValueError("gpuctl does not look through %s:// endpoints" % parts.scheme)
    return connected(parts.path, timeout)

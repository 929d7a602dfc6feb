"""One gRPC call over a Unix socket: a request, a reply. containerd has no other interface, and Debian no crictl.

The few frames of HTTP/2 that this takes are written by hand: the gRPC library is 20 MB of compiled code, which a host
on which nothing works need not have. RFC 9113 (HTTP/2), RFC 7541 (header compression), and gRPC's
https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress
from typing import Dict, Iterator, Tuple
from urllib.parse import urlsplit

from gpuctl.bounds import ANSWER_LIMIT, whole
from gpuctl.host.look.deadline import DeadlineExceeded, within
from gpuctl.host.look.reading import Outcome, Reading, grpc_source
from gpuctl.host.look.unanswered import unanswered
from gpuctl.host.look.unix import connected
from gpuctl.host.trust import Distrusted

NO_REPLY = 1
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _GOAWAY, _WINDOW = 0, 1, 3, 4, 7, 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_INITIAL_WINDOW = 4
_STREAM = 1


def call(endpoint: str, method: str, message: str, namespace: str, deadline: float) -> Reading:
    """Returns the reply's message, `message` being the request's: bytes, each as the character of its number.

    `method` is /package.Service/Method; `namespace` containerd's, for the services that look into one. `code` is
    NO_REPLY where the server answers without a message: why stands in compressed headers, which are not read.
    """
    source = grpc_source(endpoint, method, namespace)
    try:
        body = within(deadline, lambda: _exchange(endpoint, method, message.encode("latin-1"), namespace, deadline))
        reply = _message(body) if body else None
    except (DeadlineExceeded, Distrusted, OSError, ValueError) as error:
        return unanswered(source, error, deadline)
    if reply is None:
        return Reading(source, Outcome.OK, code=NO_REPLY, detail="it does not know this call, or refuses it")
    return Reading(source, Outcome.OK, reply.decode("latin-1"))


def _exchange(endpoint: str, method: str, message: bytes, namespace: str, timeout: float) -> bytes:
    headers = {":method": "POST", ":scheme": "http", ":path": method, ":authority": "localhost"}
    headers.update({"content-type": "application/grpc", "te": "trailers"})
    headers.update({"containerd-namespace": namespace} if namespace else {})
    with connected(urlsplit(endpoint).path, timeout) as connection:
        connection.sendall(_request(headers, message))
        data = _data(connection, time.monotonic() + timeout)
        return whole(lambda _: next(data, b""), ANSWER_LIMIT, "the answer is longer than")


def _request(headers: Dict[str, str], message: bytes) -> bytes:
    settings = struct.pack(">HI", _INITIAL_WINDOW, ANSWER_LIMIT)
    fields = b"".join(_literal(name, value) for name, value in headers.items())
    return b"".join(
        [
            _PREFACE,
            _frame(_SETTINGS, 0, 0, settings),
            _frame(_WINDOW, 0, 0, struct.pack(">I", ANSWER_LIMIT)),
            _frame(_HEADERS, _END_HEADERS, _STREAM, fields),
            _frame(_DATA, _END_STREAM, _STREAM, struct.pack(">BI", 0, len(message)) + message),
        ]
    )


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _literal(name: str, value: str) -> bytes:
    """A header that is in no table and is not compressed (RFC 7541, 6.2.2)."""
    return b"\0" + b"".join(_length(len(text)) + text for text in (name.encode("ascii"), value.encode("ascii")))


def _length(number: int) -> bytes:
    """An integer with a prefix of seven bits (RFC 7541, 5.1)."""
    if number < 127:
        return bytes([number])
    rest, octets = number - 127, [127]
    while rest >= 128:
        octets.append(rest % 128 + 128)
        rest //= 128
    return bytes([*octets, rest])


def _data(connection: socket.socket, end: float) -> Iterator[bytes]:
    """What comes in data frames until the server ends the stream."""
    for kind, flags, payload in _frames(connection):
        if kind == _SETTINGS and not flags & _ACK:
            with suppress(OSError):  # it may have said all, and have gone
                connection.sendall(_frame(_SETTINGS, _ACK, 0, b""))
        if kind in (_RESET, _GOAWAY):
            raise ValueError("it refuses the call")
        if kind == _DATA and payload:
            yield payload
        if kind in (_DATA, _HEADERS) and flags & _END_STREAM:
            return
        if time.monotonic() > end:
            raise socket.timeout
    raise ValueError("it closed the connection")


def _frames(connection: socket.socket) -> Iterator[Tuple[int, int, bytes]]:
    with connection.makefile("rb") as file:
        for head in iter(lambda: file.read(9), b""):
            if len(head) < 9:
                return
            length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            yield kind, flags, file.read(length)


def _message(body: bytes) -> bytes:
    """The one message in the body: a flag for compression, its length, itself."""
    if body[0] or len(body) < 5 or len(body) != 5 + int.from_bytes(body[1:5], "big"):
        raise ValueError("its answer is not one message")
    return body[5:]

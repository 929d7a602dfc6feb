"""Answers too large for memory, in a file that is gone as soon as it is closed."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import BinaryIO, Iterator

from gpuctl.bounds import PIECE, TooLong, opened_pieces
from gpuctl.host.look.deadline import within
from gpuctl.host.look.http import HEAD_LIMIT, connection_to, parse_answer, request

_GZIP = b"\x1f\x8b"
_LARGE_PIECE = 1 << 20
_SHARE = 2
"""Of the free space in the temporary folder, gpuctl takes the half and no more."""


@contextlib.contextmanager
def saved(endpoint: str, path: str, limit: int, deadline: float) -> Iterator[BinaryIO]:
    """Gives the body of a GET as a file. Raises OSError, DeadlineExceeded, and ValueError for no HTTP, or no 200.

    `limit` in bytes, `deadline` in seconds for all of it.
    """
    with tempfile.TemporaryFile(prefix="gpuctl-") as file:
        within(deadline, lambda: _receive(endpoint, path, file, limit, deadline))
        file.seek(0)
        yield file


def _receive(endpoint: str, path: str, file: BinaryIO, limit: int, timeout: float) -> None:
    room = min(limit, _free() // _SHARE)
    with connection_to(endpoint, timeout) as connection:
        connection.sendall(request(endpoint, path))
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(PIECE)
            head += piece
            if not piece or len(head) > HEAD_LIMIT + PIECE:
                raise ValueError("the answer is no HTTP/1.0")
        head, _, body = head.partition(b"\r\n\r\n")
        status, _ = parse_answer(head.partition(b"\r\n")[0] + b"\r\n\r\n")
        if status != 200:
            raise ValueError("HTTP status %d" % status)
        size = 0
        while body:
            size += len(body)
            if size > room:
                raise TooLong(room, "the image is larger than", " (what there is room for)" if room < limit else "")
            file.write(body)
            body = connection.recv(_LARGE_PIECE)


def _free() -> int:
    place = os.statvfs(tempfile.gettempdir())
    return place.f_bavail * place.f_frsize


@contextlib.contextmanager
def unpacked_file(packed: BinaryIO, limit: int) -> Iterator[BinaryIO]:
    """Gives what gzip packed into a file as a file of its own. Raises OSError, TooLong among them."""
    room = min(limit, _free() // _SHARE)
    with tempfile.TemporaryFile(prefix="gpuctl-") as file:
        size = 0
        for text in opened_pieces(iter(lambda: packed.read(PIECE), b"")):
            size += len(text)
            if size > room:
                raise TooLong(room, after=" when unpacked")
            file.write(text)
        file.seek(0)
        yield file


def is_gzip(beginning: bytes) -> bool:
    """Returns whether a file that begins so is packed by gzip."""
    return beginning.startswith(_GZIP)

"""How much is taken from outside: the one reader of files, programs, sockets and packed texts.

What is longer is no answer, as a piece of it would be read as the whole; only of a log the end counts by itself.
What of it is shown steers no terminal.
"""

from __future__ import annotations

import errno
import itertools
import zlib
from typing import Callable, Iterator

PIECE = 1 << 16
TEXT_LIMIT = 4 << 20
"""Bytes of a file, and of what a program prints."""
ANSWER_LIMIT = 16 << 20
"""Bytes of an answer over a socket."""
FILE_LIMIT = 64 << 20
"""Bytes of a file that a person named, or that is to be replaced."""
OPENED_PIECE = 1 << 20
"""Bytes: a packed piece can hold a thousand times as much."""
LONGEST_WAIT = 86_400.0
"""Seconds: a day. Far longer times overflow the clocks, and nan is no time at all."""
ENDLESS = 64 << 20
"""Bytes after which a program that prints is ended, though only the end of what it prints is kept."""


class TooLong(OSError):
    """There was more than the limit; `words` say so, as those of any error of the system do."""

    def __init__(self, limit: int, words: str = "larger than", after: str = "") -> None:
        self.words = "%s %s%s" % (words, amount(limit), after)
        super().__init__(errno.EFBIG, self.words)


def amount(limit: int) -> str:
    """Returns a number of bytes for people: 4 MiB, 128 KiB."""
    return "%d MiB" % (limit >> 20) if limit >= 1 << 20 else "%d KiB" % (limit >> 10)


def plain(text: str) -> str:
    """Returns text that cannot steer a terminal: control and direction characters become U+FFFD."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def with_end(text: str, letters: int, beginning: int = 0) -> str:
    """Returns a text of so many letters at most: where it is longer, its beginning and its end.

    Errors nest: what failed first, which is why all else did, stands last.
    """
    if len(text) <= letters:
        return text
    return "%s…%s" % (text[:beginning], text[1 + beginning - letters :])


def whole(read: Callable[[int], bytes], limit: int, words: str = "larger than") -> bytes:
    """Returns all that `read` gives, asked for a piece at a time until it gives none. Raises TooLong, OSError.

    In pieces also because /proc/sys refuses a single large read with ENOMEM.
    """
    raw = bytearray()
    while True:
        piece = read(PIECE)
        if not piece:
            return bytes(raw)
        raw += piece
        if len(raw) > limit:
            raise TooLong(limit, words)


def unpacked(raw: bytes, limit: int) -> bytes:
    """Returns what gzip packed: a few bytes can hold gigabytes. Raises TooLong, and OSError where it is damaged."""
    try:
        unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)  # 16: with gzip's header
        text = unpack.decompress(raw, limit + 1)
    except zlib.error as error:
        raise OSError(errno.EINVAL, "gzip cannot have packed this") from error
    if len(text) > limit:
        raise TooLong(limit, after=" when unpacked")
    if not unpack.eof:
        raise OSError(errno.EINVAL, "it is cut off")
    return text


def opened_pieces(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yields what gzip packed into these pieces, each no longer than OPENED_PIECE; others as they are.

    Raises OSError where it is damaged.
    """
    first = next(pieces, b"")
    if not first.startswith(b"\x1f\x8b"):
        yield first
        yield from pieces
        return
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        for piece in itertools.chain([first], pieces):
            while piece:
                yield unpack.decompress(piece, OPENED_PIECE)
                piece = unpack.unconsumed_tail
                if unpack.eof and unpack.unused_data:  # one packed file behind another is one that is longer
                    piece, unpack = unpack.unused_data, zlib.decompressobj(zlib.MAX_WBITS | 16)
    except zlib.error as error:
        raise OSError(errno.EINVAL, "gzip cannot have packed this") from error
    if not unpack.eof:
        raise OSError(errno.EINVAL, "it is cut off")

"""Messages of Protocol Buffers, as far as containerd's answers need it.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from typing import Iterator, Tuple, Union

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5


def message_of(text: str) -> bytes:
    """Returns the message in a reading, which has each byte as the character of its number. Raises ValueError."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError("not a message of Protocol Buffers") from None


def fields(message: bytes) -> Iterator[Tuple[int, Union[int, bytes]]]:
    r"""Yields each field's number and value: a number, or bytes (text, an inner message). Raises ValueError.

    \x0a\x03moby: field 1 is moby
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind, value = tag & 7, 0
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        size = {_FIXED_64: 8, _FIXED_32: 4}.get(kind)
        if kind == _BYTES:
            size, at = _varint(message, at)
        if size is None or at + size > len(message):
            raise ValueError("not a message of Protocol Buffers")
        yield tag >> 3, message[at : at + size]
        at += size


def inner(message: bytes, number: int) -> Iterator[bytes]:
    """Yields every value of a field that holds bytes. Raises ValueError."""
    return (value for found, value in fields(message) if found == number and isinstance(value, bytes))


def _varint(message: bytes, at: int) -> Tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:
        octet = message[at]
        value |= (octet & 127) << shift
        at, shift = at + 1, shift + 7
        if octet < 128:
            return value, at
    raise ValueError("not a message of Protocol Buffers")

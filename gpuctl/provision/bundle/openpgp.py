"""OpenPGP public keys as bytes: what gpgv reads, and the fingerprints by which people know them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator

from gpuctl.provision.packages.key import is_armoured

_BLOCK = re.compile(
    rb"-----BEGIN PGP PUBLIC KEY BLOCK-----[^\n]*\n(.*?)(?:\n=[^\n]*)?\n-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL
)
_PUBLIC_KEY = 6
_VERSION = 4


def binary(key: bytes) -> bytes:
    """Returns a key without its armour: RFC 9580, section 6. Raises ValueError where that is damaged."""
    if not is_armoured(key):
        return key
    blocks = _BLOCK.findall(key.replace(b"\r\n", b"\n"))
    if not blocks:
        raise ValueError("its armour has no end")
    try:
        # What stands before the empty line are headers, such as Version.
        return b"".join(base64.b64decode(block.rpartition(b"\n\n")[2], validate=False) for block in blocks)
    except binascii.Error:
        raise ValueError("its armour is damaged") from None


def fingerprints(key: bytes) -> tuple[str, ...]:
    """Returns the fingerprints of all primary keys in it, in capital hexadecimal digits.

    Source: RFC 9580, sections 4.2 and 5.5.4. Raises ValueError for what is no key, and for keys of another version
    than 4, which is the one that package managers take.
    """
    found = tuple(_fingerprint(body) for tag, body in _packets(binary(key)) if tag == _PUBLIC_KEY)
    if not found:
        raise ValueError("it holds no public key")
    return found


def _fingerprint(body: bytes) -> str:
    if body[:1] != bytes([_VERSION]):
        raise ValueError(f"it holds a key of another version than {_VERSION}")
    # SHA-1 is what the format says; it names the key here, and proves nothing.
    return hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body, usedforsecurity=False).hexdigest().upper()


def _packets(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """The packets of a key, each with its kind. Raises ValueError where one is cut off or of no stated length."""
    at = 0
    while at < len(raw):
        first = raw[at]
        if not first & 0x80:
            raise ValueError("it is no OpenPGP key")
        start, length = _new_length(raw, at) if first & 0x40 else _old_length(raw, at)
        if start + length > len(raw):
            raise ValueError("it is cut off")
        yield first & 0x3F if first & 0x40 else (first >> 2) & 0xF, raw[start : start + length]
        at = start + length


def _old_length(raw: bytes, at: int) -> tuple[int, int]:
    """Where a packet's body begins, and how long it is: RFC 9580, section 4.2.2."""
    size = (1, 2, 4, 0)[raw[at] & 3]
    if not size:
        raise ValueError("it has a packet of no stated length")
    return at + 1 + size, int.from_bytes(raw[at + 1 : at + 1 + size], "big")


def _new_length(raw: bytes, at: int) -> tuple[int, int]:
    """The same in the newer form: RFC 9580, section 4.2.1."""
    first, second = (raw[at + 1 : at + 3] + b"\0\0")[:2]
    if first < 192:
        return at + 2, first
    if first < 224:
        return at + 3, ((first - 192) << 8) + second + 192
    if first == 255:
        return at + 6, int.from_bytes(raw[at + 2 : at + 6], "big")
    raise ValueError("it has a packet of no stated length")

"""A snapshot between the lines of a log, as a pod of a cluster prints it: a log holds text alone, and lines of it.

A line is shorter than the 16 KiB at which engines cut lines in two.
"""

from __future__ import annotations

from base64 import b64decode, b64encode

from gpuctl.bounds import unpacked
from gpuctl.host.record.archive import OPENED_LIMIT

BEGIN, END = "-----BEGIN GPUCTL SNAPSHOT-----", "-----END GPUCTL SNAPSHOT-----"
_LINE = 8192


class NotPrinted(ValueError):
    """A log holds no snapshot, or not all of one; the message says which."""


def printed(raw: bytes) -> str:
    """Returns a snapshot's file as text."""
    text = b64encode(raw).decode("ascii")
    return "\n".join((BEGIN, *(text[at : at + _LINE] for at in range(0, len(text), _LINE)), END, ""))


def read_printed(log: str) -> bytes:
    """Returns the file that a log holds. Raises NotPrinted."""
    _, begun, rest = log.partition(BEGIN)
    text, ended, _ = rest.partition(END)
    if not begun:
        raise NotPrinted("there is no snapshot in it")
    if not ended:
        raise NotPrinted("it ends amid a snapshot")
    try:
        raw = b64decode("".join(text.split()), validate=True)
        unpacked(raw, OPENED_LIMIT)  # it carries its checksum
    except (ValueError, OSError):
        raise NotPrinted("the snapshot in it is damaged") from None
    return raw

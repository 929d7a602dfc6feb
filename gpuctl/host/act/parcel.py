"""A file that a fleet's controller brings to this host in pieces: what was cut off goes on where it ended.

It goes to the host with what else travels (`gpuctl/collector.py`), and needs nothing but Python 3.8. A file is known by
its SHA-256, lies under that name, and only once all of it is there and is that.
"""

from __future__ import annotations

import hashlib
import json
import os
from base64 import b64decode
from contextlib import suppress

from gpuctl.host.trust import check
from gpuctl.host.write.files import FileProblem, explained
from gpuctl.host.write.lock import locked
from gpuctl.host.write.publish import create_public
from gpuctl.host.write.replace import sync

FOLDER = "/var/lib/gpuctl/bundles"
_PART = ".part"
_PIECE = 1 << 20


def place_of(sha256: str) -> str:
    """Returns where a file is to lie on each host."""
    return "%s/%s.bundle" % (FOLDER, sha256)


def held(sha256: str, size: int) -> bytes:
    """Returns how many bytes of a file are here, as JSON: {"bytes": 4194304}. Changes nothing.

    `size` is that of all of it. All of it is here only where its sum is right.
    """
    whole = place_of(sha256)
    try:
        with explained("read", FOLDER):
            if os.path.exists(whole):
                check(whole)
                return _answer(bytes=size if _sum(whole) == sha256 else 0)
            there = os.path.getsize(whole + _PART) if os.path.exists(whole + _PART) else 0
            return _answer(bytes=min(there, size - 1))  # one that a cut left whole is still to be verified
    except FileProblem as problem:
        return _answer(problem=str(problem))


def taken(sha256: str, size: int, begin: int, piece: str) -> bytes:
    """Adds a piece, in base64, that begins at a byte, and returns how many are here then, as `held` does.

    The last one makes it a whole file, and removes other ones. A piece that begins elsewhere than what is here ends is
    left out. What is not what its name says when it is whole is removed.
    """
    try:
        with locked(0.0, "fleet"):
            return _taken(sha256, size, begin, b64decode(piece))
    except FileProblem as problem:
        return _answer(problem=str(problem))


def _taken(sha256: str, size: int, begin: int, raw: bytes) -> bytes:
    whole = place_of(sha256)
    create_public(FOLDER)
    with explained("write", whole + _PART):
        check(FOLDER)
        there = _appended(whole + _PART, begin, raw)
        if there < size:
            return _answer(bytes=there)
        if there > size or _sum(whole + _PART) != sha256:
            os.unlink(whole + _PART)
            return _answer(problem="What arrived is not what was sent, and was removed.")
        os.rename(whole + _PART, whole)
        _remove_others(os.path.basename(whole))
        sync(FOLDER)
    return _answer(bytes=size)


def _appended(path: str, begin: int, raw: bytes) -> int:
    """Writes where the file ends, and returns its size in bytes then."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "ab") as file:
        there = os.fstat(descriptor).st_size
        if there != begin:
            return there
        file.write(raw)
        file.flush()
        os.fsync(descriptor)
        return begin + len(raw)


def _remove_others(name: str) -> None:
    for other in os.listdir(FOLDER):
        if other != name and other.endswith((".bundle", _PART)):
            with suppress(OSError):
                os.unlink(os.path.join(FOLDER, other))


def _sum(path: str) -> str:
    whole = hashlib.sha256()
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(_PIECE), b""):
            whole.update(piece)
    return whole.hexdigest()


def _answer(**told: object) -> bytes:
    return json.dumps(told).encode()

"""A secret on its way from a person to a program: on no disk, in no argument, in no environment."""

from __future__ import annotations

import contextlib
import os
from typing import Iterator

from gpuctl.host.look.deadline import begin

LONGEST = 4096
"""Bytes: what a pipe takes at once (pipe(7))."""


@contextlib.contextmanager
def handed(secret: str, folder: str) -> Iterator[str]:
    """Gives the path, in a folder of this user's alone, at which one program reads the secret, once: a named pipe."""
    path = os.path.join(folder, "secret")
    os.mkfifo(path, 0o600)
    given = begin(lambda: _give(secret, path))
    try:
        yield path
    finally:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))  # whoever still waits for a reader has had one
        given()


def _give(secret: str, path: str) -> None:
    with contextlib.suppress(BrokenPipeError), open(path, "wb", buffering=0) as file:
        file.write(secret.encode())


def read_secret(descriptor: int) -> str:
    """Returns the first line of what a descriptor gives that the shell handed over. Raises OSError, ValueError."""
    with open(os.dup(descriptor), "rb") as file:
        line = file.readline(LONGEST + 1).rstrip(b"\r\n")
    if not line or len(line) > LONGEST:
        raise ValueError("it gives no line, or one that is longer than %d bytes" % LONGEST)
    return line.decode()

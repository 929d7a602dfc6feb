"""A connection to a Unix socket at which root, or this user, listens."""

from __future__ import annotations

import os
import socket
import struct
from typing import Tuple

from gpuctl.host.trust import Distrusted, check, distrusted_user

CHECK_SECONDS = 3.0
_UCRED = struct.Struct("3i")


def connected(path: str, timeout: float) -> socket.socket:
    """Returns a socket that is connected, `timeout` in seconds for each exchange. Raises OSError, Distrusted."""
    client = _connected(path, timeout)
    doubt = distrusted_user(listener(client)[1])
    if doubt:
        client.close()
        raise Distrusted(doubt)
    return client


def check_listener(path: str) -> None:
    """Raises Distrusted where others than root and this user listen, or could put another socket there. Raises OSError.

    For those who connect by themselves afterwards.
    """
    check(os.path.dirname(path))
    connected(path, CHECK_SECONDS).close()


def peer(path: str, timeout: float) -> int:
    """Returns the id of the process that listens at a socket, whosever it is. Raises OSError."""
    with _connected(path, timeout) as client:
        return listener(client)[0]


def listener(client: socket.socket) -> Tuple[int, int]:
    """Returns the ids of the process that listens, and of its user, as the kernel knows them (unix(7), SO_PEERCRED).

    Under socket activation that is systemd.
    """
    pid, uid, _ = _UCRED.unpack(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(pid), int(uid)


def _connected(path: str, timeout: float) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.settimeout(timeout)
        client.connect(path)
    except OSError:
        client.close()
        raise
    return client

"""One gRPC call: what comes of a server that is none, is silent, or lies. Real answers: test_containerd.py."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from gpuctl.facts.containerd.protobuf import fields
from gpuctl.host.look.local import LocalHost
from gpuctl.host.look.reading import Outcome

METHOD = "/runtime.v1.RuntimeService/Status"


def frame(kind: int, flags: int, payload: bytes, stream: int = 1) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


SETTINGS = frame(4, 0, b"", 0)
MESSAGE = b"\0\0\0\0\3abc"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[[bytes, bool], str]]:
    """`server(answer, stay)` listens, answers whoever connects with these bytes, and hangs up unless it stays."""
    with ExitStack() as stack:

        def listen(answer: bytes, stay: bool = False) -> str:
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(tmp_path / "s"))
            listener.listen()

            def serve() -> None:
                connection, _ = listener.accept()
                stack.callback(connection.close)
                connection.recv(1 << 16)
                connection.sendall(answer)
                if not stay:
                    with suppress(OSError):  # the test may have ended
                        connection.shutdown(socket.SHUT_RDWR)

            threading.Thread(target=serve, daemon=True).start()
            return f"unix://{tmp_path}/s"

        yield listen


@pytest.mark.parametrize(
    ("answer", "outcome", "text", "detail"),
    [
        (SETTINGS + frame(1, 4, b"") + frame(0, 0, MESSAGE) + frame(1, 5, b""), Outcome.OK, "abc", ""),
        (frame(0, 0, MESSAGE[:4]) + frame(0, 1, MESSAGE[4:]), Outcome.OK, "abc", ""),
        (SETTINGS + frame(1, 5, b""), Outcome.OK, "", "it does not know this call, or refuses it"),
        (frame(0, 1, MESSAGE[:-1]), Outcome.ERROR, "", "its answer is not one message"),
        (frame(3, 0, b"\0\0\0\1"), Outcome.ERROR, "", "it refuses the call"),
        (b"", Outcome.ERROR, "", "it closed the connection"),
        (SETTINGS[:3], Outcome.ERROR, "", "it closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Outcome.ERROR, "", "it closed the connection"),
    ],
    ids=range(8),
)
def test_a_reply_is_taken_and_anything_else_has_a_reason(
    server: Callable[..., str], answer: bytes, outcome: Outcome, text: str, detail: str
) -> None:
    reading = LocalHost().call(server(answer), METHOD)
    assert (reading.outcome, reading.text, reading.detail) == (outcome, text, detail)
    assert reading.ok == (text == "abc")


@pytest.mark.parametrize("answer", [b"", SETTINGS * 3, frame(0, 0, b"x" * 1000)[:500]], ids=range(3))
def test_a_server_that_does_not_end_its_answer_is_left_at_the_deadline(
    server: Callable[..., str], answer: bytes
) -> None:
    assert LocalHost().call(server(answer, True), METHOD, deadline=0.3).outcome is Outcome.TIMEOUT


def test_where_there_is_no_socket_nothing_is_there(tmp_path: Path) -> None:
    assert LocalHost().call(f"unix://{tmp_path}/none", METHOD).outcome is Outcome.ABSENT


@pytest.mark.parametrize("message", [b"\x0a\x05ab", b"\x0a", b"\xff" * 20, b"\x0b", b"\x09\x01"], ids=range(5))
def test_what_is_no_message_is_said_to_be_none(message: bytes) -> None:
    with pytest.raises(ValueError, match="not a message"):
        list(fields(message))

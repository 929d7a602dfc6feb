"""Looks at the machine that the tests run on: what is no whole answer is none."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gpuctl.bounds import ANSWER_LIMIT, TEXT_LIMIT
from gpuctl.host.look import http, local
from gpuctl.host.look.local import LocalHost
from gpuctl.host.look.reading import Outcome


class Endless(BaseHTTPRequestHandler):
    """Answers with as many bytes as the path says."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"x" * int(self.path[1:]))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endless() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Endless)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"tcp://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("there", ["missing.sock", "file/docker.sock"])
def test_where_no_socket_is_the_answer_is_the_same_with_and_without_a_connection(there: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    endpoint = f"unix://{tmp_path}/{there}"
    assert LocalHost().get(endpoint, "/version") == http.get(endpoint, "/version", 5.0)


def test_a_file_is_read_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * TEXT_LIMIT)
    assert len(LocalHost().read(str(file)).text) == TEXT_LIMIT
    file.write_bytes(b"x" * (TEXT_LIMIT + 1))
    long = LocalHost().read(str(file))
    assert (long.outcome, long.text, long.detail) == (Outcome.ERROR, "", "larger than 4 MiB")


def test_files_read_at_once_are_each_as_if_read_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    paths = [str(tmp_path / "a"), str(tmp_path / "none"), str(tmp_path), "/proc/self/comm"]
    host = LocalHost()
    assert host.read_all(paths) == [host.read(path) for path in paths]
    assert host.read_all([]) == []


def test_of_files_read_at_once_those_before_one_that_blocks_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    released, read = threading.Event(), local._read_text
    monkeypatch.setattr(local, "FILE_DEADLINE", 0.2)
    monkeypatch.setattr(local, "_read_text", lambda path: read(path) if path != "/stuck" else str(released.wait()))
    seen = LocalHost().read_all(["/proc/self/comm", "/stuck", "/proc/1/comm"])
    released.set()
    assert [(one.source, one.outcome) for one in seen] == [
        ("/proc/self/comm", Outcome.OK),
        ("/stuck", Outcome.TIMEOUT),
        ("/proc/1/comm", Outcome.TIMEOUT),
    ]


def test_what_a_command_prints_is_taken_as_a_whole_or_not_at_all() -> None:
    assert len(LocalHost().run(["head", "-c", str(TEXT_LIMIT), "/dev/zero"]).text) == TEXT_LIMIT
    long = LocalHost().run(["head", "-c", str(TEXT_LIMIT + 1), "/dev/zero"])
    assert (long.outcome, long.text, long.detail) == (Outcome.ERROR, "", "it printed more than 4 MiB")


def test_an_answer_is_taken_as_a_whole_or_not_at_all(endless: str) -> None:
    assert len(LocalHost().get(endless, f"/{ANSWER_LIMIT}").text) == ANSWER_LIMIT
    long = LocalHost().get(endless, f"/{ANSWER_LIMIT + 1}")
    assert (long.outcome, long.text, long.detail) == (Outcome.ERROR, "", "the answer is longer than 16 MiB")


def test_the_time_of_boot_is_the_same_whenever_it_is_asked() -> None:
    told = [float(LocalHost().env("booted").text) for _ in range(200)]
    assert max(told) - min(told) < 0.003
    coarse = [time.time() - float(Path("/proc/uptime").read_text().split()[0]) for _ in told]
    assert min(abs(told[0] - one) for one in coarse) < 0.1


@pytest.mark.parametrize("path", ["/x\0y", "/x\ud800"])
def test_at_a_path_that_no_file_can_have_there_is_none(path: str) -> None:
    for look in (LocalHost().read, LocalHost().stat, LocalHost().list, LocalHost().link):
        assert look(path).outcome is Outcome.ABSENT

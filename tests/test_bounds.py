"""What comes from outside is taken up to a limit; whatever it holds, gpuctl answers, refuses or is ended at once."""

from __future__ import annotations

import gzip
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from simhost import warm
from simhost.process import PATIENCE

from gpuctl.bounds import ENDLESS, TEXT_LIMIT
from gpuctl.compat.answer.answer import check
from gpuctl.compat.ask import smi
from gpuctl.compat.ask.image_claims import Expression
from gpuctl.compat.ask.question import Machine, Question
from gpuctl.compat.judge.gate.gate import LONGEST, Gate
from gpuctl.compat.knowledge.errors.failures import families
from gpuctl.compat.knowledge.gpus.gpus import find_gpu
from gpuctl.documents import JSON_DEPTH, PARTS_LIMIT, TOML_DEPTH, TooMuch, load_json, load_toml
from gpuctl.host.act.process import run_long
from gpuctl.host.look.local import LocalHost
from gpuctl.host.look.reading import Outcome

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parent / "snapshots"
GPUCTL = (sys.executable, "-m", "gpuctl")
MEMORY = 300 << 20


def limited(seconds: int) -> Callable[[], None]:
    """What a child process goes by: so much processor time for it and for each of its own, and 300 MB."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))

    return limit


# Programs


@pytest.mark.parametrize("script", ["yes", "yes >&2", "yes & yes >&2", "yes & wait"])
def test_a_program_that_prints_for_ever_is_ended_and_takes_no_memory(script: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = LocalHost().run(["sh", "-c", script], PATIENCE)
    assert (said.outcome, said.text, said.detail) == (Outcome.ERROR, "", "it printed more than 4 MiB")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * TEXT_LIMIT / 1024


def test_a_long_command_that_prints_for_ever_is_ended_with_its_last_words() -> None:
    said = run_long(["yes", "Setting up"], 600.0)
    assert (said.outcome, said.detail) == (Outcome.ERROR, "it printed more than 64 MiB")
    assert "\nSetting up\nSetting up\n" in said.text


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a program into the place of journalctl."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def put(script: str) -> None:
        (tmp_path / "journalctl").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "journalctl").chmod(0o755)

    return put


def test_of_a_long_log_the_end_is_read_from_a_whole_line_on(journal: Callable[[str], None]) -> None:
    journal("seq -f 'line %.0f' 1000000; echo the end")
    said = LocalHost().run(["journalctl"], PATIENCE)
    assert said.ok and said.text.endswith("line 1000000\nthe end\n") and said.text.startswith("line ")
    assert TEXT_LIMIT - 20 < len(said.text) <= TEXT_LIMIT
    assert said.detail == "only the end of it is read: it printed more than 4 MiB\n"


def test_a_log_without_end_is_no_answer(journal: Callable[[str], None]) -> None:
    journal("exec yes")
    assert LocalHost().run(["journalctl"], PATIENCE).detail == f"it printed more than {ENDLESS >> 20} MiB"


def test_a_service_that_a_command_leaves_behind_does_not_keep_the_answer() -> None:
    said = LocalHost().run(["sh", "-c", "sleep 600 & echo $!"], PATIENCE)
    assert said.ok
    os.kill(int(said.text), signal.SIGKILL)


# Sockets


@pytest.fixture
def server() -> Iterator[Callable[[bytes, bytes, float], str]]:
    """Says a beginning to whoever connects, and a piece for ever; `gone` is set when nobody listens any more."""
    listener = socket.create_server(("127.0.0.1", 0))
    gone.clear()

    def serve(begin: bytes, piece: bytes, pause: float) -> None:
        connection = listener.accept()[0]
        try:
            connection.sendall(begin)
            while True:
                connection.sendall(piece)
                time.sleep(pause)
        except OSError:
            gone.set()

    def start(begin: bytes, piece: bytes, pause: float) -> str:
        threading.Thread(target=serve, args=(begin, piece, pause), daemon=True).start()
        return f"tcp://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    listener.close()


gone = threading.Event()


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"xxxxxx"),
        (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"HTTP/1.1 200"),
    ],
)
@pytest.mark.parametrize(
    ("times", "pause", "deadline", "detail"),
    [(10_000, 0, PATIENCE, "the answer is longer than 16 MiB"), (1, 0.01, 1.0, "no answer within 1 s")],
)
def test_a_server_that_never_stops_is_hung_up_on(
    server: Callable[[bytes, bytes, float], str],
    begin: bytes,
    piece: bytes,
    times: int,
    pause: float,
    deadline: float,
    detail: str,
) -> None:
    said = LocalHost().get(server(begin, piece * times, pause), "/info", deadline)
    assert (said.ok, said.text, said.detail[: len(detail)]) == (False, "", detail)
    assert gone.wait(300)


# Files and documents


def test_a_pipe_in_the_place_of_a_file_holds_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert LocalHost().read(str(tmp_path / "fifo")).detail == "not a regular file"


@pytest.mark.parametrize(
    ("load", "text"),
    [
        (load_json, "[" * (JSON_DEPTH + 1) + "]" * (JSON_DEPTH + 1)),
        (load_json, '{"a":' * (JSON_DEPTH + 1) + "1" + "}" * (JSON_DEPTH + 1)),
        (load_json, "[" + "[]," * (PARTS_LIMIT + 1) + "[]]"),
        (load_toml, "a." * TOML_DEPTH + "b.c = 1"),
        (load_toml, "[" + '"a" . ' * TOML_DEPTH + "b.c]"),
        (load_toml, "x = {" + "a." * TOML_DEPTH + "b.c = 1}"),
        (load_toml, "x = " + "[" * (TOML_DEPTH + 1) + "]" * (TOML_DEPTH + 1)),
        (load_toml, "# " * (1 << 20)),
    ],
)
def test_a_document_with_too_much_in_it_is_seen_by_no_parser(load: Callable[[str], object], text: str) -> None:
    with pytest.raises(TooMuch, match=r"^it (is nested more than \d+ levels deep|has more than|is longer than)"):
        load(text)


def test_signs_in_strings_and_comments_are_no_levels() -> None:
    signs = "[{." * 200
    assert load_json(json.dumps({"a": signs + '\\"'})) == {"a": signs + '\\"'}
    text = (
        f'a = "{signs}\\"{signs}" # {signs}\nb = \'{signs}\\\'\nc = \'\'\'\n{signs}\'\n\'\'\'\nd = """{signs}"\n"""\n'
    )
    assert load_toml(text * 1)["b"] == signs + "\\"
    lines = "".join(f"k{number} = 1.5\n[t{number}.a]\n" for number in range(1000))
    assert len(load_toml(lines)) == 1001


def test_a_requirement_that_no_variable_can_hold_is_refused_in_one_sentence() -> None:
    gate = Gate(None, (Expression("NVIDIA_REQUIRE_CUDA", "cuda>=12.4 " * (LONGEST // 11 + 1)),))
    answer = check(Question((), gate), Machine("535.104.05", (find_gpu("A100"),)))
    assert [reason.message for gpu in answer.gpus for reason in gpu.reasons] == [
        "NVIDIA_REQUIRE_CUDA is longer than 128 KiB, which no program can be given: no container starts with it."
    ]


# What nvidia-smi printed

PASTED = (
    "| NVIDIA-SMI 550.54.15    Driver Version: 550.54.15    CUDA Version: 12.4 |\n"
    "|   0  NVIDIA A100-SXM4-40GB   On  |   00000000:07:00.0 Off |     0 |\n"
)


@pytest.mark.parametrize(
    "piece",
    ["x", " ", "| 0 a ", "<a", "<x_licensed_product>", "vGPU Software Licensed Product\n", "GPU 0: A ", "\n", "0 a   "],
)
@pytest.mark.parametrize("first", ["", "GPU 0: A", "0 a", "Product Name : A"])
def test_a_pasted_text_is_read_in_time_that_grows_as_it_does(first: str, piece: str) -> None:
    text = (PASTED + first + piece * (smi.LARGEST // len(piece)))[: smi.LARGEST]
    began = time.process_time()
    with suppress(ValueError):
        assert smi.machine_of_smi(text).driver == "550.54.15"
    assert time.process_time() - began < 10  # a square would take hours


def test_a_pasted_text_that_no_host_prints_is_refused_in_one_sentence(tmp_path: Path) -> None:
    many, long = tmp_path / "many", tmp_path / "long"
    many.write_text(PASTED + PASTED.splitlines(keepends=True)[1] * 2000)
    long.write_text(PASTED + "x" * smi.LARGEST)
    for file, words in ((many, "names more GPUs than any host has"), (long, "it is larger than 4 MiB")):
        done = warm.gpuctl("check", "--smi", str(file), "--cuda", "12.4")
        assert (done.returncode, words in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr


# Error text


def test_a_line_of_megabytes_full_of_failures_is_read_in_seconds() -> None:
    cores = " ".join(core.replace("*", "x") for family in families().values() for core in family.cores)
    read = (
        "import io, sys; from gpuctl.diagnose.scan import scan; print(len(scan(io.BytesIO(sys.stdin.buffer.read()))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", read],
        input=cores.encode() * (20_000_000 // len(cores)),
        capture_output=True,
        check=True,
        preexec_fn=limited(20),
    )
    assert int(done.stdout) > 50


# Snapshots


def hostile(text: str, host: str = "dgx-a100") -> bytes:
    """A recorded host that says this behind everything it said."""
    head, *lines = (FOLDER / f"{host}.jsonl").read_text().splitlines()
    readings = [json.loads(line) for line in lines]
    for one in readings:
        if one["kind"] not in ("stat", "env"):
            one.update(text=one.get("text", "") + text, outcome="ok")
    return "\n".join([head, *map(json.dumps, readings)]).encode()


SNAPSHOTS = {
    "blanks": lambda: hostile(" " * 80_000),
    "newlines": lambda: hostile("\n" * 40_000),
    "dotted keys": lambda: hostile("a." * 40_000 + "a = 1\n"),
    "brackets": lambda: hostile("[" * 80_000),
    "tables": lambda: hostile("\n[a]\nb = {}\n" * 6000),
    "YAML": lambda: hostile("\n- &a [*a, *a]\n" * 6000),
    "one reading": lambda: (
        hostile("")
        + b"\n"
        + json.dumps({"kind": "read", "source": "/etc/containerd/config.toml", "text": "a." * 2_000_000}).encode()
    ),
    "a bomb of lists": lambda: b'{"schema": "gpuctl.snapshot/1", "taken": [' + b"[]," * 4_000_000 + b"[]]}",
    "a bomb": lambda: b'{"schema": "gpuctl.snapshot/1"}' + b" " * (256 << 20),
}


@pytest.mark.parametrize("what", SNAPSHOTS)
@pytest.mark.parametrize("command", ["doctor", "history"])
def test_any_snapshot_is_answered_or_refused_in_seconds_and_little_memory(
    what: str, command: str, tmp_path: Path
) -> None:
    file = tmp_path / "host.gz"
    file.write_bytes(gzip.compress(SNAPSHOTS[what](), 1))
    done = subprocess.run(
        [*GPUCTL, command, "--from", file], capture_output=True, text=True, check=False, preexec_fn=limited(6)
    )
    assert done.returncode in (0, 1, 2, 3), done.stderr[:2000]
    assert "Traceback" not in done.stderr and len(done.stderr) < 2000


BUSY = """
import sys
from gpuctl.host.act import confined
from gpuctl.host.record import archive
confined.SECONDS = int(sys.argv[1])
def busy(raw):
    print("judging", flush=True)
    import re, threading
    thread = threading.Thread(target=re.match, args=("(a*)*b", "a" * 60))  # in C, and for years: deaf to all signals
    thread.start()
    thread.join()
archive.decode = busy
sys.argv = ["gpuctl", "doctor", "--from", sys.argv[2]]
from gpuctl.__main__ import main
main()
"""


def busy(seconds: int) -> subprocess.Popen[str]:
    """The real command, with a parser that never ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, str(seconds), FOLDER / "wsl2.jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdout.readline() == "judging\n"
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_gpuctl_whatever_a_snapshot_keeps_it_busy_with(number: int, code: int) -> None:
    process = busy(3600)
    child = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]
    try:
        process.send_signal(number)
        assert (process.wait(300), process.communicate()[1]) == (code, "gpuctl: interrupted.\n")
        assert not Path("/proc", child).exists()
    finally:  # it would be busy for an hour
        process.kill()
        with suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGKILL)


def test_what_takes_too_long_to_judge_is_not_judged() -> None:
    process = busy(1)
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 3
    assert said.endswith("wsl2.jsonl was not judged: it takes more than 1 seconds of processor time.\n"), said

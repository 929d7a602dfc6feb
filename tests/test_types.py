"""What others write is of any type: a wrong one is one sentence on that fact, and takes nothing down."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simhost import is_running, until
from synthetic import FOLDER, snapshots

from gpuctl.checks.every import diagnose
from gpuctl.facts.docker.daemon import State, probe_daemon
from gpuctl.facts.docker.endpoint import Endpoint
from gpuctl.facts.gather import Missing, gather
from gpuctl.facts.gpu.nvml import parse_nvml
from gpuctl.host.look.local import LocalHost
from gpuctl.host.look.reading import Reading
from gpuctl.host.record.archive import BadSnapshot, Snapshot, decode, encode, lines
from gpuctl.images.documents import CONFIGS, INDEXES, MANIFESTS, parse_config, parse_manifest
from gpuctl.render.formats.json import doctor_json
from gpuctl.render.views.changes import diff_text
from gpuctl.render.views.doctor import report_text
from gpuctl.smoke.container import ContainerSpec, EngineError, connect, run
from gpuctl.smoke.pull import is_local
from gpuctl.smoke.request import ALL

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
RECORDED = [decode(path.read_bytes()) for path in snapshots()]
OTHERS = st.sampled_from(
    [None, True, -1, 10**30, 1e308, float("nan"), "", "x", "9" * 5000, "\ud800", "\u202e\x1b[2J", [], {}, [None], [{}]]
)
WORDS = st.sampled_from(["", "\0", "²", "-1", "nan", "1e999", "9" * 30, "[", "null", "LoadState=loaded", "1 (x) " * 40])


def gpuctl(*argv: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gpuctl", *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT, check=False, **options)


def with_another(value: Any, pick: Callable[[int], int], other: Any) -> Any:
    """The value, with one of those in it, or itself, replaced by another."""
    inner = dict(value if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    chosen = pick(len(inner))
    if chosen == len(inner):
        return other
    key = list(inner)[chosen]
    inner[key] = with_another(inner[key], pick, other)
    return inner if isinstance(value, dict) else list(inner.values())


def changed_text(data: st.DataObject, text: str) -> str:
    """A JSON text with a value of another type, of other texts one with other words."""
    documents = text.splitlines() if text.startswith("{") else [text]
    number = data.draw(st.integers(0, len(documents) - 1)) if documents else 0
    try:
        value = json.loads(documents[number])
    except (ValueError, IndexError):
        words = text.split(" ")
        words[data.draw(st.integers(0, len(words) - 1))] = data.draw(WORDS)
        return " ".join(words)
    other = with_another(value, lambda most: data.draw(st.integers(0, most)), data.draw(OTHERS))
    documents[number] = json.dumps(other)
    return "".join(document + "\n" for document in documents)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_values_of_other_types_are_unknown_and_nothing_fails(data: st.DataObject) -> None:
    recorded = data.draw(st.sampled_from(RECORDED))
    readings = dict(recorded.readings)
    for name in data.draw(st.lists(st.sampled_from(sorted(readings)), min_size=1, max_size=5)):
        readings[name] = replace(readings[name], text=changed_text(data, readings[name].text))
    try:
        facts = gather(decode(encode(replace(recorded, readings=readings))).host)
    except BadSnapshot:
        return
    assert [seen for seen in facts.found.values() if isinstance(seen, Missing)] == []
    report = diagnose(facts)
    assert [one.message for one in report.findings if "crashed" in one.message] == []
    assert report_text(report, facts, verbose=True).plain
    json.loads(doctor_json(report, facts), parse_constant=pytest.fail)


def put(snapshot: Snapshot, name: str, old: str, new: str) -> Snapshot:
    """The snapshot, whose reading of that name says something else."""
    key, reading = next((key, reading) for key, reading in snapshot.readings.items() if name in key)
    assert old in reading.text
    changed = replace(reading, text=reading.text.replace(old, new))
    return replace(snapshot, readings={**snapshot.readings, key: changed})


@pytest.mark.parametrize(
    "name, old, new, words",
    [
        (
            "GET /version",
            '"Version"',
            '"Version": [], "_"',
            "not Docker's: its Version is no text but a list",
        ),
        ("GET /version", '"Version"', '"Version": null, "_"', "not Docker's: its Version is missing"),
        ("GET /info", '"Runtimes": {', '"Runtimes": {"kata": 7, ', "its kata is no JSON object but a number"),
        ("nvml:", '"count"', '"count": "8", "_"', "not understood: its count is no whole number but a text"),
        ("nvml:", '"count"', '"count": 1e99, "_"', "its count is no whole number but a number"),
        ("nvml:", '"count"', f'"count": {10**12}, "_"', "its count is out of range"),
        ("nvml:", '"memory"', '"memory": -1, "_"', "its memory is out of range"),
        ("nvml:", '"persistence"', '"mig": NaN, "_"', "not understood: it is not JSON"),
    ],
)
def test_a_wrong_type_is_one_sentence_that_names_it(name: str, old: str, new: str, words: str, tmp_path: Path) -> None:
    recorded = decode((FOLDER / "dgx-a100.jsonl").read_bytes())
    file = tmp_path / "host.jsonl"
    file.write_text(lines(put(recorded, name, old, new)))
    done = gpuctl("doctor", "--json", "--from", file)
    unknown = [one["message"] for one in json.loads(done.stdout)["findings"] if one["status"] == "unknown"]
    assert unknown and all(words in message for message in unknown), unknown
    assert (done.returncode, done.stderr) == (3, "")


@pytest.mark.parametrize(
    "line",
    [
        '{"schema": "gpuctl.snapshot/1", "at": 1e15}',
        '{"schema": "gpuctl.snapshot/1", "at": -1}',
        '{"schema": "gpuctl.snapshot/1"}\n{"kind": "read", "source": "/x", "text": "a", "text": "b"}',
        '{"schema": "gpuctl.snapshot/1"}\n{"kind": "stat", "source": "/x", "text": "{}"}',
    ],
)
def test_a_snapshot_that_cannot_be_gone_by_is_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "host.jsonl").write_text(line)
    done = gpuctl("doctor", "--from", tmp_path / "host.jsonl")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


@contextmanager
def docker_that_says(answers: dict[str, Any], folder: Path) -> Iterator[Endpoint]:
    """A server at a real socket, where Docker would listen."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answers.get(self.path, [])).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_DELETE = do_GET

        def log_message(self, *_: object) -> None:
            pass

        def address_string(self) -> str:
            return ""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_UNIX

        def server_bind(self) -> None:
            self.socket.bind(self.server_address)

    path = folder / "docker.sock"
    with Server(str(path), Handler) as server:  # type: ignore[arg-type]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield Endpoint(f"unix://{path}", "DOCKER_HOST")
        server.shutdown()
    path.unlink()


DOCKER = {
    "/version": {
        "Version": "28.5.1",
        "ApiVersion": "1.51",
        "MinAPIVersion": "1.24",
        "Components": [{"Name": "Engine"}],
    },
    "/info": {
        "Runtimes": {"runc": {"path": "runc"}, "io.containerd.runc.v2": {"path": ""}},
        "DefaultRuntime": "runc",
        "SecurityOptions": ["name=cgroupns"],
        "CDISpecDirs": ["/etc/cdi"],
        "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}],
        "ContainersRunning": 2,
        "LiveRestoreEnabled": False,
    },
    "/images/json": [{"RepoTags": ["a:1"]}, {"RepoTags": None}],
}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_docker_that_answers_anything_is_told_or_unclear(tmp_path_factory: Any, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(DOCKER)))
    other = with_another(DOCKER[path], lambda most: data.draw(st.integers(0, most)), data.draw(OTHERS))
    folder = tmp_path_factory.mktemp("docker")
    with docker_that_says({**DOCKER, path: other}, folder) as endpoint:
        found = probe_daemon(LocalHost(), endpoint, None)
    if found.state is State.ANSWERS:
        assert found.daemon.value is not None and found.daemon.value.version
    else:
        assert (found.daemon.unknown or "").startswith("the answer is not Docker's: it")


def test_a_docker_that_answers_the_sdk_with_another_type_is_not_understood(tmp_path: Path) -> None:
    with docker_that_says(DOCKER, tmp_path) as endpoint:
        client = connect(endpoint.url)
        with pytest.raises(EngineError, match="Docker's answer is not understood"):
            is_local(client, "a:1")
        with pytest.raises(EngineError, match="Docker's answer is not understood"):
            run(client, ContainerSpec("a:1", ALL, None), seconds=300.0)


PART = {"mediaType": CONFIGS[0], "digest": "sha256:" + "0" * 64}
MANIFEST = {"schemaVersion": 2, "mediaType": MANIFESTS[0], "config": PART}
LISTED = {**PART, "mediaType": MANIFESTS[0], "platform": {"os": "linux", "architecture": "amd64"}}
INDEX = {"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": [LISTED]}
CONFIG = {"os": "linux", "architecture": "amd64", "config": {"Env": ["A=1"]}}


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_what_a_registry_serves_is_an_image_or_a_sentence(data: st.DataObject) -> None:
    document = data.draw(st.sampled_from([MANIFEST, INDEX, CONFIG]))
    other = with_another(document, lambda most: data.draw(st.integers(0, most)), data.draw(OTHERS))
    raw = json.dumps(other).encode()
    try:
        found = parse_config(raw) if document is CONFIG else parse_manifest(raw, "")
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        str(found).encode()


@pytest.mark.parametrize("value", ["1.2.3.x", "²", "", "LoadState=loaded", "9" * 400])
def test_a_version_that_is_none_is_not_taken_for_one(value: str) -> None:
    with pytest.raises(ValueError, match="is no version"):
        parse_nvml(json.dumps({"driver": value, "count": 0}) + "\n")


def open_files(limit: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


@pytest.mark.parametrize("limit", [6, 8, 12])
def test_where_no_file_can_be_opened_what_was_not_seen_is_unknown(limit: int) -> None:
    for argv in (("doctor",), ("check", "--cuda", "12.4"), ("history",)):
        done = gpuctl(*argv, preexec_fn=open_files(limit))
        assert done.returncode in (0, 1, 3), done.stderr
        assert "failed to read" not in done.stdout and "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="a limit of processes does not hold for root, who becomes another user")
def test_where_no_thread_can_be_started_all_is_unknown_in_a_sentence() -> None:
    able = "+dac_override,+dac_read_search"  # the tests' Python may lie where others cannot look
    limited = [
        "prlimit",
        "--nproc=1",
        "setpriv",
        "--reuid=54321",
        "--clear-groups",
        f"--inh-caps={able}",
        f"--ambient-caps={able}",
    ]
    for argv in (("doctor",), ("history",), ("check", "--cuda", "12.4")):
        done = subprocess.run(
            [*limited, sys.executable, "-m", "gpuctl", *argv],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=ROOT,
            check=False,
        )
        assert (done.returncode, done.stderr) == (3, "")
        assert "start no more threads" in done.stdout and "failed to read" not in done.stdout


STEERING = "\x1b[31m\x9b2J\u202e\x7f\u2066"


def test_nothing_that_others_wrote_steers_a_terminal(tmp_path: Path) -> None:
    recorded = decode((FOLDER / "dgx-a100.jsonl").read_bytes())
    evil = {
        name: Reading(
            one.source,
            one.outcome,
            one.text.replace('"Version": "', f'"Version": "{json.dumps(STEERING)[1:-1]}'),
            one.code,
        )
        for name, one in recorded.readings.items()
    }
    file = tmp_path / "host.jsonl"
    file.write_text(lines(replace(recorded, readings=evil)))
    for argv in (("--json",), ("-v",), ("--format=junit",), ("--format=nagios",), ("--only", f"x{STEERING}")):
        done = gpuctl("doctor", "--from", file, *argv)
        said = done.stdout + done.stderr
        assert said and not set(STEERING) & set(said) - set("[31m2J"), argv


def test_tabs_of_a_file_are_tabs_in_its_diff() -> None:
    shown = diff_text('+\t"runtimes": {\x1b\u202e}\r\n').plain
    assert shown == '+\t"runtimes": {\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}}\n'


def test_a_second_signal_leaves_no_child_behind(tmp_path: Path) -> None:
    """The program, which ends at SIGKILL alone, stands for a command that hangs when gpuctl is told to end."""
    program, born = tmp_path / "nvidia-smi", tmp_path / "born"
    program.write_text(f"#!/bin/sh\ntrap '' INT TERM HUP\necho $$ > {born}.new && mv {born}.new {born}\nsleep 600\n")
    program.chmod(0o755)
    command = [sys.executable, "-m", "gpuctl", "doctor"]
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert until(born.exists)
        while run.poll() is None:
            run.send_signal(signal.SIGTERM)
            run.send_signal(signal.SIGINT)
        err = run.communicate(timeout=300)[1]
    assert run.returncode % 128 in (signal.SIGTERM, signal.SIGINT, -signal.SIGTERM % 128, -signal.SIGINT % 128)
    assert err == "gpuctl: interrupted.\n"
    assert until(lambda: not is_running(int(born.read_text())))

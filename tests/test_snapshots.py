"""`gpuctl collect`, `--from` and `gpuctl diff`: a host diagnosed from a file."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shlex
import stat
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hosts import host
from hosts_v100 import DOCKER, GPU, INFO, NVML, v100
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from simhost import Dockerd, SimHost, warm
from simhost.process import PATIENCE
from synthetic import FOLDER, HOSTS, called, findings, snapshots

from gpuctl.checks.compare.comparison import compare
from gpuctl.checks.every import diagnose
from gpuctl.facts.collect import OTHER_LOGS, bounded, collect
from gpuctl.facts.every import EVERY_SUBJECT
from gpuctl.facts.gather import gather
from gpuctl.host.look.local import LocalHost
from gpuctl.host.look.reading import Outcome, Reading
from gpuctl.host.record.archive import (
    LINE_LIMIT,
    LINES_LIMIT,
    OPENED_LIMIT,
    BadSnapshot,
    Snapshot,
    decode,
    encode,
    lines,
)
from gpuctl.host.record.memory import RememberingHost
from gpuctl.host.record.redact import redact
from gpuctl.host.record.snapshot import SnapshotHost, key
from gpuctl.model import Status
from gpuctl.render.formats.json import doctor_json
from gpuctl.render.views.doctor import report_text
from gpuctl.render.views.host import SUMMARY

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
NOBODY = 65534
AT = 1_764_000_000.0
HUNTER = "hunter2"
READ_ONLY = (
    ("doctor",),
    ("check", "--cuda", "12.4"),
    ("check", "--image", "nvidia/cuda:10.1-base", "--offline"),
    ("matrix",),
    ("recommend", "--cuda", "12.4"),
    ("image",),
    ("history",),
    ("smoke", "--dry-run"),
)


def gpuctl(*argv: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return warm.gpuctl(*map(str, argv), **options)


def conforms(name: str, text: str) -> dict[str, Any]:
    schema = json.loads((ROOT / "data" / "schemas" / f"{name}.schema.json").read_text())
    document: dict[str, Any] = json.loads(text)
    Draft202012Validator(schema).validate(document)
    return document


def recorded(seen: SnapshotHost, anonymise: bool = False) -> Snapshot:
    """What collect makes of a machine, through a file."""
    return decode(encode(collect(seen, "0.1.0", AT, anonymise)))


# A host in a file, judged anywhere.


@pytest.mark.parametrize("snapshot", snapshots(), ids=called)
def test_evidence_is_words_and_never_pythons_own_spelling(snapshot: Path) -> None:
    facts = gather(decode(snapshot.read_bytes()).host)
    texts = [one.text for finding in diagnose(facts).findings for one in finding.evidence]
    assert [
        text for text in texts if re.search(r"[A-Z][A-Za-z]+\([a-z_]+=|\b(True|False|None)\b|\{'|[A-Z]\w+\.[A-Z]", text)
    ] == []


@pytest.mark.parametrize("snapshot", snapshots(), ids=called)
def test_doctor_finds_on_a_snapshot_what_it_found_before(snapshot: Path) -> None:
    expected = next(FOLDER.glob(f"{called(snapshot)}.*.txt"), None)
    assert expected, "run tests/synthetic.py, and see whether it is right"
    code, found = findings(snapshot)
    assert (code, found) == (int(expected.name.split(".")[-2]), expected.read_text())


@pytest.mark.parametrize("name", HOSTS)
def test_the_synthetic_hosts_are_as_they_are_declared(name: str) -> None:
    declared = lines(Snapshot(host(**HOSTS[name]).readings, unrecorded=Outcome.ABSENT))
    written = (FOLDER / f"{name}.jsonl").read_text()
    assert written == declared, "run tests/synthetic.py"
    for line in written.splitlines():
        conforms("snapshot", line)


def test_facts_are_the_same_from_a_file_as_from_the_machine() -> None:
    recorder = RememberingHost(LocalHost())
    seen = gather(recorder, deadline=PATIENCE)
    assert gather(decode(encode(Snapshot(recorder.readings))).host, deadline=PATIENCE) == seen


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that other users may look into, which pytest's own is not."""
    with tempfile.TemporaryDirectory(prefix="snapshots-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_every_read_only_command_answers_elsewhere_as_on_the_host(
    sim_host: Callable[..., SimHost], dockerd: Dockerd, public: Path
) -> None:
    live, file = sim_host("v100", dockerd=dockerd), public / "host.jsonl.gz"
    assert live.gpuctl("collect", "-o", str(file)).code == 0
    for argv in READ_ONLY:
        here, elsewhere = live.gpuctl(*argv, "--json"), gpuctl(*argv, "--json", "--from", file)
        documents = [json.loads(said) for said in (here.out, elsewhere.stdout)]
        for document in documents:
            document.pop("seconds", None)
        assert (elsewhere.returncode, documents[1]) == (here.code, documents[0]), argv
    file.chmod(0o644)
    by_another = sim_host(None).gpuctl("doctor", "--json", "--from", str(file), uid=NOBODY)
    assert by_another.out == live.gpuctl("doctor", "--json").out


def test_what_was_not_looked_at_is_unknown_and_says_so(tmp_path: Path) -> None:
    snapshot = recorded(v100())
    kept = {name: reading for name, reading in snapshot.readings.items() if not name.startswith("nvml:")}
    done = gpuctl("doctor", "--json", "--from", write(tmp_path, replace(snapshot, readings=kept)))
    unknown = [one["message"] for one in json.loads(done.stdout)["findings"] if one["status"] == "unknown"]
    assert unknown and all("not in the snapshot" in message for message in unknown)
    assert done.returncode == 3


def test_no_container_runs_in_a_snapshot_and_hosts_has_its_own_hosts() -> None:
    v100_file = FOLDER / "v100-418.jsonl"
    for argv in (("smoke",), ("check", "--cuda", "12.4", "--hosts", "/dev/null")):
        done = gpuctl(*argv, "--from", v100_file)
        assert (done.returncode, done.stdout) == (2, "")
        assert "Traceback" not in done.stderr


def write(folder: Path, snapshot: Snapshot, name: str = "host.jsonl") -> Path:
    (folder / name).write_text(lines(snapshot), encoding="utf-8")
    return folder / name


# What collect writes, and what it does not.


def test_the_file_is_private_whole_and_says_what_was_taken(sim_host: Callable[..., SimHost], public: Path) -> None:
    file = public / "host.jsonl.gz"
    file.write_text("an older one, which all may read")
    done = sim_host("v100").gpuctl("collect", "-o", str(file), "--json")
    told = conforms("collect", done.out)
    assert (done.code, told["file"], told["bytes"]) == (0, str(file), file.stat().st_size)
    assert (stat.S_IMODE(file.stat().st_mode), os.listdir(public)) == (0o600, [file.name])
    snapshot = decode(file.read_bytes())
    assert set(snapshot.readings) == set(told["taken"]) > {key("run", shlex.join(argv)) for argv in OTHER_LOGS}
    for line in gzip.decompress(file.read_bytes()).decode().splitlines():
        conforms("snapshot", line)


def test_without_a_name_the_file_is_named_after_the_host_and_the_time(
    sim_host: Callable[..., SimHost], public: Path
) -> None:
    live = sim_host(None, files={"/proc/sys/kernel/hostname": "gpu/17 a\n"})
    for argv, begin in ((), "gpuctl-gpu_17_a-"), (("--anonymise",), "gpuctl-2"):
        done = live.gpuctl("collect", *argv, cwd=str(public))
        (file,) = public.iterdir()
        assert file.name.startswith(begin) and file.name in done.out
        file.unlink()


def test_a_snapshot_goes_through_pipes_in_both_directions() -> None:
    from_pipe = shell("gpuctl collect -o - | gpuctl doctor --from - --json")
    assert json.loads(from_pipe.stdout)["schema"] == "gpuctl.doctor/1"
    assert from_pipe.stderr.startswith("Wrote to stdout: ")
    assert int(shell("gpuctl collect -o >(wc -c >&2) >/dev/null").stderr) > 1000
    one, other = FOLDER / "wsl2.jsonl", FOLDER / "dgx-a100.jsonl"
    told = shell(f"gpuctl diff {one} {other}").stdout
    assert told.startswith("1970-01-01")
    assert shell(f"gpuctl diff {one} - <{other}").stdout == told
    assert shell(f"gpuctl diff <(cat {one}) <(cat {other})").stdout == told
    assert shell("gpuctl collect -o - --json").returncode == 2


@pytest.mark.parametrize("named", ["doctor --from -", "check --cuda 12.4 --hosts -", "check --cuda 12.4 --smi -"])
def test_a_closed_stdin_holds_nothing(named: str) -> None:
    done = shell(f"gpuctl {named} <&-")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Error: " in done.stderr


def shell(line: str) -> subprocess.CompletedProcess[str]:
    script = f'set -o pipefail; gpuctl() {{ {sys.executable} -m gpuctl "$@"; }}; {line}'
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("place", ["missing/x", "."])
def test_where_it_cannot_be_written_nothing_is(place: str, tmp_path: Path) -> None:
    done = gpuctl("collect", "-o", tmp_path / place)
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (2, "", [])
    assert "Traceback" not in done.stderr and "cannot write" in done.stderr


def leaky() -> SnapshotHost:
    """A well host that has a secret wherever people put one."""
    return v100(
        files={
            "/proc/700/environ": f"PATH=/usr/bin:/bin\0HTTPS_PROXY=http://u:{HUNTER}@proxy\0ANYTHING={HUNTER}\0",
            "/proc/700/cmdline": f"dockerd\0-H\0fd://\0--log-opt\0splunk-token={HUNTER}\0--registry-secret\0{HUNTER}\0",
            "/proc/1/environ": f"X={HUNTER}\0",
            "/etc/docker/daemon.json": json.dumps(
                {
                    "runtimes": {"nvidia": {"path": "/usr/bin/nvidia-container-runtime"}},
                    "proxies": {"https-proxy": f"https://u:{HUNTER}@proxy:3128"},
                    "log-opts": {"splunk-token": HUNTER},
                    "labels": [f"password={HUNTER}"],
                }
            ),
            "/root/.docker/config.json": json.dumps(
                {"auths": {"r.example": {"auth": HUNTER}}, "HttpHeaders": {"X": HUNTER}, "credsStore": "pass"}
            ),
            "/etc/apt/sources.list.d/own.list": f"deb https://u:{HUNTER}@apt.example/ stable main\n",
        },
        sockets={
            DOCKER: {
                "/version": {"Version": "19.03.8", "ApiVersion": "1.40"},
                "/info": {**INFO, "HttpsProxy": f"http://u:{HUNTER}@proxy", "Labels": [f"api_key={HUNTER}"]},
                "/images/json": [{"RepoTags": ["own/app:1"]}],
                "/images/own/app:1/json": {"Config": {"Env": [f"AWS_SECRET_ACCESS_KEY={HUNTER}", "CUDA_VERSION=10.1"]}},
            }
        },
        commands={
            shlex.join(
                OTHER_LOGS[0]
            ): f'level=error msg="{{\\"password\\":\\"{HUNTER}\\"}}" Authorization: Basic {HUNTER}x\n'
        },
        env={"HOME": "/root"},
    )


def test_no_secret_is_written_and_every_place_that_had_one_is_listed() -> None:
    snapshot = collect(leaky(), "0.1.0", AT, anonymise=False)
    assert HUNTER not in lines(snapshot)
    for place in ("/proc/700/environ", "cmdline", "daemon.json", "config.json", "own.list", "/info", "app:1", "docker"):
        assert any(place in one for one in snapshot.redacted), place


def test_what_is_redacted_changes_no_answer() -> None:
    before, after = gather(leaky()), gather(recorded(leaky()).host)
    assert diagnose(before).findings == diagnose(after).findings


@pytest.mark.parametrize(
    "text",
    [
        "password: 'hunter2 hunter2'",
        '"identitytoken" : "hun\\"ter2hunter2"',
        "https://hunter2@registry.example/v2/",
        "--bootstrap-token hunter2",
        "DB_PASS=hunter2",
        "Bearer hunter2hunter2",
        "ghp_hunter2hunter2hunter2",
        "eyJhbGciOiJI.hunter2hunter2.sig",
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_a_secret_is_known_by_its_name_its_place_or_its_form(text: str) -> None:
    shown, found = redact("run", "x", text)
    assert HUNTER not in shown and found
    in_grpc, _ = redact("call", "x", text)
    assert HUNTER not in in_grpc and len(in_grpc) == len(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"token": true, "auths": {}, "authorization-plugins": ["a"]}',
        "authenc.ko: auth.ko",
        "ssh://root@h",
        "SSH_AUTH_SOCK=/x",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact("read", "x", text) == (text, ())


NAMED = {
    "files": {
        "/proc/sys/kernel/hostname": "gpu17\n",
        "/proc/700/cmdline": "dockerd\0-H\0fd://\0--dns\0" + "10.11.12.13\0",
        "/etc/docker/daemon.json": '{"runtimes": {}, "registry-mirrors": ["https://mirror.corp.example:5000"]}',
    },
    "commands": {
        shlex.join(
            OTHER_LOGS[0]
        ): "gpu17 dockerd: gpu17.lab.corp.example 10.11.12.13 fd00:aa::17 0a:1b:2c:3d:4e:5f /home/ada/x\n"
    },
    "env": {"HOME": "/home/ada"},
}


def test_anonymised_names_are_gone_and_each_is_always_the_same_other() -> None:
    snapshot = recorded(v100(**NAMED), anonymise=True)
    text = lines(snapshot)
    gone = ("gpu17", "corp.example", "10.11.12.13", "fd00:aa", "0a:1b:2c", "ada", GPU["uuid"].removeprefix("GPU-"))
    assert [name for name in gone if name in text] == []
    said = snapshot.readings[key("run", shlex.join(OTHER_LOGS[0]))].text.split()
    assert said[0] == said[2] == "host-1"
    assert said[3] in snapshot.readings[key("read", "/proc/700/cmdline")].text
    assert "418.87.00" in text and "nvidia.github.io" in text  # versions and public places are no names of a site
    assert statuses(snapshot) == statuses(recorded(v100(**NAMED)))


def statuses(snapshot: Snapshot) -> dict[str, Status]:
    return {finding.id: finding.status for finding in diagnose(gather(snapshot.host)).findings}


def test_of_logs_the_newest_is_taken_and_of_the_kernels_what_is_about_gpus() -> None:
    xid = "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.\n"
    other_log = shlex.join(OTHER_LOGS[0])
    build = "/var/lib/dkms/nvidia/418.87.00/build/make.log"
    said = {"dmesg": f"usb 1-1: of nobody's business\n{xid}", other_log: "new\n" + "old\n" * 100_000}
    readings = recorded(v100(commands=said, files={build: "make: *** Error 1\n"})).readings
    assert readings["run:dmesg"].text == xid
    kept = readings[f"run:{other_log}"].text
    assert kept.startswith("new\nold\n") and len(kept) < 300_000
    assert readings[f"read:{build}"].text == "make: *** Error 1\n"


def test_a_snapshot_that_is_too_large_leaves_out_its_longest_readings_and_says_which() -> None:
    noise = Reading("/noise", Outcome.OK, os.urandom(90_000).hex())
    small = bounded(Snapshot({"read:/noise": noise, "read:/a": Reading("/a", Outcome.OK, "a")}), limit=50_000)
    assert (list(small.readings), small.left_out) == (["read:/a"], ("read:/noise",))


# A snapshot is what anybody may have written.


def in_tar(name: str, **member: Any) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        entry = tarfile.TarInfo(name)
        for field, value in member.items():
            setattr(entry, field, value)
        archive.addfile(entry)
    return raw.getvalue()


HEAD = b'{"schema": "gpuctl.snapshot/1"}\n'
HOSTILE = {
    "empty": b"",
    "other JSON": b'{"schema": "gpuctl.doctor/1"}',
    "no JSON": b"\0\1\2",
    "no UTF-8": HEAD + b"\xff",
    "bomb": gzip.compress(HEAD + b" " * (OPENED_LIMIT + 1), 1),
    "bomb of lines": gzip.compress(HEAD + b"{}\n" * (LINES_LIMIT + 1), 1),
    "bomb in a line": gzip.compress(HEAD + b"[" + b"[]," * (LINE_LIMIT // 3), 1),
    "cut short": gzip.compress(HEAD * 1000, mtime=0)[:-10],
    "damaged": b"\x1f\x8b" + b"\0" * 50,
    "path trick": in_tar("../../etc/passwd"),
    "link": in_tar("x", type=tarfile.SYMTYPE, linkname="/etc/shadow"),
    "deep": HEAD + b"[" * 100_000,
    "a list": HEAD + b"[]",
    "unknown kind": HEAD + b'{"kind": "write", "source": "/etc/passwd"}',
    "no source": HEAD + b'{"kind": "read"}',
    "wrong text": HEAD + b'{"kind": "read", "source": "/x", "text": {}}',
    "wrong code": HEAD + b'{"kind": "read", "source": "/x", "code": true}',
    "huge code": HEAD + b'{"kind": "read", "source": "/x", "code": 1' + b"0" * 400 + b"}",
    "endless number": HEAD + b'{"kind": "read", "source": "/x", "code": 1' + b"0" * 5000 + b"}",
    "wrong outcome": HEAD + b'{"kind": "read", "source": "/x", "outcome": "maybe"}',
    "twice": HEAD + b'{"kind": "read", "source": "/x"}\n' * 2,
    "wrong stat": HEAD + b'{"kind": "stat", "source": "/x", "text": "{\\"type\\": \\"file\\", \\"mode\\": \\"x\\"}"}',
    "wrong time": b'{"schema": "gpuctl.snapshot/1", "at": "now"}',
    "no time": b'{"schema": "gpuctl.snapshot/1", "at": NaN}',
    "wrong list": b'{"schema": "gpuctl.snapshot/1", "redacted": [1]}',
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_snapshot_is_no_snapshot(what: str) -> None:
    with pytest.raises(BadSnapshot):
        decode(HOSTILE[what])


@pytest.mark.parametrize("what", ["bomb", "path trick", "wrong stat"])
def test_what_is_no_snapshot_is_refused_in_one_sentence(what: str, tmp_path: Path) -> None:
    file = tmp_path / "host.jsonl.gz"
    file.write_bytes(HOSTILE[what])
    for argv in (("doctor", "--from", file), ("diff", FOLDER / "wsl2.jsonl", file)):
        done = gpuctl(*argv)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done
        assert done.stderr.startswith(f"Error: {file} is no snapshot that gpuctl can read: ")
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("place", ["nowhere", "folder", "fifo", "zero", ""])
def test_what_is_no_file_is_refused_too(place: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    done = gpuctl("doctor", "--from", f"{tmp_path}/{place}" if place else "")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_markup_and_escapes_of_a_snapshot_reach_no_terminal(tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07[bold red]x[/] \ud800 \u202e"
    file = write(tmp_path, Snapshot(v100(files={"/etc/os-release": f"ID=debian\nNAME={evil!r}\n"}).readings))
    done = gpuctl("doctor", "-v", "--from", file)
    assert not {"\x1b", "\x07", "\u202e"} & set(done.stdout + done.stderr)


NOT_MEANT = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["Version", "index", "type"]), inner),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_wrong_readings_are_unknown_and_nothing_fails(data: st.DataObject) -> None:
    readings = dict(v100().readings)
    for name in data.draw(st.lists(st.sampled_from(sorted(readings)), min_size=1, max_size=6)):
        texts = (
            st.text(max_size=40) | NOT_MEANT.map(json.dumps) | st.just(json.dumps(NVML[1] | {"index": "x", "uuid": 7}))
        )
        changed = replace(readings[name], text=data.draw(texts), outcome=data.draw(st.sampled_from(Outcome)))
        readings[name] = changed
    try:
        snapshot = decode(encode(Snapshot(readings, unrecorded=Outcome.ABSENT)))
    except BadSnapshot:
        return
    facts = gather(snapshot.host, (*EVERY_SUBJECT, *SUMMARY))
    report = diagnose(facts)
    assert not [one for one in report.findings if "crashed" in one.message]
    assert doctor_json(report, facts) and report_text(report, facts, verbose=True)
    compare(snapshot, recorded(v100()))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=200).map(HEAD.__add__))
def test_no_bytes_give_anything_but_a_snapshot_or_a_refusal(raw: bytes) -> None:
    try:
        found = decode(raw)
    except BadSnapshot as refusal:
        assert str(refusal).isprintable()
        return
    assert decode(encode(found)) == found


# Two snapshots.


def differ(old: SnapshotHost, new: SnapshotHost, folder: Path) -> dict[str, Any]:
    files = [write(folder, recorded(one), f"{number}.jsonl") for number, one in enumerate((old, new))]
    done = gpuctl("diff", *files, "--json")
    found = conforms("diff", done.stdout)
    assert done.returncode == (0 if found["equal"] else 1)
    text = gpuctl("diff", *files)
    assert text.returncode == done.returncode and "Traceback" not in text.stderr
    return {**found, "text": text.stdout}


def test_a_host_is_equal_to_itself_after_a_restart_of_docker(tmp_path: Path) -> None:
    restarted = {
        "files": {
            f"/proc/701/{name}": v100().readings[f"read:/proc/700/{name}"] for name in ("comm", "cmdline", "environ")
        }
        | {"/proc/701/stat": "701 (dockerd) S 1 " + "0 " * 17 + "2000000 0 0\n", "/proc/700/comm": None},
        "peers": {DOCKER: 701},
    }
    found = differ(v100(), v100(**restarted), tmp_path)
    assert found["equal"] and "Nothing differs" in found["text"]


def test_what_changed_is_told_by_finding_fact_and_file(tmp_path: Path) -> None:
    other = {**GPU, "uuid": "GPU-5a1c3e6b-0000-4000-8000-000000000002"}
    upgraded = {
        "nvml": [{**NVML[0], "driver": "430.64"}, other],
        "files": {"/etc/docker/daemon.json": "{}\n"},
        "sockets": {
            DOCKER: {"/version": {"Version": "19.03.8", "ApiVersion": "1.40"}, "/info": {**INFO, "Runtimes": {}}}
        },
    }
    found = differ(v100(), v100(**upgraded), tmp_path)
    facts = {one["fact"]: (one["old"], one["new"]) for one in found["facts"]}
    assert facts["driver.nvml_version"] == ("418.87.00", "430.64")
    assert facts[f"driver.gpus.{GPU['uuid']}.name"] == (GPU["name"], None)
    assert facts[f"driver.gpus.{other['uuid']}.name"] == (None, GPU["name"])
    assert [(one["path"], one["change"]) for one in found["files"]] == [("/etc/docker/daemon.json", "changed")]
    changes = {one["id"]: one["change"] for one in found["findings"]}
    assert changes["registration.runtime"] == "appeared"
    assert "driver.nvml_version: 418.87.00 → 430.64\n" in found["text"]
    back = differ(v100(**upgraded), v100(), tmp_path)
    assert {one["id"]: one["change"] for one in back["findings"]}["registration.runtime"] == "went"

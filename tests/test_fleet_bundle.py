"""A bundle brought to a fleet's hosts, which reach no network: resumed where it was cut, verified there, installed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_hosts import PYTHON, Hosts, hosts
from repositories import Repositories
from test_fleet_apply import FILE, gpuctl, on, prepared, states

from gpuctl.facts.machine.distribution import probe_distribution
from gpuctl.host.act.parcel import FOLDER, held, place_of, taken
from gpuctl.host.decode import number_in, parse_object
from gpuctl.host.look.local import LocalHost

pytestmark = pytest.mark.bench


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    scripts = dict.fromkeys(("b1", "b2"), prepared("{}", gpuctl=True))
    with hosts(tmp_path_factory.mktemp("fleet"), scripts, ansible_python_interpreter=PYTHON) as up:
        yield up


def test_a_whole_file_counts_only_once_its_sum_is_right_whatever_a_cut_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("gpuctl.host.act.parcel.FOLDER", str(tmp_path))
    sum = hashlib.sha256(b"abcdef").hexdigest()
    part = Path(f"{place_of(sum)}.part")

    def bytes_of(answer: bytes) -> int | None:
        return number_in(parse_object(answer), "bytes")

    def takes(begin: int, piece: bytes) -> int | None:
        return bytes_of(taken(sum, 6, begin, b64encode(piece).decode()))

    assert (bytes_of(held(sum, 6)), takes(0, b"abc"), takes(0, b"abc"), takes(3, b"def")) == (0, 3, 3, 6)
    assert (bytes_of(held(sum, 6)), Path(place_of(sum)).read_bytes()) == (6, b"abcdef")
    for left, whole in ((b"abcdef", 6), (b"abcdeX", None), (b"abcdefg", None)):
        Path(place_of(sum)).unlink(missing_ok=True)
        part.write_bytes(left)
        assert bytes_of(held(sum, 6)) == 5
        assert takes(5, b"f") == whole
        assert not part.exists()


BRINGS = """
import json, sys
from gpuctl.cli.frame.fleet.asked import Whom, entered
from gpuctl.fleet import parcel

file, inventory = sys.argv[1:]
parcel.PIECE = 60_000
entry = entered(Whom(inventory=[inventory]), 900, 900)
print(json.dumps(parcel.brought(parcel.parcel(open(file, "rb").read()), entry.hosts, entry.way.ask_by)))
"""
"""By a process of its own, as gpuctl is: with an end of Ansible's ends all that it has started."""


def test_what_is_there_is_not_sent_again_and_what_is_damaged_is_sent_anew(lab: Hosts, tmp_path: Path) -> None:
    raw, file = os.urandom(100_000), tmp_path / "file"
    file.write_bytes(raw)
    sum, begun = hashlib.sha256(raw).hexdigest(), b64encode(raw[:60_000]).decode()
    place, argv = place_of(sum), (sys.executable, "-c", BRINGS, file, lab.inventory())
    on(lab, "b1", f"mkdir -p {FOLDER}; echo {begun} | base64 -d > {place}.part")
    on(lab, "b1", f"stat -c %i {place}.part > /run/part; touch {FOLDER}/old.bundle")
    on(lab, "b2", f"mkdir -p {FOLDER}; head -c 60000 /dev/zero > {place}.part")
    assert json.loads(subprocess.run(argv, check=True, capture_output=True).stdout) == {}
    for name in lab.hosts:
        assert on(lab, name, f"sha256sum {FOLDER}/*").split() == [sum, place]
    assert on(lab, "b1", f"stat -c %i {place}") == on(lab, "b1", "cat /run/part")


def test_hosts_without_a_network_get_the_toolkit_by_a_plan_with_a_bundle(
    lab: Hosts, repositories: Repositories, tmp_path: Path
) -> None:
    here = probe_distribution(LocalHost()).value
    assert here
    file, key = tmp_path / "toolkit.bundle", Path(repositories.key)
    site = ("--repo-url", repositories.apt, "--key-file", str(key), "--os", f"{here.id}{here.version}")
    subprocess.run([sys.executable, "-m", "gpuctl", "bundle", *site, "-o", file], check=True, capture_output=True)
    place = place_of(hashlib.sha256(file.read_bytes()).hexdigest())
    for name in lab.hosts:
        on(lab, name, f"cat > /etc/mirror.asc << 'END'\n{key.read_text()}END")
    by = ("-i", lab.inventory(), "--bundle", file)
    options = (
        "--engine",
        "docker",
        "--runtime-path",
        "/bin/true",
        "--config",
        FILE,
        "--no-reload",
        "--key-file",
        "/etc/mirror.asc",
    )
    code, told, said = gpuctl("plan", "install-runtime", *options, *by, "-o", tmp_path / "PLAN")
    assert (code, [one["hosts"] for one in told["groups"]]) == (0, [["b1", "b2"]]), f"{told}{said}"
    assert told["command"][-2:] == ["--from-bundle", place]

    on(lab, "b2", f"rm {place}")
    code, told, said = gpuctl("apply", tmp_path / "PLAN", *by, "--run", tmp_path / "RUN")
    assert (code, states(told)) == (0, {"b1": "applied", "b2": "applied"}), f"{told}{said}"
    assert "1.18.0" in on(lab, "b2", "dpkg-query -W nvidia-container-toolkit")
    assert "nvidia" in json.loads(on(lab, "b2", f"cat {FILE}"))["runtimes"]

    other = tmp_path / "other.bundle"
    subprocess.run([sys.executable, "-m", "gpuctl", "bundle", *site, "--toolkit", "1.17.8", "-o", other], check=True)
    code, _, said = gpuctl("apply", tmp_path / "PLAN", "-i", by[1], "--bundle", other, "--run", tmp_path / "OTHER")
    assert (code, "the plan is not made with it" in said) == (2, True)

"""`gpuctl collect --anonymise`: whatever names a host, its people, its site or its parts is gone, wherever it stood."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from simhost import SimHost
from synthetic import called, snapshots

from gpuctl.checks.every import diagnose
from gpuctl.facts.collect import HOST_NAMES, fit_to_leave
from gpuctl.facts.gather import gather
from gpuctl.host.look.reading import Outcome, Reading
from gpuctl.host.machine_id import known_as
from gpuctl.host.record.archive import Snapshot, decode, lines
from gpuctl.host.record.snapshot import SnapshotHost, key

pytestmark = pytest.mark.slow

HOST, SITE = "gpu17", "lab.corp.example"
FORMS = {
    "a user in a path": ("ada", "/home/ada/.docker/config.json"),
    "a user of apt's log": ("grace", "Requested-By: grace (1000)"),
    "a user of sudo": ("linus", "sudo[812]:   linus : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/gpuctl doctor"),
    "a user of id": ("barbara", "uid=1001(barbara) gid=1001(barbara) groups=1001(barbara),27(sudo)"),
    "a user of ssh": ("edsger", "Accepted publickey for edsger from 10.1.2.3 port 50022 ssh2"),
    "a user at a host": ("donald", "ssh donald@bastion nvidia-smi"),
    "a session's user": ("margaret", "pam_unix(sudo:session): session opened for user margaret(uid=1002) by (uid=0)"),
    "a user by name": ("dennis", '{"User": "dennis"} user=dennis'),
    "a line of passwd": ("Radia Perlman", "radia:x:1003:1003:Radia Perlman,,,:/home/radia:/bin/bash"),
    "a user on a Mac": ("katherine", "/Users/katherine/x"),
    "a mail address": ("hedy.lamarr", "mail to hedy.lamarr@corp.example failed"),
    "a name with a mail address": ("Joan Clarke", "Maintainer: Joan Clarke <jclarke@corp.example>"),
    "the host": (HOST, f"{HOST} dockerd[1]: x"),
    "the host in capitals": (HOST.upper(), f"{HOST.upper()} x"),
    "the host with its domain": (SITE, f"{HOST}.{SITE}: x"),
    "another host of the site": ("bastion7", f"bastion7.{SITE} x"),
    "the domain": ("corp.example", "search corp.example lab.corp.example"),
    "an address of the site": ("mirror.corp", "deb https://mirror.corp.example/ubuntu jammy main"),
    "an address without a country": ("wiki.acme-intra", "see http://wiki.acme-intra.io/gpu"),
    "an address backwards": ("17.3.2.10.in-addr", "17.3.2.10.in-addr.arpa domain name pointer gpu17.lab.corp.example."),
    "IPv4": ("10.11.12.13", "listen 10.11.12.13:2375"),
    "IPv4 of many": ("192.168.7.9", "192.168.7.9-192.168.7.20"),
    "IPv6": ("fd00:aa:bb::17", "inet6 fd00:aa:bb::17/64 scope global"),
    "IPv6 of a link": ("fe80::a1b:2cff:fe3d:4e5f", "fe80::a1b:2cff:fe3d:4e5f%eth0"),
    "MAC": ("0a:1b:2c:3d:4e:5f", "link/ether 0a:1b:2c:3d:4e:5f brd ff:ff:ff:ff:ff:ff"),
    "MAC with dashes": ("0A-1B-2C-3D-4E-6F", "HWaddr 0A-1B-2C-3D-4E-6F"),
    "MAC with dots": ("0a1b.2c3d.4e7f", "mac 0a1b.2c3d.4e7f"),
    "MAC alone": ("0a1b2c3d4e8f", '"mac": "0a1b2c3d4e8f" enx0a1b2c3d4e8f'),
    "GUID of InfiniBand": ("0a1b:2c03:00d4", "Node GUID: 0x0a1b2c0300d4e5f6 00:02:c9:03:0a:1b:2c:3d"),
    "serial number of a GPU": ("1563221018765", '{"index": 0, "serial": "1563221018765"}'),
    "serial number in words": ("0324518099", "GPU 0: serial number 0324518099 at PCI 0000:3b:00.0"),
    "serial number of a board": ("CN7016-AB12", "Serial Number: CN7016-AB12"),
    "asset tag": ("RACK7-0042", "Asset Tag: RACK7-0042"),
    "serial number of a disk": ("S5Y1NX0R123456", "ID_SERIAL_SHORT=S5Y1NX0R123456 wwn-0x5002538f12345678"),
    "a disk by its id": ("Samsung_SSD_870_S5Y1", "/dev/disk/by-id/ata-Samsung_SSD_870_S5Y1NX0R999999-part1"),
    "UUID of a GPU": ("5a1c3e6b-1111", "GPU-5a1c3e6b-1111-4000-8000-000000000001"),
    "UUID of an encrypted volume": ("7d1f0c2e-2222", "rd.luks.uuid=luks-7d1f0c2e-2222-4000-8000-000000000002"),
    "id of the machine": ("0123456789abcdef0123456789abcdee", "_MACHINE_ID=0123456789abcdef0123456789abcdee"),
    "a wireless network": ("Acme Guests", 'ESSID:"Acme Guests"'),
    "an image of a private registry": ("team/forecast", "docker pull registry.corp.example:5000/team/forecast:1.2"),
    "a private registry": ("harbor17", '{"RepoTags": ["harbor17:5000/ml/secret-project:1"]}'),
    "a project in a private registry": ("secret-project", '"Image": "harbor17:5000/ml/secret-project@sha256:00"'),
    "a container": ("billing-trainer", "docker run --name billing-trainer --gpus all nvcr.io/nvidia/cuda:12.4.1-base"),
    "a pod": ("payroll-0", '"io.kubernetes.pod.name": "payroll-0"'),
}  # fmt: skip
"""What is planted: the name that must be gone, and a line that has it."""
STAYS = (
    "Upgrade: login:amd64 (1:4.13, 1:4.14), logname:noarch; status installed owner:all 2",
    "nvcr.io/nvidia/pytorch:24.05-py3", "docker.io/library/ubuntu:22.04", "535.183.01-0ubuntu0.22.04.1", "0000:3b:00.0",
    "https://nvidia.github.io/libnvidia-container/stable/deb", "containerd.service", "getty@tty1.service", "127.0.0.1",
    "io.containerd.grpc.v1.cri", "/etc/docker/daemon.json", "nvidia-persistenced", "libcuda.so.535.183.01",
)  # fmt: skip


def host_names(name: str) -> dict[str, Reading]:
    return {key("read", path): Reading(path, Outcome.OK, f"{name}\n") for path in HOST_NAMES}


@cache
def met_first() -> dict[Path, dict[str, Reading]]:
    """The readings of each snapshot that those before it have not, alike."""
    met: set[str] = set()
    found = {}
    for snapshot in snapshots():
        readings = decode(snapshot.read_bytes()).host.readings
        found[snapshot] = {name: one for name, one in readings.items() if f"{name} {one}" not in met}
        met |= {f"{name} {one}" for name, one in readings.items()}
    return found


def planted(readings: Mapping[str, Reading], line: str) -> dict[str, Reading]:
    """These with the line in every one: as text of its own, within JSON, as what was said, and in its name."""
    found = dict(host_names(f"{HOST}.{SITE}"))
    for name, one in readings.items():
        kind = name.partition(":")[0]
        text = f"{one.text}\n{line}\n{json.dumps({'log': chr(10) + line})}"
        source = f"{one.source} {line}"
        found[key(kind, source)] = replace(one, source=source, text=text, detail=f"{one.detail}: {line}")
    return found


@pytest.mark.parametrize("snapshot", snapshots(), ids=called)
def test_no_name_is_left_in_any_reading_of_any_host(snapshot: Path) -> None:
    readings = planted(met_first()[snapshot], "\n".join(line for _, line in FORMS.values()))
    left, redacted = fit_to_leave(readings, anonymise=True)
    text = lines(Snapshot(left, redacted=redacted)).lower()
    assert [what for what, (name, _) in FORMS.items() if name.lower() in text] == []
    assert len(left) == len(readings)


@pytest.mark.parametrize("what", FORMS)
def test_each_is_gone_by_itself_and_always_by_the_same_other(what: str) -> None:
    name, line = FORMS[what]
    names = host_names(f"{HOST}.{SITE}" if what != "the host with its domain" else HOST)
    twice = {**names, "run:a": Reading("a", Outcome.OK, f"{line}\n"), "run:b": Reading("b", Outcome.OK, f"{line}\n")}
    left, _ = fit_to_leave(twice, anonymise=True)
    assert name.lower() not in left["run:a"].text.lower()
    assert left["run:a"].text == left["run:b"].text


def test_what_all_hosts_have_stays() -> None:
    readings = {**host_names(HOST), "run:a": Reading("a", Outcome.OK, "\n".join(STAYS))}
    assert fit_to_leave(readings, anonymise=True)[0]["run:a"].text == "\n".join(STAYS)


@pytest.mark.parametrize("snapshot", snapshots(), ids=called)
def test_a_recorded_host_is_judged_as_before_without_its_names(snapshot: Path) -> None:
    seen = decode(snapshot.read_bytes())
    left, _ = fit_to_leave(seen.readings, anonymise=True)
    before, after = (gather(SnapshotHost(readings, seen.unrecorded)) for readings in (seen.readings, left))
    statuses = [{one.id: one.status for one in diagnose(facts).findings} for facts in (before, after)]
    assert statuses[0] == statuses[1]


def test_the_machines_own_id_is_in_no_snapshot_and_no_report(sim_host: Callable[..., SimHost]) -> None:
    own = "3d5c1f0e9b7a4c2d8e6f1a0b9c8d7e6f"
    sim = sim_host("v100")
    sim.path("/etc/machine-id").write_text(own + "\n")
    snapshot, report = sim.gpuctl("collect", "-o", "/home/sim/snapshot"), sim.gpuctl("doctor", "--json")
    told = gzip.decompress(sim.path("/home/sim/snapshot").read_bytes()).decode()
    assert snapshot.code == 0 and own not in told + report.out
    assert known_as(own) in told and report.json["host"]["machine_id"] == known_as(own)

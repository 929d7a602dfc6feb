"""When the driver and the like changed, and by what: from logs of real package managers, and of recorded hosts."""

from __future__ import annotations

import gzip
import json
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hosts import denied
from hosts_v100 import v100
from package_root import PackageRoot
from repositories import Signer, build_apt, build_rpm

from gpuctl.bounds import TEXT_LIMIT
from gpuctl.checks.engine import ask
from gpuctl.checks.every import CHECKS
from gpuctl.facts.gather import gather
from gpuctl.facts.machine.disks import parse_df
from gpuctl.facts.packages.automatic_upgrades import parse_apt_config, parse_settings, parse_timers
from gpuctl.facts.packages.history import RPM_DATES, probe_package_history
from gpuctl.facts.packages.logs import (
    parse_apt,
    parse_dnf,
    parse_dnf_commands,
    parse_dpkg,
    parse_rpm_dates,
    parse_zypp,
)
from gpuctl.host.look.local import LocalHost
from gpuctl.host.look.reading import Outcome
from gpuctl.model import Finding

BASE, BY_HAND = "nvidia-container-toolkit-base", "libnvidia-container1"
FEDORA = 'ID=fedora\nNAME="Fedora Linux"\nVERSION_ID="41"\n'
SUSE = 'ID=opensuse-leap\nNAME="openSUSE Leap"\nVERSION_ID="15.6"\nID_LIKE="suse opensuse"\n'
TELL = """
import json
from dataclasses import asdict
from gpuctl.facts.packages.history import probe_package_history
from gpuctl.host.look.local import LocalHost
history = probe_package_history(LocalHost())
print(json.dumps([asdict(change) for change in history.changes.value or () if change.subject == "toolkit"]))
"""
UPGRADE = """Start-Date: 2026-11-20  06:12:44
Commandline: /usr/bin/unattended-upgrade
Upgrade: libnvidia-compute-535:amd64 (535.183.01-0ubuntu1, 535.216.01-0ubuntu1), zlib1g:amd64 (1:1.2.11, 1:1.2.13)
End-Date: 2026-11-20  06:14:02
"""
KERNEL = """Start-Date: 2026-10-02  09:00:01
Commandline: apt-get -o Acquire::http::Proxy=http://ada:hunter2@proxy dist-upgrade -y
Requested-By: ada (1000)
Install: linux-image-6.8.0-49-generic:amd64 (6.8.0-49.49, automatic)
End-Date: 2026-10-02  09:02:11
"""
ROCKY = {"/etc/os-release": 'ID=rocky\nNAME="Rocky Linux"\nVERSION_ID="9.4"\n'}
SIZE = 1 << 19
APT, PACKED = "/var/log/apt/history.log", "/var/log/apt/history.log.1.gz"
MISMATCH = {"/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  410.104  Thu Aug  8 2019\n"}


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="history-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        signer = Signer(place / "signer")
        try:
            build_apt(place / "deb", signer, ("1.16.2", "1.18.0"), old=False)
            build_rpm(place / "rpm", signer, ("1.16.2", "1.18.0"))
            yield place
        finally:
            signer.close()


def told_by(root: PackageRoot, *commands: str) -> list[dict[str, Any]]:
    """What gpuctl reads in a root after these commands."""
    try:
        for command in commands:
            done = root.run("sh", "-c", command)
            assert done.code == 0, (command, done.out, done.err)
        done = root.run(sys.executable, "-c", f"import sys; sys.path.insert(0, {str(Path.cwd())!r}){TELL}")
        assert done.code == 0, done.err
        return [change for change in json.loads(done.out) if change["package"] in (BASE, BY_HAND)]
    finally:
        root.close()


def test_apt_tells_what_was_upgraded_and_removed_and_dpkg_what_it_was_given_by_hand(place: Path) -> None:
    root = PackageRoot(place)
    root.write("/etc/apt/sources.list.d/a.list", f"deb [trusted=yes] file://{place}/deb /\n")
    root.write(APT, "")
    root.write("/var/log/dpkg.log", "")
    seen = told_by(
        root,
        f"apt-get -q update && apt-get -qy install {BASE}=1.16.2-1",
        "apt-get -qy upgrade",
        f"apt-get -qy remove {BASE}",
        f"dpkg -i {place}/deb/{BY_HAND}_1.16.2-1_*.deb",
    )
    assert [(one["action"], one["before"], one["after"], one["by"]) for one in seen] == [
        ("installed", "", "1.16.2-1", "apt-get install"),
        ("upgraded", "1.16.2-1", "1.18.0-1", "apt-get upgrade"),
        ("removed", "1.18.0-1", "", "apt-get remove"),
        ("installed", "", "1.16.2-1", "dpkg"),
    ]


@pytest.mark.parametrize(
    ("os_release", "install", "upgrade"),
    [
        (FEDORA, f"dnf -y install {BASE}-1.16.2", "dnf -y upgrade"),
        (SUSE, f"zypper -n --no-gpg-checks install {BASE}=1.16.2-1", "zypper -n --no-gpg-checks up"),
    ],
    ids=["dnf", "zypper"],
)
def test_dnf_and_zypper_tell_what_was_upgraded_from_what_and_by_which_command(
    place: Path, os_release: str, install: str, upgrade: str
) -> None:
    root = PackageRoot(place, os_release)
    for folder in ("yum.repos.d", "zypp/repos.d"):
        repository = "[a]\nname=a\nbaseurl=http://127.0.0.1/rpm/x86_64\ngpgcheck=0\nenabled=1\n"
        root.write(f"/etc/{folder}/a.repo", repository)
    seen = told_by(root, install, upgrade)
    assert [(one["action"], one["before"], one["after"]) for one in seen] == [
        ("installed", "", "1.16.2-1"),
        ("upgraded", "1.16.2-1", "1.18.0-1"),
    ]
    assert seen[-1]["by"] == upgrade.replace(" -y", "").replace(" -n --no-gpg-checks", "")


def finding(id: str, **differs: Any) -> Finding:
    return ask(CHECKS[id], gather(v100(**differs)))


def test_a_mismatch_says_when_and_by_what_the_driver_was_upgraded() -> None:
    seen = finding("driver.version-agrees", files={**MISMATCH, APT: UPGRADE, PACKED: KERNEL})
    assert seen.message.endswith(
        " The driver was upgraded on 2026-11-20 by unattended-upgrade (535.183.01-0ubuntu1 → 535.216.01-0ubuntu1)."
    )
    assert seen.evidence[-1].text.startswith("2026-11-20 06:12 libnvidia-compute-535 upgraded")


def test_without_a_log_or_leave_to_read_it_the_finding_stays_as_it_is() -> None:
    usual = finding("driver.version-agrees", files=MISMATCH)
    assert usual == finding("driver.version-agrees", files={**MISMATCH, APT: denied()})
    assert usual == finding("driver.version-agrees", files={**MISMATCH, APT: "Start-Date:\nUpgrade: a (\n\0\n"})


def test_who_asked_is_told_and_what_options_held_is_not() -> None:
    history = probe_package_history(v100(files={APT: KERNEL}))
    change = history.last("kernel")
    assert change and (change.by, change.user, change.after) == ("apt-get dist-upgrade", "ada", "6.8.0-49.49")
    assert "hunter2" not in repr(history)


def test_dnf_automatic_is_told_from_a_person_who_only_looked() -> None:
    logs = {
        "/var/log/dnf.log": "2026-11-20T06:12:40+0100 DEBUG dnf-automatic gestartet.\n"
        "2026-11-20T06:12:41+0100 DDEBUG Command: dnf list --installed \n",
        "/var/log/dnf.rpm.log": "2026-11-20T06:12:44+0100 SUBDEBUG Upgrade: nvidia-driver-3:535.216.01-1.el9.x86_64\n"
        "2026-11-20T06:12:49+0100 SUBDEBUG Upgraded: nvidia-driver-3:535.183.01-1.el9.x86_64\n"
        "2026-11-22T10:00:00+0100 SUBDEBUG Installed: kernel-core-5.14.0-503.el9.x86_64\n",
    }
    history = probe_package_history(v100(which={"apt-get": None, "dnf": "/usr/bin/dnf"}, files={**logs, **ROCKY}))
    driver, kernel = history.last("driver"), history.last("kernel")
    assert driver and (driver.by, driver.before, driver.after) == (
        "dnf-automatic",
        "535.183.01-1.el9",
        "535.216.01-1.el9",
    )
    assert kernel and kernel.by == ""


def test_rpm_alone_tells_when_a_package_came() -> None:
    rows = "nvidia-driver\t535.216.01-1.el9\t1795155164\nbash\t5.1\t1\nkernel-core\t5.14.0-503\t99999999999999\n"
    host = v100(which={"apt-get": None, "dnf": "/usr/bin/dnf"}, commands={shlex.join(RPM_DATES): rows})
    change = probe_package_history(host).last("driver")
    assert change and (change.at[:10], change.action, change.by) == ("2026-11-20", "installed", "")


def test_a_packed_log_is_read_unpacked_and_a_bomb_is_no_answer(tmp_path: Path) -> None:
    def read(name: str, raw: bytes) -> tuple[Outcome, str, str]:
        (tmp_path / name).write_bytes(raw)
        reading = LocalHost().read(str(tmp_path / name))
        return reading.outcome, reading.text, reading.detail

    assert read("a.gz", gzip.compress(UPGRADE.encode())) == (Outcome.OK, UPGRADE, "")
    assert read("b.gz", gzip.compress(bytes(64 * TEXT_LIMIT)))[::2] == (
        Outcome.ERROR,
        "larger than 4 MiB when unpacked",
    )
    assert read("c.gz", b"\x1f\x8b hostile")[::2] == (Outcome.ERROR, "gzip cannot have packed this")
    assert read("d.gz", gzip.compress(UPGRADE.encode())[:-12])[::2] == (Outcome.ERROR, "it is cut off")


HOSTILE = {
    "a word": "Start-Date: 2026-11-20 06:12\nUpgrade: " + "a" * SIZE,
    "items": "Start-Date: 2026-11-20 06:12\nUpgrade: " + ", a (" * (SIZE // 5),
    "blank lines": "\n" * SIZE,
    "blanks": "a =" + " " * SIZE + "x",
    "hyphens": "2026-11-20T06:12:49+0100 SUBDEBUG Upgraded: " + "-a." * (SIZE // 3),
    "automatic": "2026-11-20T06:12:49+0100 DEBUG " + "dnf-automatic" * (SIZE // 13) + ":",
    "numbers": "1 " * (SIZE // 2),
    "fields": "|" * SIZE,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_log_takes_no_longer_than_its_size_asks_for(text: str) -> None:
    parsers = (parse_apt, parse_dpkg, parse_dnf, parse_dnf_commands, parse_zypp, parse_rpm_dates)
    begin = time.process_time()
    for parse in (*parsers, parse_apt_config, parse_settings, parse_timers, parse_df):
        parse(text)
    assert time.process_time() - begin < 2.0

"""What is going to end what works: by which trigger, from which day on; and what was provided for is not told."""

from __future__ import annotations

import shlex
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hosts import absent, hung, shown
from hosts_v100 import APT_CONFIG, DF, DOCKER, KERNEL, df, docker, v100

from gpuctl.checks.engine import ask
from gpuctl.checks.every import CHECKS, diagnose
from gpuctl.compat.knowledge.lifetimes import ending, release_of
from gpuctl.facts.gather import gather
from gpuctl.facts.machine.disks import DF as DF_COMMAND
from gpuctl.facts.machine.disks import parse_df
from gpuctl.facts.machine.next_boot import by_release
from gpuctl.facts.machine.scopes import SHOW as SHOW_SCOPES
from gpuctl.facts.packages.automatic_upgrades import DPKG, RPM, SHOW_TIMERS, keeps, parse_apt_config
from gpuctl.facts.toolkit.toolkit import SETTINGS
from gpuctl.model import Action, Finding, Status

ON = 'APT::Periodic::Unattended-Upgrade "1";\n'
UBUNTUS = (
    "     535.216.01-0ubuntu1 500\n        500 http://archive.ubuntu.com/ubuntu noble-updates/restricted Packages\n"
)
NVIDIAS = (
    "     560.35.05-0ubuntu1 600\n        600 https://developer.download.nvidia.com/compute/cuda/repos/x  Packages\n"
)
NEXT = "4.19.0-27-amd64"
DAY = date(2026, 11, 25)


def finding(id: str, **differs: Any) -> Finding:
    return ask(CHECKS[id], gather(v100(**differs)))


def test_no_finding_of_the_outlook_fails_or_asks_for_anything_now() -> None:
    soon = v100(sockets=docker(CgroupDriver="systemd"), commands={DF: df(3)})
    told = [one for one in diagnose(gather(soon)).findings if one.layer == "outlook"]
    assert {one.status for one in told} <= {Status.WARN, Status.PASS, Status.SKIP}
    assert {one.action for one in told} == {Action.NOTHING_NOW}


def upgraded(
    config: str = ON, want: str = "install", policy: str = UBUNTUS, timer: str = "active", program: bool = True
) -> Finding:
    """What is said of a host with Ubuntu's driver, on which unattended-upgrades is set up like this."""
    commands = {
        APT_CONFIG: config,
        shlex.join(
            DPKG
        ): f"nvidia-driver-535\t535.183.01-0ubuntu1\t{want}\tinstalled\nlibnvidia-x\t1\tinstall\tinstalled\n",
        shlex.join(SHOW_TIMERS): f"Id=apt-daily-upgrade.timer\nActiveState={timer}\n",
        "apt-cache policy nvidia-driver-535": f"nvidia-driver-535:\n  Candidate: 1\n  Version table:\n{policy}",
    }
    which = {"unattended-upgrade": "/usr/bin/unattended-upgrade"} if program else {}
    return finding("outlook.automatic-upgrade", commands=commands, which=which)


@pytest.mark.parametrize(
    ("how", "status", "words"),
    [
        ({}, Status.WARN, "unattended-upgrades will replace nvidia-driver-535 under the loaded module"),
        ({"config": 'APT::Periodic::Unattended-Upgrade "0";\n'}, Status.PASS, "Nothing upgrades"),
        ({"config": ""}, Status.PASS, "Nothing upgrades"),
        ({"program": False}, Status.PASS, "Nothing upgrades"),
        ({"timer": "inactive"}, Status.PASS, "Nothing upgrades"),
        ({"want": "hold"}, Status.PASS, "(nvidia-driver-535: hold)"),
        (
            {"config": ON + 'Unattended-Upgrade::Package-Blacklist:: "nvidia-";\n'},
            Status.PASS,
            "nvidia-driver-535: nvi",
        ),
        ({"config": ON + 'Unattended-Upgrade::Package-Blacklist:: "linux-";\n'}, Status.WARN, "no hold is set"),
        ({"policy": NVIDIAS}, Status.PASS, "does not upgrade the driver"),
        (
            {"policy": NVIDIAS, "config": ON + 'Unattended-Upgrade::Origins-Pattern:: "o=NVIDIA";\n'},
            Status.WARN,
            "hold",
        ),
        ({"policy": NVIDIAS + UBUNTUS}, Status.WARN, "no hold is set"),
    ],
)
def test_unattended_upgrades_replaces_the_driver_unless_it_is_kept_or_comes_from_elsewhere(
    how: dict[str, Any], status: Status, words: str
) -> None:
    seen = upgraded(**how)
    assert (seen.status, words in seen.message) == (status, True), seen.message
    if status is Status.WARN:
        assert shown(seen.remedy) == ("apt-mark hold nvidia-driver-535 libnvidia-x",)


@pytest.mark.parametrize(
    ("pattern", "kept"),
    [("nvidia-", True), ("^nvidia-driver-.*$", True), (".*driver.*", True), ("libnvidia", False), ("", False),
     ("(n|nv)+$", False), ("nvidia*", True)],
)  # fmt: skip
def test_a_blacklist_keeps_what_begins_like_its_patterns(pattern: str, kept: bool) -> None:
    assert keeps(pattern, "nvidia-driver-535") is kept


@pytest.mark.parametrize(
    ("timer", "files", "status"),
    [
        ("dnf-automatic-install.timer", {}, Status.WARN),
        ("dnf-automatic.timer", {}, Status.PASS),
        ("dnf-automatic.timer", {"/etc/dnf/automatic.conf": "[commands]\napply_updates = yes\n"}, Status.WARN),
        (
            "dnf5-automatic.timer",
            {"/etc/dnf/automatic.conf": "apply_updates=yes\nupgrade_type=security\n"},
            Status.PASS,
        ),
        ("dnf-automatic-install.timer", {"/etc/dnf/dnf.conf": "[main]\nexcludepkgs=kernel*, nvidia-*\n"}, Status.PASS),
        ("dnf-automatic-install.timer", {"/etc/dnf/plugins/versionlock.list": "nvidia-driver-3:535.*\n"}, Status.PASS),
    ],
)
def test_so_does_dnf_automatic_where_it_applies_updates(timer: str, files: dict[str, str], status: Status) -> None:
    commands = {
        shlex.join(SHOW_TIMERS): f"Id={timer}\nActiveState=active\n",
        shlex.join(RPM): "nvidia-driver\t535.183.01-1.el9\tinstall\tinstalled\n",
    }
    which = {"apt-get": None, "dnf": "/usr/bin/dnf"}
    seen = finding("outlook.automatic-upgrade", commands=commands, which=which, files={**files, **os_release("rocky")})
    assert seen.status is status, seen.message
    assert seen.status is Status.PASS or (shown(seen.remedy) == ("dnf versionlock add nvidia-driver",))


def test_zypper_keeps_what_a_lock_names() -> None:
    commands = {
        shlex.join(SHOW_TIMERS): "Id=os-update.timer\nActiveState=active\n",
        shlex.join(RPM): "nvidia-driver-G06\t550.54.14-1\tinstall\tinstalled\n",
    }
    suse: dict[str, Any] = {"which": {"apt-get": None, "zypper": "/usr/bin/zypper"}, "commands": commands}
    locked = {"/etc/zypp/locks": "type: package\nmatch_type: glob\nsolvable_name: nvidia-*\n"}
    for files, status in (({}, Status.WARN), (locked, Status.PASS)):
        assert finding("outlook.automatic-upgrade", **suse, files={**files, **os_release("sles")}).status is status


def os_release(id: str, version: str = "9.4") -> dict[str, str]:
    return {"/etc/os-release": f'ID={id}\nNAME="{id}"\nVERSION_ID="{version}"\n'}


def test_real_apt_tells_its_settings_as_they_are_read(tmp_path: Path) -> None:
    config = tmp_path / "apt.conf"
    config.write_text(f'{ON}Unattended-Upgrade::Package-Blacklist {{ "nvidia-"; "libnvidia-"; }};\n')
    argv = ("apt-config", "dump", "APT::Periodic", "Unattended-Upgrade")
    said = subprocess.run(
        argv, env={"APT_CONFIG": str(config), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True
    )
    told = parse_apt_config(said.stdout)
    assert told["APT::Periodic::Unattended-Upgrade"][-1] == "1"
    assert told["Unattended-Upgrade::Package-Blacklist"] == ["nvidia-", "libnvidia-"]


def with_next(index: str | None, **more: Any) -> Finding:
    stats = {f"/boot/vmlinuz-{NEXT}": {}}
    files = {} if index is None else {f"/lib/modules/{NEXT}/modules.dep": index}
    return finding("outlook.next-kernel", stats={**stats, **more.pop("stats", {})}, files=files, **more)


def test_a_kernel_without_the_module_is_told_before_the_boot_with_what_builds_it() -> None:
    dkms = {"dkms status": f"nvidia, 418.87.00, {KERNEL}, x86_64: installed\n"}
    seen = with_next("kernel/fs/ext4/ext4.ko:\n", commands=dkms)
    assert (seen.status, NEXT in seen.message) == (Status.WARN, True)
    assert shown(seen.remedy) == (
        "apt-get update",
        f"apt-get install -y linux-headers-{NEXT}",
        f"dkms install nvidia/418.87.00 -k {NEXT}",
    )
    assert with_next("updates/dkms/nvidia.ko:\n").status is Status.PASS
    assert with_next(None).status is Status.PASS  # its modules are gone: nobody is going to boot that
    by_fedora = finding("outlook.next-kernel", stats={f"/lib/modules/{NEXT}/vmlinuz": {}})
    assert by_fedora.status is Status.WARN


def test_kernels_are_compared_number_by_number() -> None:
    assert by_release("6.8.0-100-generic") > by_release("6.8.0-49-generic")
    assert by_release("5.14.0-503.11.1.el9_5.x86_64") > by_release("5.14.0-427.40.1.el9_4.x86_64")


LOST, KEPT = Status.WARN, Status.PASS
GPU_FLAG = {"DeviceRequests": [{"Driver": "", "Count": -1, "DeviceIDs": None, "Capabilities": [["gpu"]]}]}
CDI_DEVICE = {"DeviceRequests": [{"Driver": "cdi", "Count": 0, "DeviceIDs": ["nvidia.com/gpu=all"]}]}
RUNTIME = {"Runtime": "nvidia"}
VISIBLE = ("NVIDIA_VISIBLE_DEVICES=all",)
CONTROL = {"Devices": [{"PathOnHost": "/dev/nvidiactl", "PathInContainer": "/dev/nvidiactl"}]}
MODE = '[nvidia-container-runtime]\nmode = "{}"\n'
RUNC_115 = {"runc --version": "runc version 1.1.5+ds1\n"}
RULE = {"DeviceCgroupRules": ["c 195:* rwm"]}
JIT = {"nvidia-ctk --version": "NVIDIA Container Toolkit CLI version 1.19.1\n"}
LINKS = {f"/dev/char/{number}": {"type": "char"} for number in ("195:0", "195:255", "510:0")}


def ran(name: str, env: tuple[str, ...] = (), started: str = "2026-11-25T10:00:01.1Z", **asked: Any) -> dict[str, Any]:
    """What `docker inspect` tells of a running container."""
    told = {"Runtime": "runc", "Privileged": False, **asked}
    return {"Id": f"{name}01", "Name": f"/{name}", "State": {"StartedAt": started}, "Config": {"Env": [*env]},
            "HostConfig": told}  # fmt: skip


def running(*containers: dict[str, Any], version: str = "28.5.2", **info: Any) -> dict[str, Any]:
    """The sockets of a host on which Docker runs these, and systemd keeps the control groups."""
    ((endpoint, answers),) = docker(version, **{"CgroupDriver": "systemd", **info}).items()
    told = {f"/containers/{one['Id']}/json": one for one in containers}
    return {endpoint: {**answers, "/containers/json": [{"Id": one["Id"]} for one in containers], **told}}


@pytest.mark.parametrize(
    ("container", "host", "status"),
    [
        (ran("x", **GPU_FLAG), {}, LOST),
        (ran("x", **GPU_FLAG), {"stats": LINKS}, LOST),
        (ran("x", VISIBLE, **RUNTIME), {"stats": LINKS}, LOST),
        (ran("x", VISIBLE, **RUNTIME), {"commands": JIT}, KEPT),
        (ran("x", VISIBLE, **RUNTIME), {"files": {SETTINGS: MODE.format("cdi")}}, KEPT),
        (ran("x", VISIBLE, **RUNTIME), {"files": {SETTINGS: MODE.format("legacy")}, "commands": JIT}, LOST),
        (ran("x", ("NVIDIA_VISIBLE_DEVICES=nvidia.com/gpu=0",), **RUNTIME), {}, KEPT),
        (ran("x", **GPU_FLAG, **RUNTIME), {"commands": JIT}, KEPT),
        (ran("x", **GPU_FLAG), {"commands": JIT}, LOST),
        (ran("x", **CDI_DEVICE), {}, KEPT),
        (ran("x", **CDI_DEVICE), {"commands": RUNC_115}, LOST),
        (ran("x", **CDI_DEVICE), {"commands": RUNC_115, "stats": LINKS}, KEPT),
        (ran("x", **CDI_DEVICE), {"commands": {"runc --version": "runc version 1.1.7\n"}}, KEPT),
        (ran("x", **CONTROL), {}, KEPT),
        (ran("x", **GPU_FLAG, **CONTROL), {}, KEPT),
        (ran("x", **GPU_FLAG, **RULE), {}, KEPT),
        (ran("x", **GPU_FLAG | {"Privileged": True}), {}, KEPT),
    ],
)  # fmt: skip
def test_who_loses_gpus_at_a_daemon_reload_depends_on_how_each_got_them(
    container: dict[str, Any], host: dict[str, Any], status: Status
) -> None:
    seen = finding("outlook.daemon-reload", sockets=running(container), **host)
    assert (seen.status, status is KEPT or "(x)" in seen.message) == (status, True), seen.message


def test_docker_29_2_keeps_them_where_a_specification_gave_them_and_cgroupfs_always() -> None:
    spec = {"stats": {"/etc/cdi/nvidia.yaml": {}}}
    by_flag = ran("x", **GPU_FLAG)
    assert finding("outlook.daemon-reload", sockets=running(by_flag, version="29.7.2"), **spec).status is KEPT
    assert finding("outlook.daemon-reload", sockets=running(by_flag, version="29.7.2")).status is LOST
    for kept in ({"CgroupDriver": "cgroupfs"}, {"SecurityOptions": ["name=rootless"]}):
        assert finding("outlook.daemon-reload", sockets=running(by_flag, **kept)).status is KEPT


def test_those_that_lose_them_are_counted_and_a_few_named_with_a_remedy_that_works_here() -> None:
    names = ("train", "serve", "embed", "index")
    sockets = running(*(ran(name, **GPU_FLAG) for name in names), ran("cdi", **CDI_DEVICE), ran("web"))
    seen = finding("outlook.daemon-reload", sockets=sockets)
    told = "takes the GPUs from 4 of 5 running containers with GPUs (train, serve, embed, …)."
    assert (seen.status, told in seen.message) == (LOST, True), seen.message
    assert seen.remedy and "--device nvidia.com/gpu=all" in seen.remedy.text
    assert shown(seen.remedy) == ("gpuctl install-runtime --cdi",)
    assert [str(one) for one in seen.remedy.by_hand] == ["nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"]
    jit = finding("outlook.daemon-reload", sockets=sockets, commands=JIT).remedy
    assert jit and "--runtime=nvidia in place of --gpus" in jit.text and not jit.commands
    old = finding("outlook.daemon-reload", sockets=running(ran("x", **GPU_FLAG), version="20.10.24")).remedy
    assert old and "native.cgroupdriver=cgroupfs" in old.text
    links = finding("outlook.daemon-reload", sockets=running(ran("x", **CDI_DEVICE)), commands=RUNC_115).remedy
    assert links and "Upgrade runc to 1.1.7" in links.text


def test_where_no_container_has_gpus_the_next_one_is_told_of() -> None:
    for sockets in (running(), running(ran("web")), docker("28.5.2", CgroupDriver="systemd")):
        seen = finding("outlook.daemon-reload", sockets=sockets)
        assert (seen.status, "that get them so: --gpus by the hook" in seen.message) == (LOST, True), seen.message
    assert finding("outlook.daemon-reload", sockets=running(DefaultRuntime="nvidia"), commands=JIT).status is KEPT


def scope(name: str, *allowed: str, policy: str = "strict") -> str:
    rules = "".join(f"DeviceAllow={entry}\n" for entry in ("char-* m", "/dev/char/1:3 rwm", *allowed))
    return f"Id={name}.scope\nLoadState=loaded\nControlGroup=/s/{name}.scope\nDevicePolicy={policy}\n{rules}\n"


def test_systemds_own_rules_decide_where_they_can_be_seen_whichever_the_engine() -> None:
    systemd = {"/run/systemd/system": {"type": "dir"}}
    id, other = "3f" * 32, "4e" * 32
    by_flag = ran("x", **GPU_FLAG) | {"Id": id}
    for rules, status in ((("/dev/char/195:255 rwm",), KEPT), ((), LOST)):
        shows = {shlex.join(SHOW_SCOPES): scope(f"docker-{id}", *rules)}
        seen = finding("outlook.daemon-reload", sockets=running(by_flag), stats=systemd, commands=shows)
        assert seen.status is status, seen.message
    group = f"/sys/fs/cgroup/s/cri-containerd-{other}.scope/cgroup.procs"
    mounts = "931 930 0:5 /nvidia0 /dev/nvidia0 rw,nosuid - devtmpfs udev rw\n"
    pod = {"files": {group: "4711\n", "/proc/4711/mountinfo": mounts}, "stats": systemd}
    for rules, status in (((), LOST), (("char-nvidia-frontend rw",), KEPT)):
        shows = {shlex.join(SHOW_SCOPES): scope(f"cri-containerd-{other}", *rules) + scope("session-1")}
        seen = finding("outlook.daemon-reload", sockets={DOCKER: absent()}, commands=shows, **pod)
        assert (seen.status, status is KEPT or other[:12] in seen.message) == (status, True), seen.message


def test_what_upgrades_services_by_itself_is_told_with_it() -> None:
    commands = {APT_CONFIG: ON, shlex.join(SHOW_TIMERS): "Id=apt-daily-upgrade.timer\nActiveState=active\n"}
    which = {"unattended-upgrade": "/usr/bin/unattended-upgrade"}
    seen = finding("outlook.daemon-reload", sockets=running(ran("x", **GPU_FLAG)), commands=commands, which=which)
    assert "unattended-upgrades runs one when it upgrades a service." in seen.message


@pytest.mark.parametrize(
    ("end", "says"),
    [
        ("2026-10", "has had no support since 2026-10"),
        ("2026-11", "has support until 2026-11, 5 days more"),
        ("2027-01", "has support until 2027-01, 67 days more"),
        ("2027-02", None),
        ("2028-06", None),
    ],
)
def test_an_end_is_told_from_ninety_days_before_it_on(end: str, says: str | None) -> None:
    assert ending(end, DAY) == says


def test_a_minor_release_ends_with_its_major_one() -> None:
    ends = {name: row.end_of_life for name in ("9.4", "9") if (row := release_of("rocky", name))}
    assert ends == {"9.4": "2032-05", "9": "2032-05"}
    assert release_of("ubuntu", "22.04") and release_of("ubuntu", "22") is None
    assert release_of("arch", "") is None


def test_disks_that_nobody_could_look_at_are_not_spoken_of() -> None:
    for df_says in (absent(), hung(3.0), "df: /mnt: Permission denied\n"):
        assert finding("outlook.disk-space", commands={DF: df_says}).status is Status.SKIP


def test_a_full_boot_partition_is_told_before_a_kernel_is_installed() -> None:
    boot = df(200) + "/dev/sda2 524288 480000 44288 92% /boot\n"
    seen = finding("outlook.disk-space", commands={DF: boot})
    assert (seen.status, "/boot is nearly full" in seen.message) == (Status.WARN, True)


def test_real_df_is_understood() -> None:
    said = subprocess.run(DF_COMMAND, capture_output=True, text=True, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"})
    root = next(one for one in parse_df(said.stdout) if one.mount == "/")
    assert 0 <= root.free <= root.size and root.size > 1 << 30

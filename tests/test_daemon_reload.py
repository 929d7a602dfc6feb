"""What the doctor says of a daemon-reload is what then happens: real systemd, real Docker, real device rules.

A container that may open a device of which no driver is there is told ENXIO, and one that may not EPERM.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from realhost import BOOKWORM, FORKY, BootedHost, build_root
from simhost import Bed

PROGRAMS = Path(__file__).parent / "simhost/programs"
HOOK, RUNTIME = "/usr/bin/nvidia-container-runtime-hook", "/usr/bin/nvidia-container-runtime"
TOOLKIT = {HOOK: "open-devices.py", RUNTIME: "runtime-modes.py", f"{RUNTIME}.legacy": "runtime-modes.py"}
CONFIG, SPEC = "/etc/docker/daemon.json", "/etc/cdi/nvidia.json"
NODES = {"/dev/nvidiactl": "255", "/dev/nvidia0": "0"}
SETTINGS = {"runtimes": {"nvidia": {"path": RUNTIME}, "old": {"path": f"{RUNTIME}.legacy"}}}
OPENS = ("sh", "-c", "[ -e /x ] || mknod /x c 195 255; cat /x")
"""What a program does first that uses a GPU: it opens /dev/nvidiactl."""
MAY, MAY_NOT = "No such device or address", "Operation not permitted"
ALL = ("--env=NVIDIA_VISIBLE_DEVICES=all",)
WAYS: dict[str, tuple[str, ...]] = {
    "hook": ("--gpus=all",),
    "legacy": ("--runtime=old", *ALL),
    "jit": ("--runtime=nvidia", *ALL),
    "device": ("--device=/dev/nvidiactl",),
    "both": ("--gpus=all", "--device=/dev/nvidiactl"),
    "none": (),
}
CDI = {"cdi": ("--device=nvidia.com/gpu=all",)}


def prepare(machine: BootedHost) -> BootedHost:
    """Gives it GPUs' device nodes, and programs that give these to containers as the toolkit's do."""
    for node, minor in NODES.items():
        machine.run("mknod", "--mode=666", node, "c", "195", minor)
    interpreter = "#!/usr/bin/python3 -IS\n"
    for path, program in TOOLKIT.items():
        machine.write(path, interpreter + (PROGRAMS / program).read_text())
        machine.run("chmod", "755", path)
    edits = {"deviceNodes": [{"path": node} for node in NODES]}
    spec = {"cdiVersion": "0.6.0", "kind": "nvidia.com/gpu", "devices": [{"name": "all", "containerEdits": edits}]}
    machine.write(SPEC, json.dumps(spec))
    machine.import_image("busybox")
    return machine


@pytest.fixture(scope="module")
def old(bed: Bed) -> Iterator[BootedHost]:
    """Docker 20.10 and runc 1.1.5, with control groups as the machine has them."""
    machine = BootedHost(build_root(BOOKWORM), bed)
    yield prepare(machine)
    machine.close()


@pytest.fixture(scope="module")
def new(bed: Bed) -> Iterator[BootedHost]:
    """Docker 28 and runc 1.3, with cgroup v2."""
    machine = BootedHost(build_root(FORKY), bed, unified=True)
    yield prepare(machine)
    machine.close()


def restart(machine: BootedHost, driver: str) -> None:
    """Starts Docker without containers and with that cgroup driver."""
    machine.run("sh", "-c", "docker rm -f $(docker ps -aq)")
    machine.write(CONFIG, json.dumps({**SETTINGS, "exec-opts": [f"native.cgroupdriver={driver}"]}))
    assert machine.run("systemctl", "restart", "docker").code == 0


def start(machine: BootedHost, ways: dict[str, tuple[str, ...]]) -> None:
    for name, options in ways.items():
        machine.docker("run", "-d", "--network=none", f"--name={name}", *options, "busybox", "sleep", "600")


def openers(machine: BootedHost, names: Iterator[str] | dict[str, tuple[str, ...]]) -> set[str]:
    """Those that may open it now."""
    said = {name: machine.run("docker", "exec", name, *OPENS).err for name in names}
    assert all(MAY in text or MAY_NOT in text for text in said.values()), said
    return {name for name, text in said.items() if MAY in text}


def foretold(machine: BootedHost) -> tuple[str, str]:
    """The status and the sentence of the doctor."""
    done = machine.gpuctl("doctor", "--json", "--only", "outlook.daemon-reload")
    ((finding),) = done.json["findings"]
    return finding["status"], finding["message"]


def test_of_all_ways_those_lose_their_gpus_of_which_it_is_said(new: BootedHost) -> None:
    restart(new, "systemd")
    ways = {**WAYS, **CDI}
    start(new, ways)
    assert openers(new, ways) == ways.keys() - {"none"}
    status, told = foretold(new)
    assert (status, "from 2 of 6 running containers with GPUs" in told) == ("warn", True), told
    assert all(name in told for name in ("hook", "legacy"))
    new.run("systemctl", "daemon-reload")
    assert openers(new, ways) == {"jit", "device", "both", "cdi"}

    new.run("docker", "rm", "-f", "hook", "legacy")
    assert foretold(new)[0] == "pass"


def test_with_cgroupfs_nobody_loses_them(new: BootedHost) -> None:
    restart(new, "cgroupfs")
    start(new, {"hook": WAYS["hook"]})
    assert foretold(new)[0] == "pass"
    new.run("systemctl", "daemon-reload")
    assert openers(new, {"hook": ()}) == {"hook"}


def test_links_keep_them_from_an_old_runc_alone_and_never_from_the_hook(old: BootedHost) -> None:
    restart(old, "systemd")
    start(old, {name: WAYS[name] for name in ("hook", "device")})
    assert "from 2 running containers with GPUs" in foretold(old)[1]
    old.run("sh", "-c", "mkdir -p /dev/char; ln -s ../nvidiactl /dev/char/195:255; ln -s ../nvidia0 /dev/char/195:0")
    linked = {"hook2": WAYS["hook"], "jit2": WAYS["jit"], "device2": WAYS["device"]}
    start(old, linked)
    told = foretold(old)[1]
    assert "from 3 of 5 running containers with GPUs" in told and "hook2" in told, told
    old.run("systemctl", "daemon-reload")
    assert openers(old, {"hook": (), "device": (), **linked}) == {"jit2", "device2"}
    old.run("rm", "-r", "/dev/char/195:255", "/dev/char/195:0")


def test_an_update_takes_them_from_one_container(old: BootedHost) -> None:
    restart(old, "systemd")
    start(old, {"hook": WAYS["hook"], "other": WAYS["hook"]})
    old.docker("update", "--memory=300m", "--memory-swap=300m", "hook")
    assert openers(old, {"hook": (), "other": ()}) == {"other"}

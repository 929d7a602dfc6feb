"""`gpuctl smoke --engine` with a real Podman and a real containerd: their containers see the GPUs that they ask for."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from simhost import Bed, Done, SimHost, Toolkit
from simhost.dockerd import busybox_tar
from simhost.process import until

IMAGE = "docker.io/nvidia/cuda:12.2.0-base-ubuntu22.04"
SMI = "usr/bin/nvidia-smi"
PODMAN = """#!/bin/sh
CONTAINERS_CONF={folder}/containers.conf exec /usr/bin/podman \
--root {folder}/store --runroot {folder}/run --cgroup-manager=cgroupfs --runtime=runc --storage-driver=vfs "$@"
"""
RUNC = """#!/bin/sh
# The host is a chroot, of which nobody can make another root.
for word; do
    shift
    set -- "$@" "$word"
    [ "$word" != create ] || set -- "$@" --no-pivot
done
exec /usr/sbin/runc "$@"
"""
FOLDER = "/run/containerd"
CONFIG = """version = 2
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia]
  runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia.options]
    BinaryName = "{runtime}"
"""


def uuids(bed: Bed, *indexes: int) -> list[str]:
    return [bed.profiles["a100x8"].gpus[index].uuid for index in indexes]


def smi(bed: Bed) -> bytes:
    """An nvidia-smi that tells of the GPUs whose device nodes the container has."""
    profile = bed.profiles["a100x8"]
    told = enumerate(f"{gpu.uuid}, {profile.driver}, {gpu.name}" for gpu in profile.gpus)
    rows = (f'[ -e /dev/nvidia{index} ] && echo "{row}"' for index, row in told)
    return "\n".join(["#!/bin/sh", *rows, "exit 0\n"]).encode()


def layer(program: bytes) -> bytes:
    """Busybox, with a program as its nvidia-smi."""
    raw = io.BytesIO(busybox_tar())
    with tarfile.open(fileobj=raw, mode="a") as tar:
        entry = tarfile.TarInfo(SMI)
        entry.size, entry.mode = len(program), 0o755
        tar.addfile(entry, io.BytesIO(program))
    return raw.getvalue()


def archive(root: bytes) -> bytes:
    """An image as `docker save` writes it."""
    digest = hashlib.sha256(root).hexdigest()
    config = {"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/usr/bin:/bin"]}}
    config["rootfs"] = {"type": "layers", "diff_ids": [f"sha256:{digest}"]}
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    files = {"config.json": json.dumps(config), "manifest.json": json.dumps(manifest)}
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, content in {**{name: text.encode() for name, text in files.items()}, "layer.tar": root}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return raw.getvalue()


def smoke(host: SimHost, engine: str, *options: str) -> tuple[Done, Any]:
    done = host.gpuctl("smoke", "--engine", engine, "--json", *options, real_proc=True)
    schema = Path(__file__).parents[1] / "data/schemas/smoke.schema.json"
    jsonschema.validate(done.json, json.loads(schema.read_text()))
    return done, done.json


@pytest.fixture
def podman_host(bed: Bed, toolkit: Toolkit, sim_host: Callable[..., SimHost]) -> Iterator[SimHost]:
    toolkit.install("a100x8")
    folder = toolkit.directory
    (folder / "containers.conf").write_text(
        '[engine]\nno_pivot_root = true\n[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
    )
    (folder / "podman").write_text(PODMAN.format(folder=folder))
    (folder / "podman").chmod(0o755)
    (folder / "image.tar").write_bytes(layer(smi(bed)))
    host = sim_host("a100x8", toolkit=toolkit, absent=["/var/lib/containers"])
    imported = host.run(["podman", "import", str(folder / "image.tar"), IMAGE])
    assert imported.code == 0, imported.err
    yield host
    host.run(["podman", "rmi", "--all", "--force"])


def test_podmans_containers_see_what_the_specification_names_and_are_gone(bed: Bed, podman_host: SimHost) -> None:
    without, said = smoke(podman_host, "podman", "--image", IMAGE)
    assert (without.code, said["passed"]) == (1, False), said
    installed = podman_host.gpuctl("install-runtime", "--engine", "podman")
    assert installed.code == 0 and installed.out.endswith("Next: gpuctl smoke --engine podman\n")
    for gpus, indexes in (("all", range(8)), ("device=1,3", (1, 3)), ("2", (0, 1))):
        done, said = smoke(podman_host, "podman", "--gpus", gpus)
        assert (done.code, said["passed"], said["pulled"]) == (0, True, False), said
        assert said["seen"]["gpus"] == uuids(bed, *indexes)
    assert (said["image"], said["engine"]["name"]) == (IMAGE, "podman")
    assert podman_host.run(["podman", "ps", "--all", "--quiet"]).out == ""


@pytest.fixture
def containerd_host(bed: Bed, toolkit: Toolkit, sim_host: Callable[..., SimHost]) -> Iterator[SimHost]:
    """A host with a containerd of its own, all of it in its /run, which the daemon and its clients share."""
    toolkit.install("a100x8")
    (toolkit.directory / "runc").write_text(RUNC)
    (toolkit.directory / "runc").chmod(0o755)
    (toolkit.directory / "image.tar").write_bytes(archive(layer(smi(bed))))
    files = {"/etc/containerd/config.toml": CONFIG.format(runtime=toolkit.runtime)}
    host = sim_host("a100x8", toolkit=toolkit, files=files, env={"CONTAINERD_ADDRESS": f"{FOLDER}/containerd.sock"})
    daemon = host.popen(["containerd", "--root", f"{FOLDER}/root", "--state", f"{FOLDER}/state"], real_proc=True)
    ctr = ["ctr", "--namespace", "k8s.io"]
    try:
        assert until(lambda: host.run([*ctr, "version"]).code == 0)
        loaded = host.run([*ctr, "images", "import", f"{toolkit.directory}/image.tar"])
        assert loaded.code == 0, loaded.err
        yield host
        assert host.run([*ctr, "containers", "ls", "-q"]).out == ""
    finally:
        daemon.terminate()
        daemon.wait(300)


def test_containerds_containers_see_their_gpus_by_the_registered_runtime(bed: Bed, containerd_host: SimHost) -> None:
    done, said = smoke(containerd_host, "containerd")
    assert (done.code, said["passed"]) == (0, True), json.dumps(said)
    assert (said["image"], said["seen"]["gpus"]) == (IMAGE, uuids(bed, *range(8)))
    unknown, said = smoke(containerd_host, "containerd", "--runtime", "kata")
    assert (unknown.code, "no runtime called kata" in said["cause"]) == (1, True), said


def test_where_gpuctl_starts_no_container_it_says_what_does(sim_host: Callable[..., SimHost]) -> None:
    done = sim_host("v100").gpuctl("smoke", "--engine", "crio")
    assert done.code == 3 and "a pod with runtimeClassName: nvidia" in done.out
    assert subprocess.list2cmdline(["kubectl", "get", "runtimeclasses"]) in done.out

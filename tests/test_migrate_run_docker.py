"""What `gpuctl migrate` writes, on a real dockerd: the old command and the new one give the same GPUs."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from simhost import Bed, Dockerd, SimHost, Toolkit, import_image
from simhost.dockerd import DOCKERD

IMAGE = "nvidia/cuda:10.1-base"
SCHEMA = json.loads((Path(__file__).parents[1] / "data/schemas/migrate-container.schema.json").read_text())
NODES = {"nvidia0": 0, "nvidia1": 1, "nvidia2": 2, "nvidiactl": 255}
WITH_NODES = (
    'mkdir -p "$0"/up "$0"/work && mount -t overlay overlay -o "lowerdir=/dev,upperdir=$0/up,workdir=$0/work" /dev && '
    + " && ".join(f"mknod /dev/{name} c 195 {minor}" for name, minor in NODES.items())
    + ' && exec "$@"'
)
"""Gives dockerd, and nobody else, a /dev with the driver's nodes."""


@pytest.fixture(scope="module")
def daemon(bed: Bed) -> Iterator[Dockerd]:
    """A dockerd with the toolkit on a host of eight A100, and the nodes of three."""
    directory, nodes = (Path(tempfile.mkdtemp(prefix="migrate-", dir=folder)) for folder in ("/tmp", "/dev/shm"))
    directory.chmod(0o755)
    toolkit = Toolkit(bed, directory)
    toolkit.install("a100x8")
    daemon = Dockerd(config=json.dumps({"runtimes": {"nvidia": {"path": toolkit.runtime}}}), path=[directory])
    daemon.program = ["unshare", "--mount", "sh", "-c", WITH_NODES, str(nodes), DOCKERD]
    daemon.start()
    import_image(daemon, IMAGE)
    yield daemon
    daemon.close()
    for folder in (directory, nodes):
        shutil.rmtree(folder)


@pytest.fixture
def host(daemon: Dockerd, sim_host: Callable[..., SimHost]) -> SimHost:
    return sim_host("a100x8", dockerd=daemon)


def indexes(text: str) -> list[str]:
    """The GPUs that `nvidia-smi -L` lists, by the last digit of their UUIDs."""
    return re.findall(r"GPU-a1000000-7c1e-4d52-8b7a-0{11}(\d)", text)


def new_command(host: SimHost, *old: str) -> list[str]:
    done = host.gpuctl("migrate", "run", "--", *old)
    assert done.code == 0, done.err
    return shlex.split(done.out)


def seen_by(daemon: Dockerd, words: list[str]) -> list[str]:
    done = daemon.docker(*words[1:])
    assert done.code == 0, done.err
    return indexes(done.out)


@pytest.mark.parametrize("visible", ["all", "0,2", "1"])
def test_what_the_runtime_gave_the_flag_gives(daemon: Dockerd, host: SimHost, visible: str) -> None:
    run = ["docker", "run", "--rm", "--network=none", "--runtime=nvidia", "-e", f"NVIDIA_VISIBLE_DEVICES={visible}"]
    old = [*run, IMAGE, "nvidia-smi", "-L"]
    new = new_command(host, *old)
    assert "--gpus" in new and "--runtime=nvidia" not in new
    assert seen_by(daemon, new) == seen_by(daemon, old) != []


def test_the_gpus_whose_nodes_were_mapped_by_hand_are_those_that_the_new_command_gives(
    daemon: Dockerd, host: SimHost
) -> None:
    devices = [word for name in ("nvidia0", "nvidia2", "nvidiactl") for word in ("--device", f"/dev/{name}")]
    old = ["docker", "run", "--rm", "--network=none", *devices, "--privileged=false", IMAGE, "ls", "/dev"]
    mapped = daemon.docker(*old[1:])
    assert mapped.code == 0, mapped.err
    new = new_command(host, *old)
    assert seen_by(daemon, [*new[:-2], "nvidia-smi", "-L"]) == re.findall(r"nvidia(\d)", mapped.out) == ["0", "2"]
    assert "/dev/nvidia0" not in new


def started(daemon: Dockerd, name: str, *options: str, image: str = IMAGE) -> str:
    done = daemon.docker("run", "-d", f"--name={name}", "--network=none", *options, image, "sleep", "600")
    assert done.code == 0, done.err
    return done.out.strip()


@pytest.fixture
def emptied(daemon: Dockerd) -> Iterator[None]:
    yield
    ids = daemon.docker("ps", "-aq").out.split()
    daemon.docker("rm", "-f", *ids)


@pytest.mark.usefixtures("emptied")
def test_an_audit_finds_what_maps_the_driver_by_hand_and_touches_nothing(daemon: Dockerd, host: SimHost) -> None:
    compose = "--label=com.docker.compose.project.config_files=/srv/app/compose.yaml"
    options = (
        compose,
        "--device=/dev/nvidia1",
        "--device=/dev/nvidiactl",
        "-e",
        "A=b c",
        "--cap-add=SYS_NICE",
        "-w",
        "/tmp",
    )
    old = started(daemon, "old", *options)
    started(daemon, "modern", "--gpus", '"device=0,2"')
    started(daemon, "none")
    before = daemon.docker("inspect", old).out
    done = host.gpuctl("migrate", "container", "--all", "--json")
    assert done.code == 1, done.err
    Draft202012Validator(SCHEMA).validate(done.json)
    found = {one["name"]: one for one in done.json["containers"]}
    assert [found[name]["by_hand"] for name in ("old", "modern", "none")] == [True, False, False]
    assert done.json["legacy"] == 1
    assert [found[name]["compose"] for name in ("old", "none")] == ["/srv/app/compose.yaml", None]
    assert "/srv/app/compose.yaml: that is the file to change" in host.gpuctl("migrate", "container", "old").out
    words = shlex.split(found["old"]["after"])
    assert words[words.index("--gpus") + 1] == "device=1"
    assert not any("/dev/nvidia" in word or "com.docker.compose" in word for word in words)
    assert daemon.docker("inspect", old).out == before
    assert found["modern"]["after"] == found["modern"]["before"]
    daemon.docker("rm", "-f", "old")
    assert daemon.docker(*words[1:]).code == 0
    made = json.loads(daemon.docker("inspect", "old").out)[0]
    config = made["Config"]
    assert [config["Cmd"], config["WorkingDir"], "A=b c" in config["Env"]] == [["sleep", "600"], "/tmp", True]
    assert made["HostConfig"]["CapAdd"] == json.loads(before)[0]["HostConfig"]["CapAdd"]
    assert host.gpuctl("migrate", "container", "--all").code == 0


@pytest.mark.usefixtures("emptied")
def test_an_image_that_was_committed_of_a_gpu_container_is_a_fault_of_its_own(daemon: Dockerd, host: SimHost) -> None:
    started(daemon, "made", image=IMAGE)
    script = "mkdir -p /usr/lib64; : > /usr/lib64/libcuda.so.418.87; ln -s libcuda.so.418.87 /usr/lib64/libcuda.so.1"
    daemon.docker("exec", "made", "sh", "-c", script)
    daemon.docker("commit", "made", "committed:1")
    started(daemon, "later", "--gpus", "all", image="committed:1")
    done = host.gpuctl("migrate", "container", "later", "--json")
    assert done.code == 1, done.err
    (one,) = done.json["containers"]
    assert (one["by_hand"], one["emptied"]) == (False, ["/usr/lib64/libcuda.so.418.87"])
    said = host.gpuctl("migrate", "container", "later")
    assert "made of a GPU container by commit" in said.out
    assert host.gpuctl("migrate", "container", "made", "--json").json["containers"][0]["emptied"] == []


def test_a_container_that_does_not_run_is_wrong_usage_and_no_docker_cannot_be_told(
    host: SimHost, sim_host: Callable[..., SimHost]
) -> None:
    assert host.gpuctl("migrate", "container", "nobody").code == 2
    assert host.gpuctl("migrate", "container").code == 2
    assert sim_host("v100").gpuctl("migrate", "container", "--all").code == 3

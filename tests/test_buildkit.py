"""BuildKit of Docker 28.5 checks and builds what `gpuctl dockerfile new` writes, and refuses what gpuctl refuses."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from elves import program
from realhost import FORKY, build_root
from simhost import Dockerd, unpack
from test_dockerfile_images import STAND_IN, TESLA, base, config, gpuctl, imported, old

from gpuctl.dockerfile.source import BadDockerfile, read_source

__all__ = ["base", "old"]  # fixtures
pytestmark = pytest.mark.bench  # a daemon of its own
PLUGIN = "usr/libexec/docker/cli-plugins/docker-buildx"
Build = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def dockerd() -> Iterator[Dockerd]:
    daemon = Dockerd(system=build_root(FORKY))
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.close()


@pytest.fixture(scope="module")
def build(dockerd: Dockerd) -> Iterator[Build]:
    """`build(folder, "--check")` is what `docker build --check` says of the Dockerfile in that folder."""
    place = Path(tempfile.mkdtemp(prefix="buildx-"))
    buildx = unpack("forky", place, "docker-buildx", PLUGIN)
    env = {"PATH": os.environ["PATH"], "HOME": str(place), "DOCKER_HOST": dockerd.host, "DOCKER_CONFIG": str(place)}

    def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
        argv = [buildx, "build", "--progress=plain", "--network=none", *options, folder]
        return subprocess.run(argv, capture_output=True, text=True, env=env, timeout=300)

    yield run
    shutil.rmtree(place)


def built(build: Build, text: str, folder: Path) -> str:
    """Returns the name of the image, once nothing was to be said against its Dockerfile."""
    (folder / "Dockerfile").write_text(text)
    checked = build(folder, "--check")
    assert (checked.returncode, checked.stdout) == (0, "Check complete, no warnings found.\n"), checked.stderr + text
    done = build(folder, "--tag=made:1")
    assert done.returncode == 0, done.stderr + text
    return "made:1"


def test_a_plain_one_is_checked_and_built(dockerd: Dockerd, base: str, build: Build, tmp_path: Path) -> None:
    done = gpuctl(dockerd, "dockerfile", "new", *TESLA, "--cuda", "10.1")
    assert f"\nFROM {base}\n" in done.stdout, done.stderr
    now = config(dockerd, built(build, done.stdout, tmp_path))
    assert now["User"] == "10001:10001" and "NVIDIA_VISIBLE_DEVICES=all" in now["Env"]  # type: ignore[operator]


def test_one_for_an_application_is_checked_and_built(dockerd: Dockerd, base: str, build: Build, tmp_path: Path) -> None:
    program(tmp_path / "bin" / "a", ("libnuma.so.1", "libcudart.so.10.1"))
    done = gpuctl(dockerd, "dockerfile", "new", *TESLA, "--app", str(tmp_path))
    assert f"\nFROM {base}\n" in done.stdout, done.stderr
    image = built(build, done.stdout, tmp_path)
    assert config(dockerd, image)["Cmd"] == ["/app/bin/a"]
    shown = dockerd.docker("run", "--rm", "--network=none", image, "cat", "/installed")
    assert "apt-get install -y --no-install-recommends libnuma1\n" in shown.out


def test_one_that_takes_over_an_old_image_is_checked_and_built(
    dockerd: Dockerd, base: str, old: str, build: Build, tmp_path: Path
) -> None:
    done = gpuctl(dockerd, "dockerfile", "new", *TESLA, "--cuda", "10.1", "--from-image", old)
    assert f"\nFROM {base}\n" in done.stdout, done.stderr
    now, before = config(dockerd, built(build, done.stdout, tmp_path)), config(dockerd, old)
    for kept in ("WorkingDir", "Cmd", "ExposedPorts", "Healthcheck"):
        assert now[kept] == before[kept], kept


PYTHON = b'#!/bin/sh\n[ "$1 $2" = "-m venv" ] && mkdir -p $3/bin && /bin/busybox cp /usr/bin/apt-get $3/bin/pip\n'
"""Makes an environment whose pip writes down what it is asked for, as the other stand-ins do."""
DNF = STAND_IN + b'[ "${*##*shadow-utils}" = "$*" ] || /bin/busybox cp /usr/bin/dnf /usr/sbin/useradd\n'
"""Brings useradd with shadow-utils alone."""


@pytest.mark.parametrize(
    ("asked", "installs"),
    [
        (("torch==2.4.0+cu121",), "torch==2.4.0 --index-url https://download.pytorch.org/whl/cu121"),
        (("tensorflow==2.12.0",), "tensorflow==2.12.0"),
        (("jax==0.4.31",), "jax[cuda12]==0.4.31"),
        (("onnxruntime-gpu<1.20", "--os", "ubi9"), "onnxruntime-gpu==1.19.0"),
    ],
)
def test_one_with_a_framework_is_checked_and_built(
    dockerd: Dockerd, build: Build, tmp_path: Path, asked: tuple[str, ...], installs: str
) -> None:
    done = gpuctl(
        dockerd, "dockerfile", "new", "--offline", "--driver", "580.95.05", "--gpu", "A100", "--framework", *asked
    )
    (tag,) = re.findall(r"^FROM (\S+)$", done.stdout, re.MULTILINE)
    programs = dict.fromkeys(("usr/bin/apt-get", "usr/bin/dnf", "usr/bin/useradd"), STAND_IN)
    imported(dockerd, tag, {**programs, "usr/bin/python3": PYTHON})
    image = built(build, done.stdout, tmp_path)
    shown = dockerd.docker("run", "--rm", "--network=none", image, "cat", "/installed").out
    assert f"/opt/venv/bin/pip install --no-cache-dir {installs}\n" in shown
    assert f"python3{' python3-venv' if 'apt-get' in shown else ''}\n" in shown
    assert "PATH=/opt/venv/bin:" in str(config(dockerd, image)["Env"])


def test_where_the_base_has_no_useradd_it_is_installed_first(dockerd: Dockerd, build: Build, tmp_path: Path) -> None:
    done = gpuctl(
        dockerd, "dockerfile", "new", "--offline", "--driver", "580.95.05", "--gpu", "A100", "--os", "amzn2023"
    )
    (tag,) = re.findall(r"^FROM (\S+)$", done.stdout, re.MULTILINE)
    imported(dockerd, tag, {"usr/bin/dnf": DNF, "usr/sbin/empty": b""})
    assert config(dockerd, built(build, done.stdout, tmp_path))["User"] == "10001:10001"


WITHOUT = ("COPY", "COPY a", "ADD", "ADD a", "ENV", "USER", "WORKDIR", "EXPOSE", "VOLUME", "LABEL", "ARG", "STOPSIGNAL")
MORE = ("SHELL", "ONBUILD", "HEALTHCHECK", "MAINTAINER")
TAKEN = ("RUN", "ENV A=b", "LABEL a=b", "EXPOSE 1", "USER a", "COPY a b", 'COPY ["a","b"]', "HEALTHCHECK NONE")


@pytest.mark.parametrize("line", [*WITHOUT, *MORE, *TAKEN])
def test_an_instruction_without_what_it_takes_is_refused_where_buildkit_refuses_it(
    build: Build, tmp_path: Path, line: str
) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM scratch\n{line}\n")
    theirs = "dockerfile parse error on line 2: " in build(tmp_path, "--check").stderr
    try:
        read_source((tmp_path / "Dockerfile").read_bytes())
    except BadDockerfile as error:
        assert theirs and str(error).startswith("line 2: ")
    else:
        assert not theirs

"""BuildKit of Docker 28.5 checks and builds what `gpuctl dockerfile new` writes, and refuses what gpuctl refuses."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from elves import program
from realhost import FORKY, build_root
from simhost import Dockerd, unpack
from test_dockerfile_images import TESLA, base, config, gpuctl, old

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

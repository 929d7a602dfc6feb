"""What an old image says is carried over, and what a new one lacks is found: on a real dockerd, which builds it."""

from __future__ import annotations

import gzip
import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from elves import library, program
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from registry import docker_registry
from simhost import Dockerd, warm
from simhost.dockerd import busybox_tar

from gpuctl.dockerfile.carried import carried_from
from gpuctl.images.config import Unreadable
from gpuctl.images.export import exported
from gpuctl.images.run import Healthcheck, RunConfig

pytestmark = pytest.mark.bench  # a daemon of its own
ROOT = Path(__file__).parents[1]
BASE = "nvidia/cuda:10.1-base-ubuntu18.04"
TESLA = ("--driver", "418.87", "--gpu", "V100")
STAND_IN = b"#!/bin/sh\necho $0 $* >> /installed\n"
"""In the place of apt-get and useradd, which busybox does not have."""
RELEASE = b'ID=ubuntu\nVERSION_ID="18.04"\nNAME=Ubuntu\n'
APPLETS = ("rm", "id", "mkdir", "stat")


def gpuctl(daemon: Dockerd, *argv: str) -> subprocess.CompletedProcess[str]:
    return warm.gpuctl(*argv, env={**os.environ, "DOCKER_HOST": daemon.host})


def tree(files: Mapping[str, bytes]) -> bytes:
    """A root of busybox with these files, all of which may be executed."""
    buffer = io.BytesIO(busybox_tar())
    with tarfile.open(fileobj=buffer, mode="a") as tar:
        for name in APPLETS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for name, raw in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(raw), 0o755
            tar.addfile(entry, io.BytesIO(raw))
    return buffer.getvalue()


def imported(daemon: Dockerd, name: str, files: Mapping[str, bytes], *changes: str) -> str:
    options = [word for change in changes for word in ("--change", change)]
    done = daemon.docker("import", *options, "-", name, stdin=tree(files))
    assert done.code == 0, done.err
    return name


def config(daemon: Dockerd, name: str) -> dict[str, object]:
    return json.loads(daemon.docker("inspect", "--format={{json .Config}}", name).out)  # type: ignore[no-any-return]


def built(daemon: Dockerd, text: str, folder: Path) -> str:
    """Builds a Dockerfile by the daemon's own builder. Returns the image's id."""
    (folder / "Dockerfile").write_text(text)
    done = daemon.docker("build", "-q", "--network=none", str(folder), timeout=300)
    assert done.code == 0, (done.err, text)
    return done.out.strip()


@pytest.fixture(scope="module")
def dockerd() -> Iterator[Dockerd]:
    """A daemon of its own, into which images are put."""
    daemon = Dockerd()
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.close()


@pytest.fixture
def base(dockerd: Dockerd) -> str:
    """An image under the name of nvidia/cuda's."""
    stand_ins = dict.fromkeys(("usr/bin/apt-get", "usr/bin/useradd"), STAND_IN)
    return imported(
        dockerd, BASE, {**stand_ins, "etc/os-release": RELEASE}, "ENV LD_LIBRARY_PATH=/usr/local/nvidia/lib"
    )


@pytest.fixture
def old(dockerd: Dockerd, tmp_path: Path) -> str:
    """An image as the source document's: its application in /root, a driver's leftovers, variables of all kinds."""
    place = tmp_path / "old"
    needed = ("libnuma.so.1", "libmsp.so", "libcuda.so.1")
    files = {
        "etc/os-release": RELEASE,
        "usr/lib/x86_64-linux-gnu/libcuda.so.1": b"",
        "usr/bin/nvidia-smi": b"",
        "usr/lib/libnuma.so.1": b"a library",
        "root/xats/bin/AIservice": program(place / "a", needed).read_bytes(),
        "root/xats/lib/libmsp.so": library(place / "libmsp.so", "libmsp.so").read_bytes(),
        "root/xats/bin/libcuda.so.418.67": b"a driver",
        "root/.bashrc": b"",
    }
    changes = (
        'ENV GODEBUG="cgocheck=0, gctrace=1"',
        "ENV LD_LIBRARY_PATH=/root/xats/bin:/usr/local/nvidia/lib64:/usr/lib/nvidia-384",
        "ENV API_TOKEN=geheim",
        "WORKDIR /root/xats/bin",
        "EXPOSE 5090",
        "HEALTHCHECK --interval=30s CMD curl -f http://localhost/ || exit 1",
        'CMD ["./AIservice", "-m=0"]',
    )
    return imported(dockerd, "old:1", files, *changes)


def test_an_old_image_is_taken_over_and_the_daemon_builds_it(
    dockerd: Dockerd, base: str, old: str, tmp_path: Path
) -> None:
    done = gpuctl(dockerd, "dockerfile", "new", *TESLA, "--cuda", "10.1", "--from-image", old)
    assert done.returncode == 0, done.stderr
    assert f"\nFROM {base}\n" in done.stdout
    built_one = built(dockerd, done.stdout, tmp_path)
    hadolint = [Path(sys.executable).with_name("hadolint"), "--failure-threshold", "error", tmp_path / "Dockerfile"]
    assert subprocess.run(hadolint, check=False).returncode == 0
    now = config(dockerd, built_one)
    env = dict(one.partition("=")[::2] for one in now["Env"])  # type: ignore[attr-defined]
    assert env["LD_LIBRARY_PATH"] == "/root/xats/lib:/root/xats/bin:/usr/local/nvidia/lib"
    assert (env["GODEBUG"], env["NVIDIA_VISIBLE_DEVICES"]) == ("cgocheck=0, gctrace=1", "all")
    assert env["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    before = config(dockerd, old)
    for kept in ("WorkingDir", "Cmd", "ExposedPorts", "Healthcheck"):
        assert now[kept] == before[kept], kept
    shown = dockerd.docker("run", "--rm", "--network=none", built_one, "sh", "-c", "cat /installed; ls /root/xats/bin")
    assert "apt-get install -y --no-install-recommends libnuma1\n" in shown.out
    assert shown.out.endswith("AIservice\n")


def test_what_a_gpu_container_leaves_in_an_image_is_a_fault_of_its_own(dockerd: Dockerd, old: str) -> None:
    done = gpuctl(dockerd, "dockerfile", "new", *TESLA, "--from-image", old)
    assert "/usr/bin/nvidia-smi (and 1 more) is empty: what a GPU container's mounts leave behind" in done.stderr
    assert "/root/xats/bin/libcuda.so.418.67 is a part of a driver in the old image" in done.stderr
    assert "RUN rm -f /root/xats/bin/libcuda.so.418.67\n" in done.stdout
    assert "The variable API_TOKEN may hold a secret" in done.stderr and "geheim" not in done.stdout + done.stderr
    assert "/usr/lib/nvidia-384 is a folder of a driver" in done.stderr and "nvidia-384" not in done.stdout


def test_what_is_written_for_an_application_is_built(dockerd: Dockerd, base: str, tmp_path: Path) -> None:
    program(tmp_path / "bin" / "a", ("libnuma.so.1", "libcudart.so.10.1"))
    done = gpuctl(dockerd, "dockerfile", "new", *TESLA, "--app", str(tmp_path))
    assert f"\nFROM {base}\n" in done.stdout, done.stderr
    now = config(dockerd, built(dockerd, done.stdout, tmp_path))
    assert (now["User"], now["WorkingDir"], now["Cmd"]) == ("10001:10001", "/app", ["/app/bin/a"])


# Any words

words = st.text(st.characters(min_codepoint=1, exclude_categories=("Cs",)), max_size=30)
names = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters="="), min_size=1, max_size=12)
paths = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters="\x7f"), min_size=1, max_size=12
)
NAMED_OTHERWISE = ("PATH", "LD_LIBRARY_PATH")


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    env=st.dictionaries(names, words, max_size=20),
    labels=st.dictionaries(names, words, max_size=20),
    volumes=st.sets(paths.map(lambda path: "/" + path.replace("/", "")), max_size=4),
    command=st.lists(words.filter(bool), max_size=4),
    test=words.filter(lambda text: bool(text.strip())),
)
@example(env={"--a": "b"}, labels={"--": ""}, volumes=set(), command=["--c"], test="0")
def test_whatever_words_an_image_holds_the_new_one_holds_the_same(
    dockerd: Dockerd,
    tmp_path: Path,
    env: dict[str, str],
    labels: dict[str, str],
    volumes: set[str],
    command: list[str],
    test: str,
) -> None:
    wanted = RunConfig(
        env=tuple(env.items()),
        labels=tuple(labels.items()),
        volumes=tuple(sorted(volumes)),
        cmd=tuple(command),
        healthcheck=Healthcheck(("CMD-SHELL", test), interval=1_500_000_000),
    )
    imported(dockerd, "plain:1", {})
    carried = carried_from(wanted)
    blocks = [f"ENV {' '.join(carried.env)}"] if carried.env else []
    text = "\n".join(["FROM plain:1", *blocks, *carried.others, *carried.start]) + "\n"
    now = config(dockerd, built(dockerd, text, tmp_path))
    has = dict(one.partition("=")[::2] for one in now["Env"] or ())  # type: ignore[attr-defined]
    unwritten = {name for name in env if any(f"variable {name} " in one for one in carried.left)}
    expected = {name: value for name, value in env.items() if name not in {*unwritten, *NAMED_OTHERWISE}}
    assert {name: value for name, value in has.items() if name not in NAMED_OTHERWISE} == expected, text
    kept = {name: value for name, value in labels.items() if not any(f"label {name} " in one for one in carried.left)}
    assert (now["Labels"] or {}) == {name: value for name, value in kept.items() if name != "maintainer"}, text
    assert set(now["Volumes"] or ()) == volumes or "VOLUME" in " ".join(carried.left), text  # type: ignore[call-overload]
    assert (now["Cmd"] or []) == command, text
    assert now["Healthcheck"]["Test"][-1] == test, text  # type: ignore[index]


def test_an_image_without_a_workdir_and_without_files_of_its_own_is_taken_over(dockerd: Dockerd, base: str) -> None:
    imported(dockerd, "empty:1", {"etc/os-release": RELEASE}, 'ENTRYPOINT ["/bin/sh", "-c", "a b"]', "USER nobody")
    done = gpuctl(dockerd, "dockerfile", "new", *TESLA, "--from-image", "empty:1")
    assert done.returncode == 0 and "COPY" not in done.stdout, done.stdout
    assert done.stdout.endswith('USER nobody\n\nENTRYPOINT ["/bin/sh", "-c", "a b"]\n')
    assert "id -u nobody >/dev/null 2>&1 || useradd --create-home nobody" in done.stdout


# image diff


def told(daemon: Dockerd, *argv: str) -> tuple[int, dict[str, object]]:
    done = gpuctl(daemon, "image", "diff", *argv, "--json")
    assert done.stdout, done.stderr
    document = json.loads(done.stdout)
    schema = json.loads((ROOT / "data" / "schemas" / "image-diff.schema.json").read_text())
    Draft202012Validator(schema).validate(document)
    return done.returncode, document


def test_what_a_new_image_lacks_of_an_old_one_is_told_by_subject(dockerd: Dockerd, old: str) -> None:
    new = imported(
        dockerd,
        "new:1",
        {"etc/os-release": RELEASE.replace(b"18", b"22")},
        "ENV CUDA_VERSION=12.2.2",
        "ENV NVIDIA_REQUIRE_CUDA=cuda>=12.2",
        "USER 1000",
    )
    code, document = told(dockerd, old, new)
    lines = {(one["subject"], one["text"]) for one in document["differences"]}  # type: ignore[attr-defined]
    assert code == 1
    assert {
        ("distribution", "The old image is ubuntu18.04, the new one ubuntu22.04."),
        ("requirement", "The old image required none of the host, the new one cuda>=12.2."),
        ("library", "libnuma.so.1, which /root/xats/bin/AIservice needs: install libnuma1."),
        ("environment", "GODEBUG=cgocheck=0, gctrace=1 is not set."),
        ("environment", "API_TOKEN is not set."),
        ("environment", "LD_LIBRARY_PATH lacks /root/xats/bin."),
        ("start", "Command: ./AIservice -m=0 before, none now."),
        ("user", "Its containers: root's before, 1000's now."),
    } <= lines
    assert len(document["notes"]) == 2 and document["unknown"] == []  # type: ignore[arg-type]
    assert told(dockerd, old, old)[0] == 0


def test_an_image_that_cannot_be_read_is_one_sentence(dockerd: Dockerd, old: str) -> None:
    for argv, code in (((old, "gone.invalid/no:1"), 3), ((old, "Not an image"), 2), (("no:1", old), 3)):
        done = gpuctl(dockerd, "image", "diff", *argv, "--offline")
        assert (done.returncode, done.stdout) == (code, ""), done.stdout
        assert "Traceback" not in done.stderr and ("Usage:" in done.stderr) is (code == 2)


def test_layers_that_take_files_away_and_put_links_are_read_as_containers_see_them(
    dockerd: Dockerd, old: str, tmp_path: Path
) -> None:
    text = f"FROM {old}\nRUN rm -r /root/xats/bin /usr/bin/nvidia-smi && mkdir -p /opt/x && touch /opt/x/a\n"
    taken = built(dockerd, text, tmp_path)
    dockerd.docker("tag", taken, "taken:1")
    code, document = told(dockerd, "taken:1", "taken:1")
    assert (code, document["notes"]) == (
        0,
        ["/usr/lib/x86_64-linux-gnu/libcuda.so.1 is empty in the old image, left by a GPU container: not needed."],
    )


# Images that are read otherwise


def exported_tar(layers: list[bytes], names: list[str] | None = None) -> bytes:
    """What a daemon exports of an image with these layers, the lowest first (OCI's layout, as from Docker 25 on)."""
    buffer = io.BytesIO()
    paths = [f"blobs/sha256/{number:064x}" for number in range(len(layers))]
    manifest = [{"Config": "config", "RepoTags": [], "Layers": paths if names is None else names}]
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, raw in (*zip(paths, layers, strict=True), ("manifest.json", json.dumps(manifest).encode())):
            entry = tarfile.TarInfo(name)
            entry.size = len(raw)
            tar.addfile(entry, io.BytesIO(raw))
    return buffer.getvalue()


def layer(files: Mapping[str, bytes], links: Mapping[str, str] = {}) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, raw in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(raw)
            tar.addfile(entry, io.BytesIO(raw))
        for name, target in links.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    return buffer.getvalue()


@contextmanager
def daemon_that_exports(body: bytes) -> Iterator[str]:
    """A socket at which every request is answered by these bytes."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/docker.sock")
        server.listen()

        def serve() -> None:
            with suppress(OSError), server.accept()[0] as client:
                client.recv(1 << 16)
                client.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: application/x-tar\r\n\r\n" + body)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"unix://{folder}/docker.sock"


LAYERS = (
    layer({"opt/a": b"old", "opt/b/c": b"gone", "opt/d/e": b"gone", "etc/os-release": RELEASE}),
    layer({"opt/a": b"new", "opt/.wh.b": b"", "opt/d/.wh..wh..opq": b"", "opt/d/f": b"f"}, {"opt/l": "/opt/a"}),
)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_the_layers_are_laid_over_each_other_however_they_are_packed(pack: Callable[[bytes], bytes]) -> None:
    body = exported_tar([pack(one) for one in LAYERS])
    with daemon_that_exports(body) as endpoint, exported("a:1", endpoint) as image:
        assert sorted(image.files) == ["etc/os-release", "opt/a", "opt/d/f", "opt/l"]
        assert (image.text("opt/a"), image.text("opt/l"), image.files["opt/l"].target) == ("new", None, "/opt/a")
        assert image.text("etc/os-release") == RELEASE.decode()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "manifest.json"),
        (b"not a tar" * 200, "could not be read from the daemon"),
        (exported_tar(list(LAYERS))[:3000], "could not be read from the daemon"),
        (exported_tar(list(LAYERS), ["elsewhere"]), "names a layer that it does not have"),
        (exported_tar([b"\x28\xb5\x2f\xfd" + b"x" * 600]), "packed by zstd"),
        (exported_tar([b"\x1f\x8b" + b"x" * 600]), "gzip cannot have packed this"),
        (exported_tar([LAYERS[0]], ["x"] * 300), "more than 200 layers"),
    ],
    ids=["empty", "no tar", "cut off", "no layer", "zstd", "no gzip", "many"],
)
def test_what_is_no_export_of_an_image_is_one_sentence(body: bytes, words: str) -> None:
    with daemon_that_exports(body) as endpoint, pytest.raises(Unreadable, match=words), exported("a:1", endpoint):
        pass


def test_of_an_image_in_a_registry_the_configuration_alone_is_compared_and_said(
    dockerd: Dockerd, base: str, old: str, tmp_path: Path
) -> None:
    with docker_registry(tmp_path / "registry") as address:
        name = f"{address}/app/old:1"
        dockerd.docker("tag", old, name)
        assert dockerd.docker("push", name).code == 0
        dockerd.docker("rmi", name)
        code, document = told(dockerd, name, base)
        done = gpuctl(dockerd, "dockerfile", "new", *TESLA, "--from-image", name)
    assert code == 1 and not document["old"]["files_read"]  # type: ignore[index]
    assert document["unknown"] == [f"This host's Docker does not have {name}: its files were not looked at."]
    assert f"FROM {name} AS old" in done.stdout and "COPY --from=old /root/xats/bin /root/xats/bin" in done.stdout

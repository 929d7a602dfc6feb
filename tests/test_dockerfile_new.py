"""`gpuctl dockerfile new`: what it writes for hosts and applications, and what it refuses."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hosts
import pytest
from elves import AARCH64, for_machine, library, program
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from repositories import run
from simhost import SimHost, warm

from gpuctl.compat.knowledge.base_systems import base_systems
from gpuctl.compat.knowledge.libraries import cuda_library, package_of
from gpuctl.dockerfile.app.elf import BrokenBinary, read_binary
from gpuctl.dockerfile.app.host_index import package_index
from gpuctl.dockerfile.app.scan import interpreter_in

pytestmark = pytest.mark.bench  # gcc builds the programs
ROOT = Path(__file__).parents[1]
V100, A100 = ("--driver", "418.87", "--gpu", "V100"), ("--driver", "580.95.05", "--gpu", "A100")


def new(*argv: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return warm.gpuctl("dockerfile", "new", *argv, cwd=cwd)


def told(*argv: str) -> dict[str, object]:
    done = new(*argv, "--json")
    assert done.returncode in (0, 1), done.stderr
    document = json.loads(done.stdout)
    schema = json.loads((ROOT / "data" / "schemas" / "dockerfile-new.schema.json").read_text())
    Draft202012Validator(schema).validate(document)
    return document  # type: ignore[no-any-return]


def installed(document: dict[str, object]) -> list[str]:
    return [one["name"] for one in document["packages"]]  # type: ignore[attr-defined]


# The source document's rebuild


def test_the_documents_rebuild_is_written_without_trial_and_error(tmp_path: Path) -> None:
    """Its two applications needed gcc's libgomp, numactl's libnuma and libpython2.7 beside CUDA 10.1 and a driver."""
    needed = ("libpython2.7.so.1.0", "libnuma.so.1", "libgomp.so.1", "libcudart.so.10.1", "libcuda.so.1", "libmsp.so")
    program(tmp_path / "bin" / "AIservice", needed)
    library(tmp_path / "lib" / "libmsp.so", "libmsp.so")
    done = new(*V100, "--app", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "\nFROM nvidia/cuda:10.1-base-ubuntu18.04\n" in done.stdout
    (install,) = (block for block in done.stdout.split("\n\n") if "RUN apt-get update" in block)
    assert re.findall(r"^ {8}(\S+)", install, re.MULTILINE) == ["libgomp1", "libnuma1", "libpython2.7"]
    assert "--no-install-recommends" in install and install.endswith("&& rm -rf /var/lib/apt/lists/*")
    assert 'ENV LD_LIBRARY_PATH="/app/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"' in done.stdout
    assert "libcuda" not in done.stdout
    assert re.search(r"^USER 10001:10001\n\nCMD \[\"/app/bin/AIservice\"\]\n\Z", done.stdout, re.MULTILINE)


def test_on_an_rpm_base_a_package_is_asked_for_by_the_library_itself(tmp_path: Path) -> None:
    program(tmp_path / "a", ("libnuma.so.1",))
    done = new(*A100, "--app", str(tmp_path), "--os", "ubi9")
    assert (done.returncode, "RUN dnf install" in done.stdout) == (0, True), done.stderr
    assert "'libnuma.so.1()(64bit)'" in done.stdout


def test_on_an_rpm_base_that_the_table_knows_a_package_is_named(tmp_path: Path) -> None:
    program(tmp_path / "a", ("libnuma.so.1", "libGL.so.1", "libown.so.3"))
    done = new(*A100, "--app", str(tmp_path), "--os", "rockylinux10")
    assert done.returncode == 0, done.stderr
    (install,) = (block for block in done.stdout.split("\n\n") if "RUN dnf install" in block)
    asked = re.findall(r"^ {8}(\S+)", install, re.MULTILINE)
    assert sorted(asked) == ["'libown.so.3()(64bit)'", "libglvnd-glx", "numactl-libs"]
    assert "the build will tell" in done.stderr


def test_a_real_dnf_finds_the_package_that_holds_a_library_by_what_is_written(tmp_path: Path) -> None:
    library(tmp_path / "libnuma.so.1", "libnuma.so.1")
    place = "%{buildroot}/usr/lib64"
    spec = (
        "Name: numactl-libs",
        "Version: 1",
        "Release: 1",
        "Summary: s",
        "License: none",
        "AutoReq: no",
        "%description",
        "d",
    )
    installed_by = ("%install", f"mkdir -p {place}", f"install -m755 {tmp_path}/libnuma.so.1 {place}")
    (tmp_path / "n.spec").write_text("\n".join((*spec, *installed_by, "%files", "/usr/lib64/libnuma.so.1")) + "\n")
    run("rpmbuild", "-bb", "--quiet", "--define", f"_topdir {tmp_path}", str(tmp_path / "n.spec"))
    run("createrepo_c", "-q", str(tmp_path / "RPMS"))
    package = package_of("libnuma.so.1", base_systems()["ubi9"])
    assert package is not None
    source = (f"--repofrompath=own,file://{tmp_path}/RPMS", "--disablerepo=*", "--enablerepo=own", "--nogpgcheck")
    root = (f"--installroot={tmp_path}/root", "--releasever=9")
    run("dnf", "-q", "-y", *root, *source, "install", "--setopt=install_weak_deps=False", package.name)
    assert run("rpm", "--root", f"{tmp_path}/root", "-qa").startswith(b"numactl-libs-1-1")


@pytest.mark.parametrize(
    ("needed", "base"),
    [
        ((), r"13\.\d\.\d-base-ubuntu"),
        (("libcudart.so.12",), r"12\.\d\.\d-base-ubuntu"),
        (("libcublas.so.11", "libcudart.so.11.0"), r"11\.\d\.\d-runtime-ubuntu"),
        (("libcudnn_ops_infer.so.8", "libcublas.so.12"), r"12\.\d\.\d-cudnn8-runtime-ubuntu"),
        (("libcudnn.so.9",), r"13\.\d\.\d-cudnn-runtime-ubuntu"),
        (("libcupti.so.12",), r"12\.\d\.\d-devel-ubuntu"),
        (("libcublas.so.9.0",), r"9\.0-runtime"),
    ],
)
def test_the_cuda_libraries_decide_version_and_flavour(needed: tuple[str, ...], base: str, tmp_path: Path) -> None:
    program(tmp_path / "a", needed)
    document = told(
        "--driver", "580.95.05", "--gpu", "V100" if "9.0" in str(needed) else "A100", "--app", str(tmp_path)
    )
    assert re.match(base, str(document["base"]["reference"]).partition(":")[2]), document["base"]  # type: ignore[index]
    assert (document["problems"], installed(document)) == ([], [])


def test_the_drivers_libraries_are_never_packages_and_say_what_the_toolkit_is_to_bring(tmp_path: Path) -> None:
    program(tmp_path / "a", ("libcuda.so.1", "libnvidia-ml.so.1", "libnvidia-encode.so.1", "libGL.so.1"))
    library(tmp_path / "lib" / "libcuda.so.470.57.02", "libcuda.so.1")
    document = told(*A100, "--app", str(tmp_path))
    assert installed(document) == ["libgl1"]
    assert document["capabilities"] == ["compute", "graphics", "utility", "video"]
    assert "RUN rm -f /app/lib/libcuda.so.470.57.02" in str(document["dockerfile"])


def test_what_the_application_brings_and_finds_by_itself_is_left_alone(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "a", ("libfoo.so.1", "libbar.so.1"), runpath="$ORIGIN/../lib")
    program(tmp_path / "bin" / "b", ("$ORIGIN/../lib/libfoo.so.1",))
    library(tmp_path / "lib" / "libfoo.so.1", "libfoo.so.1")
    library(tmp_path / "more" / "libbar.so.1.2", "libbar.so.1")
    (tmp_path / "more" / "libbar.so.1").symlink_to("libbar.so.1.2")
    (tmp_path / "more" / "round").symlink_to("..")
    document = told(*A100, "--app", str(tmp_path))
    assert (installed(document), document["problems"]) == ([], [])
    assert document["application"]["folders"] == ["more"]  # type: ignore[index]


def test_what_no_base_has_is_a_problem_and_a_todo(tmp_path: Path) -> None:
    program(tmp_path / "a", ("libnowhere.so.7",), libc=True)
    done = new(*A100, "--app", str(tmp_path), "--os", "ubuntu18.04", "--cuda", "11")
    assert done.returncode == 1
    assert re.search(
        r"^problem  a needs GLIBC_2\.\d+, and ubuntu18\.04 has 2\.27: build it on that\.$", done.stderr, re.M
    )
    assert re.search(r"^problem  libnowhere\.so\.7, which a needs, is in no package of ubuntu18\.04", done.stderr, re.M)
    assert done.stdout.count("# TODO: ") == 2


def test_a_base_is_preferred_in_which_the_application_finds_all(tmp_path: Path) -> None:
    program(tmp_path / "a", ("libpython2.7.so.1.0",))
    assert told(*A100, "--app", str(tmp_path))["base"]["os"] == "ubuntu22.04"  # type: ignore[index]


def test_another_processors_programs_are_named_and_alone_they_are_a_problem(tmp_path: Path) -> None:
    for_machine(program(tmp_path / "native" / "arm", ("libnuma.so.1",)), AARCH64)
    described = told(*A100, "--app", str(tmp_path))
    assert (described["machine"], installed(described), described["problems"]) == ("aarch64", ["libnuma1"], [])
    alone = told(*A100, "--app", str(tmp_path), "--arch", "amd64")
    assert alone["problems"] == ["native/arm is built for aarch64, and the hosts are x86_64."]
    program(tmp_path / "a", ())
    both = told(*A100, "--app", str(tmp_path), "--arch", "amd64")
    assert (both["problems"], "For another processor (aarch64): native/arm." in both["notes"]) == ([], True)  # type: ignore[operator]


def test_scripts_bring_their_interpreters_and_names_in_text_are_a_hint_only(tmp_path: Path) -> None:
    library(tmp_path / "plugin.so", "plugin.so", text="libnuma.so.1")
    for name, line in (("a", "#!/usr/bin/env python3"), ("b", "#!/opt/gone/bin/lua"), ("c", "#!/bin/sh")):
        (tmp_path / name).write_text(f"{line}\n")
        (tmp_path / name).chmod(0o755)
    document = told(*A100, "--app", str(tmp_path))
    assert installed(document) == ["python3-minimal"]
    assert "plugin.so names libnuma.so.1 (libnuma1) in its text, and may open it: a hint only." in document["notes"]  # type: ignore[operator]
    assert "b is a script for /opt/gone/bin/lua, which the image does not have." in document["notes"]  # type: ignore[operator]


# Hosts


def test_the_base_runs_on_every_host_of_a_file(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.csv"
    fleet.write_text("host,driver,gpu\na,580.95.05,A100\nb,535.161.08,L4\nc,535.161.08,L4\n")
    document = told("--hosts", str(fleet))
    assert [host["driver"] for host in document["hosts"]] == ["580.95.05", "535.161.08"]  # type: ignore[attr-defined]
    assert document["base"]["reference"] == "nvidia/cuda:12.2.2-base-ubuntu22.04"  # type: ignore[index]
    fleet.write_text("host,driver,gpu\na,580.95.05,A100\nb,470.256.02,K80\n")
    none = new("--hosts", str(fleet), "--cuda", "12")
    assert (none.returncode, none.stdout) == (1, "") and "No tag of nvidia/cuda 12 runs on all" in none.stderr
    fleet.write_text("host,driver,gpu\na,580.95.05,A100\nb,,A100\n")
    assert new("--hosts", str(fleet)).returncode == 2


def test_a_system_of_which_too_little_is_known_is_not_called_one_that_does_not_run() -> None:
    done = new("--driver", "580.65.06", "--gpu", "A100", "--os", "azl3")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "What azl3 holds gpuctl does not know: take another system by --os.\n"


def test_this_host_or_a_recorded_one_is_asked_where_none_is_described(sim_host: Callable[..., SimHost]) -> None:
    here = sim_host("v100").gpuctl("dockerfile", "new", "--json")
    assert (here.code, here.json["hosts"][0]["gpus"][0]) == (0, "Tesla V100-SXM2-32GB"), here.err
    recorded = told("--from", "tests/snapshots/dgx-a100.jsonl")
    assert "A100" in str(recorded["hosts"]) and recorded["base"]["verdict"] == "compatible"  # type: ignore[index]
    none = sim_host(None).gpuctl("dockerfile", "new")
    assert (none.code, none.out) == (3, "") and "No driver is known here" in none.err


# What is refused


def _truncated(folder: Path) -> None:
    raw = program(folder / "bin" / "a", ("libnuma.so.1",)).read_bytes()
    (folder / "bin" / "a").write_bytes(raw[: len(raw) // 2])


def _looped(folder: Path) -> None:
    (folder / "one").symlink_to("other")
    (folder / "other").symlink_to("one")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_truncated, "bin/a is no whole program: it is"),
        (_looped, "is a link that leads back to itself"),
        (lambda folder: os.mkfifo(folder / "pipe"), "pipe is a FIFO, which no image can hold"),
        (lambda folder: folder.rmdir(), "No such file or directory"),
        (lambda folder: (folder / "bin").mkdir(), "holds no file: it is no application"),
    ],
    ids=["truncated", "loop", "fifo", "missing", "empty"],
)
def test_a_folder_that_is_no_whole_application_is_refused(
    spoil: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    app = tmp_path / "app"
    app.mkdir()
    spoil(app)
    done = new(*A100, "--app", str(app), "-o", str(tmp_path / "Dockerfile"))
    assert (done.returncode, done.stdout, (tmp_path / "Dockerfile").exists()) == (2, "", False)
    assert words in done.stderr and "Traceback" not in done.stderr


def test_a_dockerfile_of_somebody_elses_is_never_replaced_and_one_of_its_own_is(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    for text, code in (("FROM scratch\n", 2), ("\n", 0), (None, 0)):
        if text:
            file.write_text(text)
        done = new(*A100, "-o", str(file))
        assert (done.returncode, file.read_text().startswith("# Build it")) == (code, not code), done.stderr
    assert new(*A100, "-o", str(file), "--flavour", "runtime").returncode == 0 and "runtime" in file.read_text()


@pytest.mark.parametrize(
    "argv",
    [
        ("--app", "README.md"),
        ("--from-image", "No/such image"),
        ("--cuda", "twelve"),
        ("--framework", "mxnet"),
        ("--framework", "torch==99.1"),
        ("--framework", "torch==1.9.0"),
        ("--framework", "torch==2.4.0+own"),
        ("--framework", "torch==2.4.0+cpu"),
        ("--os", "plan9"),
        ("--flavour", "large"),
        ("-o", "no/such/folder/Dockerfile"),
        ("--hosts", "README.md"),
    ],
    ids=lambda argv: " ".join(argv),
)
def test_wrong_usage_is_one_sentence_and_nothing_on_stdout(argv: tuple[str, ...]) -> None:
    done = new(*(() if argv[0] == "--hosts" else A100), *argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.strip().splitlines()) <= 5 and "Traceback" not in done.stderr


def test_names_of_files_and_libraries_write_no_instruction(tmp_path: Path) -> None:
    program(tmp_path / "a\nRUN touch evil", ("libnuma.so.1", "libx;touch evil;.so.1"))
    library(tmp_path / "libcuda.so.1; touch evil", "libcuda.so.1")
    done = new(*A100, "--app", str(tmp_path))
    instructions = re.sub(r"^#.*\n", "", done.stdout, flags=re.MULTILINE)
    assert "libnuma1" in instructions and not re.search(r"^RUN touch|; ?touch evil(?!')", instructions, re.MULTILINE)
    assert re.findall(r"^([A-Z]+) ", instructions, re.MULTILINE) == [
        "FROM",
        "RUN",
        "ENV",
        "RUN",
        "WORKDIR",
        "COPY",
        "USER",
        "CMD",
    ]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_damage_to_a_program_gives_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    raw = bytearray(_sound(tmp_path_factory))
    for place in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=8)):
        raw[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(4, len(raw)))
    try:
        read_binary(io.BytesIO(bytes(raw[:cut])), "a")
    except BrokenBinary as error:
        assert str(error)


_SOUND: list[bytes] = []


def _sound(factory: pytest.TempPathFactory) -> bytes:
    if not _SOUND:
        needed = ("libnuma.so.1", "libz.so.1")
        _SOUND.append(program(factory.mktemp("elf") / "a", needed, runpath="$ORIGIN", libc=True).read_bytes())
    return _SOUND[0]


# A framework


def framework(*argv: str) -> tuple[str, str, list[str]]:
    """The base, the release with its build, and what pip is asked for."""
    document = told("--framework", *argv)
    chosen = document["framework"]
    return document["base"]["reference"], f"{chosen['version']}+{chosen['cuda']}", chosen["pip"]  # type: ignore[index]


def test_a_framework_that_is_named_stands_on_its_own_cuda_and_on_a_python_that_it_has_wheels_for() -> None:
    index = "https://download.pytorch.org/whl/cu121"
    tag, build, pip = framework("torch==2.4.0+cu121", *A100)
    assert (tag, build) == ("nvidia/cuda:12.1.1-base-ubuntu22.04", "2.4.0+12.1")
    assert pip == ["torch==2.4.0", "--index-url", index]
    tag, _, pip = framework("tensorflow==2.12.0", *A100)  # whose wheels bring no cuDNN
    assert (tag, pip) == ("nvidia/cuda:11.8.0-cudnn8-runtime-ubuntu22.04", ["tensorflow==2.12.0"])
    tag, _, pip = framework("onnxruntime-gpu<1.20", "--os", "ubi9", *A100)
    assert re.fullmatch(r"nvidia/cuda:12\.\d\.\d-cudnn-runtime-ubi9", tag) and pip == ["onnxruntime-gpu==1.19.0"]


def test_of_a_framework_the_newest_build_is_taken_that_all_hosts_run(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.csv"
    fleet.write_text("host,driver,gpu\nnew,580.95.05,A100\nold,530.30.02,GeForce RTX 2080 Ti\n")
    assert framework("torch<2.6", *A100)[1] == "2.5.1+12.4"
    assert framework("torch<2.6", "--hosts", str(fleet))[1] == "2.5.1+12.1"  # 12.4 has limits with this driver
    assert framework("torch<2.6", "--cuda", "11.8", "--hosts", str(fleet))[1] == "2.5.1+11.8"
    done = new("--framework", "torch", "--cuda", "13.0", "--hosts", str(fleet))
    assert (done.returncode, done.stdout) == (1, "") and "No release of torch for CUDA 13.0 runs" in done.stderr


def test_nvidias_own_image_is_told_of_where_any_release_is_wanted() -> None:
    notes = told("--framework", "torch", *A100)["notes"]
    assert any(re.match(r"nvcr\.io/nvidia/pytorch:\d\d\.\d\d-py3 is NVIDIA's own", one) for one in notes)  # type: ignore[attr-defined]
    for other in ("torch==2.4.0+cu121", "tensorflow"):
        assert "nvcr.io" not in str(told("--framework", other, *A100)["notes"])


# Linters of others, and knowledge


@pytest.mark.parametrize(
    "argv", [A100, (*A100, "--os", "ubi9", "--framework", "torch<2.9"), (*V100, "--flavour", "runtime")]
)
def test_hadolint_finds_no_error_in_what_is_written(argv: tuple[str, ...], tmp_path: Path) -> None:
    app = tmp_path / "app"
    program(app / "bin" / "a", ("libnuma.so.1", "libmine.so"))
    library(app / "lib" / "libmine.so", "libmine.so")
    done = new(*argv, "--app", str(app), "-o", str(tmp_path / "Dockerfile"))
    assert done.returncode == 0 and done.stdout == "", done.stderr
    hadolint = Path(sys.executable).with_name("hadolint")
    found = subprocess.run(
        [hadolint, "--failure-threshold", "error", tmp_path / "Dockerfile"], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout


def test_a_package_is_told_of_this_system_of_a_neighbour_or_of_the_hosts_own_index() -> None:
    jammy, noble = base_systems()["ubuntu22.04"], base_systems()["ubuntu24.04"]
    assert package_of("libnuma.so.1", jammy).known  # type: ignore[union-attr]
    assert not package_of("libelf.so.1", jammy).known  # type: ignore[union-attr]
    assert package_of("libpython2.7.so.1.0", noble) is None  # dropped
    assert package_of("libavcodec.so.59", jammy) is None  # not yet there
    asked = "dpkg-query -S '*/libzmq.so.5' '*/libown.so.1'"
    owners = "libzmq9:amd64: /usr/lib/x86_64-linux-gnu/libzmq.so.5\n"
    search = "apt-file -x search '/(libown\\.so\\.1)$'"
    here = hosts.host(
        files={"/etc/os-release": 'ID=ubuntu\nVERSION_ID="22.04"\n'},
        commands={asked: owners, search: "libown1: /usr/lib/libown.so.1\n"},
    )
    tell = package_index(("libzmq.so.5", "libown.so.1"), here)
    assert [tell(file, jammy).name for file in ("libzmq.so.5", "libown.so.1")] == [
        "libzmq9",
        "libown1",
    ]  # type: ignore[union-attr]
    assert tell("libown.so.1", noble) is None


@pytest.mark.parametrize(
    ("soname", "cuda", "comes"),
    [
        ("libcusolver.so.10", "11.0", True),
        ("libcusolver.so.10", "11.1.1", False),
        ("libnvToolsExt.so.1", "12.8.1", True),
        ("libnvToolsExt.so.1", "12.9.1", False),
        ("libcusparse.so.12", "13.0.0", True),
        ("libcusparse.so.12", "99.0", False),
        ("libcufft.so.9.2", "9.2", True),
        ("libcufft.so.9.2", "9.1", False),
    ],
)
def test_a_library_of_cuda_comes_with_its_own_versions(soname: str, cuda: str, comes: bool) -> None:
    library = cuda_library(soname)
    assert library is not None and library.comes_with(cuda) is comes


@pytest.mark.parametrize(
    ("line", "program"),
    [
        (b"#!/usr/bin/env python3\n", "python3"),
        (b"#! /usr/bin/env -S A=b node --x\n", "node"),
        (b"#!/opt/x/python -u\n", "/opt/x/python"),
        (b"#!python\n", None),
        (b"#!/usr/bin/env\n", None),
    ],
)
def test_a_scripts_first_line_names_its_program(line: bytes, program: str | None) -> None:
    assert interpreter_in(line) == program

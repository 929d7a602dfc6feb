"""`gpuctl smoke --deep` and `--host`: our own program against a CUDA that is simulated behind libcuda's interface."""

from __future__ import annotations

import json
import runpy
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hosts
import jsonschema
import pytest
from simhost import Bed, Dockerd, Done, SimHost, Toolkit, import_image
from simhost.dockerd import LOADER, MACHINE
from simhost.process import PATIENCE

from gpuctl.checks.every import CHECKS
from gpuctl.compat.knowledge.errors.cuda import cuda_errors
from gpuctl.facts.gather import gather
from gpuctl.host.look.reading import Reading
from gpuctl.smoke.deep import Deep, Failure, read_deep, read_seen, read_steps
from gpuctl.smoke.result import SmokeWish
from gpuctl.smoke.run import smoke_on_host

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "gpuctl/smoke/program"
BUILD = runpy.run_path(str(ROOT / "data" / "build_smoke_program.py"))
IMAGE, WITHOUT_GLIBC = "nvidia/cuda:12.2.0-base", "busybox:latest"


def a100(index: int) -> str:
    return f"GPU-a1000000-7c1e-4d52-8b7a-{index:012}"


def checked(done: Done) -> Any:
    jsonschema.validate(done.json, json.loads((ROOT / "data/schemas/smoke.schema.json").read_text()))
    assert done.code == {True: 0, False: 1, None: 3}[done.json["passed"]]
    return done.json


@dataclass(frozen=True)
class Rig:
    """A dockerd with an image that has glibc and one that has not, and the simulated host beside it."""

    daemon: Dockerd
    toolkit: Toolkit
    host: SimHost

    def deep(self, *argv: str, cuda: str = "", image: str = IMAGE) -> Any:
        """The result of `gpuctl smoke --deep` in containers whose CUDA fails in that way."""
        self.toolkit.configure("a100x8", cuda=cuda)
        result = checked(self.host.gpuctl("smoke", "--deep", "--image", image, "--json", *argv))
        assert self.daemon.docker("ps", "-aq").out == ""
        assert self.daemon.docker("volume", "ls", "-q").out == ""
        return result


@pytest.fixture(scope="module")
def engine(bed: Bed) -> Iterator[tuple[Dockerd, Toolkit]]:
    directory = Path(tempfile.mkdtemp(prefix="smoke-"))
    directory.chmod(0o755)
    toolkit = Toolkit(bed, directory)
    toolkit.install("a100x8")
    daemon = Dockerd(path=[directory])
    daemon.start()
    import_image(daemon, IMAGE, glibc=True)
    import_image(daemon, WITHOUT_GLIBC)
    yield daemon, toolkit
    daemon.close()
    shutil.rmtree(directory)


@pytest.fixture
def rig(engine: tuple[Dockerd, Toolkit], sim_host: Callable[..., SimHost]) -> Rig:
    daemon, toolkit = engine
    return Rig(daemon, toolkit, sim_host("a100x8", toolkit=toolkit, dockerd=daemon))


def test_cuda_works_in_a_container_on_every_gpu_that_has_no_mig(rig: Rig) -> None:
    result = rig.deep()
    deep = result["deep"]
    assert result["passed"], result
    assert result["seen"]["gpus"] == [a100(index) for index in range(8)]
    assert [(gpu["uuid"], gpu["passed"]) for gpu in deep["gpus"]] == [(a100(index), True) for index in range(7)]
    assert deep["gpus"][0] == {
        "index": 0,
        "uuid": a100(0),
        "name": "NVIDIA A100-SXM4-80GB",
        "compute_capability": "8.0",
        "memory": 81920 << 20,
        "passed": True,
    }
    assert (deep["cuda"], deep["mig"], deep["failures"], deep["ended"]) == ("12.2", [a100(7)], [], True)
    assert deep["library"].endswith("/libcuda.so.1")
    assert not result["on_host"]


def test_text_says_that_cuda_works_and_v_shows_each_gpu(rig: Rig) -> None:
    rig.toolkit.configure("a100x8")
    done = rig.host.gpuctl("smoke", "--deep", "--image", IMAGE, "--gpus", "device=0,7", "-v")
    assert done.code == 0
    assert done.out.startswith("PASS  CUDA 12.2 works in a container on 1 GPU, with driver 535.161.08.\n")
    assert f"works     GPU 0, NVIDIA A100-SXM4-80GB, 8.0, 81920 MiB, {a100(0)}" in done.out
    assert f"MIG on    {a100(7)}, not tested" in done.out


@pytest.mark.parametrize(
    ("cuda", "passed", "cause"),
    [
        (
            "cuInit=802",
            False,
            "NVML works, and CUDA does not start: CUDA_ERROR_SYSTEM_NOT_READY (802). A service that these GPUs need",
        ),
        ("cuInit=999", False, "NVML works, and CUDA does not start: CUDA_ERROR_UNKNOWN (999). Most often nvidia_uvm"),
        ("cuInit=803", False, "NVML works, and CUDA does not start: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803). "),
        (
            "cuInit=804",
            False,
            "NVML works, and CUDA does not start: CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE (804). The image brings",
        ),
        ("cuInit=100", False, "NVML works, and CUDA does not start: CUDA_ERROR_NO_DEVICE (100). "),
        ("cuInit=777", False, "NVML works, and CUDA does not start: error (777)."),
        ("cuCtxCreate_v2=46@1", None, f"GPU 1 ({a100(1)}) takes no program: CUDA_ERROR_DEVICE_UNAVAILABLE (46). "),
        ("cuCtxCreate_v2=46@1,cuCtxSynchronize=719@2", False, f"GPU 2 ({a100(2)}) runs no kernel: CUDA_ERROR_LAUNCH_F"),
        ("cuMemcpyHtoD_v2=wrong@3", False, f"GPU 3 ({a100(3)}) gives back other bytes than it was sent."),
        ("cuLaunchKernel=wrong@0", False, f"GPU 0 ({a100(0)}) computes wrong answers."),
        ("cuModuleLoadData=crash@1", False, "Something ended the program before its end"),
        ("cuDeviceGetCount=wrong", False, f"NVML has GPUs that CUDA has not: {a100(6)}."),
    ],
)
def test_a_host_where_nvidia_smi_works_and_cuda_does_not_is_caught_and_explained(
    sim_host: Callable[..., SimHost], cuda: str, passed: bool | None, cause: str
) -> None:
    result = checked(sim_host("a100x8", env={"GPUSIM_CUDA": cuda}).gpuctl("smoke", "--host", "--json"))
    assert result["passed"] is passed
    assert result["cause"].startswith(cause)
    assert result["remedy"]["commands"]


@pytest.mark.parametrize(
    ("cuda", "cause"),
    [
        ("cuInit=999", "NVML works, and CUDA does not start: CUDA_ERROR_UNKNOWN (999). Most often nvidia_uvm"),
        ("cuModuleLoadData=crash@1", "Something ended the program before its end"),
    ],
)
def test_a_container_in_which_cuda_fails_is_caught_and_explained_in_the_same_way(
    rig: Rig, cuda: str, cause: str
) -> None:
    assert rig.deep(cuda=cuda)["cause"].startswith(cause)


def test_nvidia_smi_alone_does_not_notice_a_cuda_that_fails(rig: Rig) -> None:
    rig.toolkit.configure("a100x8", cuda="cuInit=802")
    assert rig.host.gpuctl("smoke", "--image", IMAGE).code == 0


def test_one_sick_gpu_leaves_the_others_tested(rig: Rig) -> None:
    deep = rig.deep(cuda="cuCtxSynchronize=719@2")["deep"]
    assert [gpu["index"] for gpu in deep["gpus"] if not gpu["passed"]] == [2]
    assert deep["failures"] == [
        {"step": "kernel", "code": 719, "gpu": 2, "error": "CUDA_ERROR_LAUNCH_FAILED", "call": "cuCtxSynchronize"}
    ]


def test_a_gpu_that_hangs_is_named_before_the_deadline(rig: Rig) -> None:
    for seconds in (5, 50):  # on a busy machine it may not have begun by the first end
        result = rig.deep("--timeout", str(seconds), cuda="cuLaunchKernel=hang@1")
        if result["cause"].startswith("GPU"):
            break
    assert result["cause"] == f"GPU 1 ({a100(1)}) runs no kernel: no answer in time."
    assert 0.8 * seconds <= result["seconds"] < PATIENCE


def test_gpus_with_mig_on_cannot_be_tested_and_fail_nothing(rig: Rig) -> None:
    result = rig.deep("--gpus", "device=7")
    assert (result["passed"], result["cause"]) == (
        None,
        "All these GPUs have MIG on: CUDA has no whole GPU to run on.",
    )


def test_an_image_without_glibc_cannot_run_cuda_although_nvidia_smi_works_in_it(rig: Rig) -> None:
    result = rig.deep(image=WITHOUT_GLIBC)
    assert result["cause"].startswith("This image has no glibc, which the driver's libraries need")
    assert rig.host.gpuctl("smoke", "--image", WITHOUT_GLIBC).code == 0


def test_gpus_that_were_not_asked_for_fail_as_without_deep(rig: Rig) -> None:
    rig.toolkit.configure("a100x8", devices="1")
    result = checked(rig.host.gpuctl("smoke", "--deep", "--json", "--image", IMAGE, "--gpus", "device=0"))
    assert result["cause"] == f"The container saw {a100(1)}, which it did not ask for."


def test_a_dry_run_prints_a_docker_command_that_does_the_same(rig: Rig) -> None:
    rig.toolkit.configure("a100x8")
    done = rig.host.gpuctl("smoke", "--deep", "--dry-run", "--image", IMAGE, "--gpus", "1")
    steps = read_steps(rig.host.run(["sh", "-c", done.out]).out)
    assert [gpu.passed for gpu in read_deep(steps).gpus] == [True]
    assert read_seen(steps).gpus == (a100(0),)


def test_on_the_host_the_same_runs_without_a_container(sim_host: Callable[..., SimHost]) -> None:
    host = sim_host("mixed")
    result = checked(host.gpuctl("smoke", "--host", "--json"))
    assert result["passed"], result
    assert (result["on_host"], result["image"]) == (True, None)
    assert result["engine"] == {"name": None, "version": None, "docker": None, "via": None}
    assert [gpu["name"] for gpu in result["deep"]["gpus"]] == ["NVIDIA GeForce RTX 3090", "Tesla T4", "NVIDIA A30"]
    by_hand = host.run(["sh", "-c", host.gpuctl("smoke", "--host", "--dry-run").out])
    assert [gpu.passed for gpu in read_deep(read_steps(by_hand.out)).gpus] == [True, True, True]


def test_gpus_that_the_shell_hides_from_cuda_are_tested_all_the_same(sim_host: Callable[..., SimHost]) -> None:
    assert sim_host("v100", env={"CUDA_VISIBLE_DEVICES": "none"}).gpuctl("smoke", "--host").code == 0


@pytest.mark.parametrize(
    ("host", "cause"),
    [
        (
            {"profile": "v100", "modules": ["nvidia"], "env": {"GPUSIM_CUDA": "cuInit=999"}},
            "nvidia_uvm is not loaded: nvidia-smi works, CUDA may not.",
        ),
        ({"profile": "no-driver"}, "no module for the running kernel"),
    ],
)
def test_the_doctor_says_why_cuda_does_not_work_on_this_host(
    sim_host: Callable[..., SimHost], host: dict[str, Any], cause: str
) -> None:
    result = checked(sim_host(**host).gpuctl("smoke", "--host", "--json"))
    assert result["passed"] is False
    assert cause in result["cause"]


@pytest.mark.parametrize(
    ("answer", "passed", "cause"),
    [
        (hosts.absent(), False, f"This host has no glibc ({LOADER}): CUDA cannot work on it."),
        (hosts.hung(60), False, "The program did not end: no answer within 60 s."),
        (
            hosts.failed(127, "smoke: error while loading"),
            None,
            "The program did not run: exit status 127: smoke: error",
        ),
        (hosts.denied(), None, "The program did not run: Permission denied."),
    ],
)
def test_a_program_that_tells_nothing_on_the_host_is_no_cuda_that_fails(
    answer: Reading, passed: bool | None, cause: str
) -> None:
    gpu = {"index": 0, "name": "Tesla V100", "uuid": "GPU-5d3f", "compute_capability": "7.0", "brand": "tesla"}
    nvml = [{"driver": "418.87.00", "nvml": "10.418.87.00", "cuda": "10.1", "count": 1}, gpu]
    command = shlex.join((LOADER, str(PROGRAM / f"smoke-{MACHINE}"), "48"))
    host = hosts.host(nvml=nvml, files={"/proc/sys/kernel/arch": MACHINE}, commands={command: answer})
    result = smoke_on_host(SmokeWish(), gather(host), host)
    assert result.passed is passed
    assert (result.cause or "").startswith(cause)


def test_an_architecture_without_a_program_is_said() -> None:
    gpu = {"index": 0, "name": "Tesla V100", "uuid": "GPU-5d3f"}
    host = hosts.host(nvml=[{"driver": "418.87.00", "count": 1}, gpu], files={"/proc/sys/kernel/arch": "ppc64le"})
    result = smoke_on_host(SmokeWish(), gather(host), host)
    assert (result.passed, result.cause) == (None, "gpuctl has no program for this processor architecture: ppc64le.")


@pytest.mark.parametrize("option", [("--image", "a"), ("--runtime", "nvidia"), ("--gpus", "1")])
def test_what_only_a_container_has_is_wrong_usage_on_the_host(
    sim_host: Callable[..., SimHost], option: tuple[str, str]
) -> None:
    done = sim_host("v100").gpuctl("smoke", "--host", *option)
    assert (done.code, done.out) == (2, "")
    assert "--host runs no container" in " ".join(done.err.replace("│", " ").split())


def test_the_programs_are_built_from_the_source_beside_them() -> None:
    for architecture in BUILD["COMPILERS"]:
        assert BUILD["digest"]().encode() in (PROGRAM / f"smoke-{architecture}").read_bytes(), (
            "run data/build_smoke_program.py"
        )


def test_the_program_needs_no_version_of_glibc_and_building_it_again_gives_the_same(tmp_path: Path) -> None:
    shipped, built = PROGRAM / f"smoke-{MACHINE}", tmp_path / "smoke"
    assert b"GLIBC_" not in shipped.read_bytes()
    BUILD["build"](MACHINE, built)
    comments = [
        subprocess.check_output(["readelf", "-p", ".comment", file]).split(b"\n", 2)[2] for file in (shipped, built)
    ]
    assert comments[0] != comments[1] or shipped.read_bytes() == built.read_bytes()


def test_the_program_alone_says_what_is_missing_on_this_machine() -> None:
    done = subprocess.run([LOADER, PROGRAM / f"smoke-{MACHINE}", "5"], env={}, capture_output=True, text=True)
    steps = read_steps(done.stdout)
    assert [one.name for one in steps][-1] == "end"
    assert done.returncode == (1 if any(one.code for one in steps) else 0)


def test_lines_that_are_not_the_programs_do_not_count() -> None:
    lines = [
        "",
        "warning",
        "[]",
        "5",
        '{"step": 1, "code": 0}',
        '{"step": "a", "code": "0"}',
        "[" * 9999,
        '{"step": "a"}',
    ]
    assert read_steps("\n".join(lines)) == ()
    assert read_deep(()) == Deep(None, None, (), (), (), False)
    odd = read_steps('{"step": "{x}", "code": 5, "gpu": 0, "error": 7, "call": []}')
    assert read_deep(odd).failures == (Failure("{x}", 5, 0, None, None),)


def test_every_check_that_a_cuda_error_names_is_one_of_the_doctors() -> None:
    assert {check for row in cuda_errors().values() for check in row.checks} <= CHECKS.keys()

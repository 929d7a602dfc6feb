"""`gpuctl smoke` against a real dockerd; only the GPUs and the toolkit are simulated."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hosts
import jsonschema
import pytest
import registry
from coats import COATS
from simhost import Bed, Dockerd, Done, SimHost, Toolkit, import_image, until
from simhost.dockerd import busybox_tar
from simhost.process import PATIENCE, finish

from gpuctl.checks.every import diagnose
from gpuctl.command import command
from gpuctl.compat.knowledge.gpus.gpus import find_gpu
from gpuctl.facts.docker.containers import probe_docker_containers
from gpuctl.facts.gather import gather
from gpuctl.host.record.archive import decode
from gpuctl.model import Finding, Remedy, Report, Status
from gpuctl.smoke.compare import Expected, SeenByContainer, difference, read_query
from gpuctl.smoke.explain import explain
from gpuctl.smoke.images import choose_image
from gpuctl.smoke.plan import make_plan
from gpuctl.smoke.request import GpuRequest, parse_gpus
from gpuctl.smoke.result import NoPlan, SmokeWish

IMAGE = "nvidia/cuda:10.1-base"
HANGS = "#!/bin/sh\n[ $1 = --query-gpu=index,uuid ] || exec sleep 1000\n"
"""An nvidia-smi that hangs in the container, after it has answered the toolkit."""
NOTHING_WRONG = Report(())


@dataclass(frozen=True)
class Rig:
    """A dockerd whose toolkit each test may make lie, and the simulated host beside it."""

    daemon: Dockerd
    toolkit: Toolkit
    host: SimHost

    def smoke(self, *argv: str, **options: Any) -> Done:
        return self.host.gpuctl("smoke", "--image", IMAGE, *argv, **options)

    def smoke_json(self, *argv: str) -> Any:
        done = self.smoke("--json", *argv)
        result = checked(done)
        assert done.code == (0 if result["passed"] else 1)
        assert self.containers() == []
        return result

    def containers(self) -> list[str]:
        return self.daemon.docker("ps", "-aq", "--no-trunc").out.split()

    def started(self) -> dict[str, Any]:
        """What Docker says of the smoke container, once it runs."""
        assert until(lambda: self.daemon.docker("ps", "-q").out != "")
        return json.loads(self.daemon.docker("inspect", *self.daemon.docker("ps", "-q").out.split()).out)[0]


@pytest.fixture(scope="module")
def engine(bed: Bed) -> Iterator[tuple[Dockerd, Toolkit]]:
    directory = Path(tempfile.mkdtemp(prefix="smoke-"))
    directory.chmod(0o755)
    toolkit = Toolkit(bed, directory)
    toolkit.install("a100x8")
    (directory / "hanging-smi").write_text(HANGS)
    (directory / "hanging-smi").chmod(0o755)
    config = json.dumps({"runtimes": {"nvidia": {"path": toolkit.runtime}}})
    daemon = Dockerd(config=config, path=[directory])
    daemon.start()
    import_image(daemon, IMAGE)
    yield daemon, toolkit
    daemon.close()
    shutil.rmtree(directory)


@pytest.fixture
def rig(engine: tuple[Dockerd, Toolkit], sim_host: Callable[..., SimHost]) -> Rig:
    daemon, toolkit = engine
    toolkit.configure("a100x8")
    return Rig(daemon, toolkit, sim_host("a100x8", toolkit=toolkit, dockerd=daemon))


def checked(done: Done) -> Any:
    schema = Path(__file__).parents[1] / "data/schemas/smoke.schema.json"
    jsonschema.validate(done.json, json.loads(schema.read_text()))
    return done.json


def a100(*indexes: int) -> list[str]:
    return [f"GPU-a1000000-7c1e-4d52-8b7a-{index:012}" for index in indexes]


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("all", GpuRequest()),
        ("2", GpuRequest(count=2)),
        ("device=0,2", GpuRequest(devices=("0", "2"))),
        ('"device=0,2"', GpuRequest(devices=("0", "2"))),
        ("device=GPU-7d2b9c1e-0000-1111", GpuRequest(devices=("GPU-7d2b9c1e-0000-1111",))),
    ],
)
def test_gpus_are_asked_for_as_for_docker(text: str, request_: GpuRequest) -> None:
    assert parse_gpus(text) == request_


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "some", "device=", "device=0,,1", "device=a", "device=MIG-1", "0:1", "٢"]
)
def test_other_words_for_gpus_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"all, a count \(2\), or device=|MIG device"):
        parse_gpus(text)


def test_wrong_words_for_gpus_exit_with_2(rig: Rig) -> None:
    done = rig.smoke("--gpus", "device=")
    assert (done.code, "Traceback" in done.err) == (2, False)


@pytest.mark.parametrize(
    ("gpus", "runtime", "seen"),
    [
        ("all", (), a100(*range(8))),
        ("2", (), a100(0, 1)),
        ("device=0,2", (), a100(0, 2)),
        (f'"device={a100(3)[0]}"', (), a100(3)),
        ("all", ("--runtime", "nvidia"), a100(*range(8))),
        ("2", ("--runtime", "nvidia"), a100(0, 1)),
        (f"device=5,{a100(7)[0]}", ("--runtime", "nvidia"), a100(5, 7)),
    ],
)
def test_passes_when_the_container_sees_what_was_asked_for(
    rig: Rig, gpus: str, runtime: tuple[str, ...], seen: list[str]
) -> None:
    result = rig.smoke_json("--gpus", gpus, *runtime)
    assert result["passed"], result
    assert result["seen"] == {"driver": "535.161.08", "gpus": seen}
    assert result["engine"]["via"] == ("--runtime=nvidia" if runtime else "--gpus")
    assert (result["cause"], result["remedy"], result["pulled"]) == (None, None, False)


def test_the_newest_local_image_that_the_driver_runs_is_taken_when_none_is_named(
    dockerd: Dockerd, sim_host: Callable[..., SimHost]
) -> None:
    done = sim_host("v100", dockerd=dockerd).gpuctl("smoke", "--json")
    assert (done.code, checked(done)["image"]) == (0, IMAGE)


def test_dockerd_remembers_when_a_smoke_last_passed_and_a_snapshot_tells_it_too(rig: Rig, tmp_path: Path) -> None:
    began = int(time.time())
    assert rig.smoke().code == 0
    time.sleep(1.1)  # dockerd is asked for what was over at the beginning of its second
    assert rig.host.gpuctl("collect", "-o", str(tmp_path / "snapshot")).code == 0
    smoked = probe_docker_containers(decode((tmp_path / "snapshot").read_bytes()).host).smoked
    assert smoked.value is not None and began <= smoked.value <= time.time(), smoked


def test_text_says_what_the_container_saw_and_v_shows_the_docker_command(rig: Rig) -> None:
    done = rig.smoke("-v", "--gpus", "1", stdin=None)
    assert done.code == 0
    assert done.out.startswith("PASS  A container saw driver 535.161.08 and 1 GPU")
    assert "docker run --rm --gpus=1 -e NVIDIA_DRIVER_CAPABILITIES=compute,utility --network=none" in done.out


def test_another_driver_in_the_container_fails(rig: Rig) -> None:
    rig.toolkit.configure("a100x8", driver="418.67")
    result = rig.smoke_json()
    assert result["cause"] == "The container saw driver 418.67, and this host runs 535.161.08."
    assert result["remedy"]["commands"] == ["gpuctl doctor"]


def test_fewer_gpus_in_the_container_fail_and_are_named(rig: Rig) -> None:
    rig.toolkit.configure("a100x8", devices="0,1,2,3,4,5")
    result = rig.smoke_json()
    assert result["cause"] == f"The container saw 6 of 8 GPUs: {', '.join(a100(6, 7))} missing."
    assert result["seen"]["gpus"] == a100(*range(6))


def test_a_gpu_that_was_not_asked_for_fails(rig: Rig) -> None:
    rig.toolkit.configure("a100x8", devices="1")
    cause = rig.smoke_json("--gpus", "device=0")["cause"]
    assert cause == f"The container saw {a100(1)[0]}, which it did not ask for."


@pytest.mark.parametrize("gpus", ["9", "device=8", "device=GPU-00000000"])
def test_gpus_that_this_host_does_not_have_are_no_containers_fault(rig: Rig, gpus: str) -> None:
    result = rig.smoke_json("--gpus", gpus)
    assert "this host has" in result["cause"].lower()
    assert result["image"] is None


def test_without_the_toolkit_dockers_words_become_the_commands_that_install_it(
    new_dockerd: Callable[..., Dockerd], sim_host: Callable[..., SimHost]
) -> None:
    daemon = new_dockerd()
    import_image(daemon, IMAGE)
    done = sim_host("v100", dockerd=daemon).gpuctl("smoke", "--json")
    result = checked(done)
    assert done.code == 1
    assert "could not select device driver" in result["error"]
    assert result["cause"].startswith(
        "Docker does not know how to give GPUs to a container (--gpus). This host: The NVIDIA Container"
    )
    assert result["remedy"]["commands"] == ["gpuctl install-runtime --install"]


def test_a_runtime_that_is_not_registered_leads_to_install_runtime(
    new_dockerd: Callable[..., Dockerd], sim_host: Callable[..., SimHost], toolkit: Toolkit
) -> None:
    toolkit.install("v100")
    daemon = new_dockerd(path=[toolkit.directory])
    import_image(daemon, IMAGE)
    done = sim_host("v100", toolkit=toolkit, dockerd=daemon).gpuctl("smoke", "--runtime", "nvidia")
    assert done.code == 1
    assert done.out.startswith("FAIL  Docker has no runtime of that name.")
    assert "$ gpuctl install-runtime" in done.out


def test_a_container_that_asks_for_no_gpu_is_explained(rig: Rig) -> None:
    result = rig.smoke_json("--runtime", "runc")
    assert "executable file not found in $PATH" in result["error"]
    assert "did not ask for GPUs" in result["cause"]
    assert "--gpus all" in result["remedy"]["text"]


@pytest.mark.parametrize(
    ("hook_says", "cause"),
    [
        ("requirement error: unsatisfied condition: cuda>=12.8, please update", "The image asks for a newer driver"),
        ("initialization error: nvml error: driver not loaded", "The driver's kernel module is not loaded."),
        (
            "initialization error: load library failed: libnvidia-ml.so.1: cannot open shared object file",
            "The driver's library libnvidia-ml.so.1 is not found.",
        ),
        ("initialization error: something new", "The container did not run: "),
    ],
)
def test_what_the_toolkits_hook_says_is_explained(rig: Rig, hook_says: str, cause: str) -> None:
    rig.toolkit.configure("a100x8", error=hook_says)
    result = rig.smoke_json()
    assert result["cause"].startswith(cause)
    assert hook_says in result["error"]


def test_a_container_that_hangs_is_removed_at_the_deadline(rig: Rig) -> None:
    rig.toolkit.configure("a100x8", smi=str(rig.toolkit.directory / "hanging-smi"))
    result = rig.smoke_json("--timeout", "1")
    assert result["cause"] == "The container did not end within 1 s."
    assert 1 <= result["seconds"] < PATIENCE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_container_can_do_nothing_but_see_and_is_gone_after_an_interruption(
    rig: Rig, number: signal.Signals
) -> None:
    rig.toolkit.configure("a100x8", smi=str(rig.toolkit.directory / "hanging-smi"))
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = rig.host.popen([sys.executable, "-m", "gpuctl", "smoke", "--image", IMAGE], **pipes)
    limits = rig.started()["HostConfig"]
    process.send_signal(number)
    done = finish(process)
    assert done.code not in (0, None)
    assert "Traceback" not in done.err
    assert rig.containers() == []
    assert (limits["NetworkMode"], limits["ReadonlyRootfs"], limits["Privileged"]) == ("none", True, False)
    assert (limits["CapDrop"], limits["CapAdd"], limits["Binds"]) == (["ALL"], None, None)
    assert (limits["SecurityOpt"], limits["PidsLimit"]) == (["no-new-privileges"], 256)


def test_a_hook_that_hangs_leaves_a_container_that_docker_removes_and_says_so(rig: Rig) -> None:
    hook = rig.toolkit.directory / "nvidia-container-runtime-hook"
    program = hook.read_text()
    hook.write_text("#!/bin/sh\nexec sleep 2\n")
    try:
        done = rig.smoke("--timeout", "1")
    finally:
        hook.write_text(program)
    assert (done.code, rig.containers()) == (1, [])
    assert "did not end within 1 s" in done.out


def test_an_image_that_is_not_there_is_pulled(rig: Rig) -> None:
    with registry.serve(registry.image(busybox_tar())) as address:
        done = rig.host.gpuctl("smoke", "--json", "--image", f"{address}/nvidia/cuda:10.1-base")
    assert (done.code, checked(done)["pulled"]) == (0, True)
    assert done.err.splitlines()[0] == f"Pulling {address}/nvidia/cuda:10.1-base"


def test_a_registry_that_does_not_answer_does_not_hold_the_test_for_long(rig: Rig) -> None:
    with registry.serve(None) as address:
        done = rig.host.gpuctl("smoke", "--image", f"{address}/a:1", "--pull-timeout", "1")
    assert done.code == 1
    assert done.out.startswith("FAIL  The image was not pulled in time.")


@pytest.mark.parametrize(
    ("image", "cause"),
    [
        ("127.0.0.1:1/a:1", "Docker cannot reach the image's registry."),
        ("Not A Name", "That is not the name of an image."),
    ],
)
def test_an_image_that_cannot_be_had_leads_to_one_that_can(rig: Rig, image: str, cause: str) -> None:
    done = rig.host.gpuctl("smoke", "--image", image)
    assert done.code == 1
    assert done.out.startswith(f"FAIL  {cause}\n")
    assert "$ gpuctl smoke --image NAME" in done.out


@pytest.mark.parametrize(
    "settings", ['{"auths": 5}', "[" * 100_000, "[]", '{"credsStore": 5}'], ids=lambda text: text[:9]
)
def test_settings_of_dockers_client_that_make_no_sense_are_named(rig: Rig, settings: str) -> None:
    host = SimHost(rig.toolkit.bed, "a100x8", toolkit=rig.toolkit, dockerd=rig.daemon)
    with closing(host), registry.serve(registry.image(busybox_tar())) as address:
        host.path("/home/sim/.docker").mkdir(parents=True)
        host.path("/home/sim/.docker/config.json").write_text(settings)
        done = host.gpuctl("smoke", "--json", "--image", f"{address}/a:1")
    result = checked(done)
    assert (done.code, result["passed"]) == (1, False)
    assert result["cause"] == "Docker's client cannot make sense of its settings in /home/sim/.docker/config.json."
    assert "move it away" in result["remedy"]["text"]


def test_a_runtime_that_docker_lacks_is_not_taken_for_nvidia(rig: Rig) -> None:
    rig.toolkit.remove()
    try:
        result = rig.smoke_json("--runtime", "nosuch")
    finally:
        rig.toolkit.install("a100x8")
    assert result["cause"] == "Docker has no runtime of that name."
    assert result["remedy"]["commands"] == ["docker info --format '{{json .Runtimes}}'"]


def test_a_dry_run_prints_a_docker_command_that_works_and_starts_nothing(rig: Rig) -> None:
    done = rig.smoke("--dry-run", "--gpus", "device=0,2")
    assert (done.code, rig.containers()) == (0, [])
    by_hand = rig.host.run(["sh", "-c", done.out])
    assert [line.split(",")[0] for line in by_hand.out.splitlines()] == a100(0, 2)


@pytest.mark.parametrize(
    ("host", "uid", "code", "says"),
    [
        ({"profile": "v100"}, 0, 1, "Docker"),
        ({"profile": None}, 0, 1, "Docker"),
        ({"profile": "v100", "docker": True}, 65534, 1, "You may not talk to Docker."),
        ({"profile": None, "docker": True}, 0, 1, "GPU"),
        ({"profile": "no-driver", "docker": True}, 0, 1, "no module for the running kernel"),
        ({"profile": "mismatch", "docker": True}, 0, 1, "The loaded module is"),
        (
            {"profile": "v100", "env": {"DOCKER_HOST": "tcp://192.0.2.1:2375"}},
            0,
            3,
            "Docker's daemon is on another host",
        ),
    ],
)
def test_a_host_that_is_not_ready_gets_a_sentence_and_a_remedy(
    dockerd: Dockerd, sim_host: Callable[..., SimHost], host: dict[str, Any], uid: int, code: int, says: str
) -> None:
    daemon = dockerd if host.pop("docker", False) else None
    done = sim_host(**host, dockerd=daemon).gpuctl("smoke", uid=uid, stdin=None)
    assert (done.code, done.err) == (code, "")
    assert says in done.out.splitlines()[0]
    assert "      " in done.out


DOCKER_17 = {
    "/version": {"Version": "17.12.1-ce", "ApiVersion": "1.35"},
    "/info": {"Runtimes": {"runc": {"path": "runc"}, "nvidia": {"path": "nvidia-container-runtime"}}},
    "/images/json": [{"RepoTags": [IMAGE]}],
}
V100 = [
    {"driver": "418.87.00", "nvml": "10.418.87.00", "cuda": "10.1", "count": 1},
    {"index": 0, "name": "Tesla V100", "uuid": "GPU-5d3f", "compute_capability": "7.0", "brand": "tesla"},
]
SOCKET = "unix:///var/run/docker.sock"


def test_before_docker_19_03_gpus_are_asked_for_by_runtime() -> None:
    facts = gather(hosts.host(sockets={SOCKET: DOCKER_17}, nvml=V100))
    plan = make_plan(SmokeWish(), facts, diagnose(facts))
    assert (plan.spec.image, plan.spec.runtime) == (IMAGE, "nvidia")


def test_gpus_that_block_nvml_leave_nothing_to_compare_with() -> None:
    facts = gather(hosts.host(sockets={SOCKET: DOCKER_17}, nvml=hosts.hung()))
    with pytest.raises(NoPlan) as none:
        make_plan(SmokeWish(), facts, NOTHING_WRONG)
    assert none.value.result.passed is None


def test_an_image_for_a_newer_cuda_than_the_driver_runs_is_not_taken() -> None:
    local = [
        "nvidia/cuda:12.4.1-base-ubuntu22.04",
        "nvidia/cuda:9.2-runtime",
        "nvidia/cuda:10.0-base",
        "busybox:latest",
    ]
    v100 = [find_gpu("V100")]
    assert choose_image(local, "418.87.00", v100) == "nvidia/cuda:10.0-base"
    assert (choose_image([], "418.87.00", v100) or "").startswith("nvidia/cuda:10.1-base")


def test_warnings_of_nvidia_smi_are_no_gpus() -> None:
    output = "GPU-1, 418.87.00, Tesla V100, 32GB\nWARNING: infoROM is corrupted at gpu 0000:3B:00.0\n"
    assert read_query(output) == SeenByContainer("418.87.00", ("GPU-1",))
    assert difference(Expected("418.87.00", ("GPU-1", "GPU-2"), 1), read_query(output)) is None
    assert difference(Expected("418.87.00", ("GPU-1",), 1), read_query("")) == "The container saw no GPU."


SOURCE_DOCUMENT = (
    "docker: Error response from daemon: OCI runtime create failed: container_linux.go:349: starting container process "
    'caused "exec: \\"nvidia-smi\\": executable file not found i n \\$PATH": unknown.'
)
WRAPPED = {
    SOURCE_DOCUMENT: "There is no nvidia-smi in the container",
    'runc create failed: exec: "nvidia-smi": executable file not found in $PATH: unknown': "There is no nvidia-smi",
    'could not select device driver "" with capabilities: [[gpu]]': "Docker does not know how to give GPUs",
    "failed to discover GPU vendor from CDI: no known GPU vendor found": "Docker does not know how to give GPUs",
    "AMD CDI spec not found": "Docker does not know how to give GPUs",
    "Unknown runtime specified nvidia": "Docker has no runtime of that name.",
    "unknown or invalid runtime name: nvidia": "Docker has no runtime of that name.",
    "fork/exec /usr/bin/nvidia-container-runtime: no such file or directory: unknown": "The registered runtime is not",
    'exec: \\\\\\"nvidia-container-runtime\\\\\\": executable file not found in $PATH': "The registered runtime is not",
    "manifest for nvidia/cuda:latest not found: manifest unknown: manifest unknown": "There is no such image",
    "Failed to initialize NVML: Driver/library version mismatch": "The driver's loaded module and its libraries",
    "toomanyrequests: You have reached your pull rate limit.": "The registry refuses more pulls",
    "No devices were found": "The container saw no GPU.",
    "failed to fulfil mount request: open /usr/lib64/libcuda.so.418.87.00: no such file or directory": (
        "The engine mounts what the CDI specification names, and a file of it is not there"
    ),
    "error getting hook config: failed to load config: couldn't open required configuration file": (
        "The toolkit's config.toml is no TOML"
    ),
}


@pytest.mark.parametrize("error", WRAPPED)
def test_a_failure_is_known_in_every_coat(error: str) -> None:
    assert explain(error, NOTHING_WRONG).cause.startswith(WRAPPED[error])


@pytest.mark.parametrize("coat", ["none", "docker 17 to 19.03", "docker 20.10", "docker 23"])
def test_of_an_error_that_nobody_knows_the_innermost_words_are_told(coat: str) -> None:
    error = f"{'x' * 400} the flux of GPU 0 is out of range"
    told = explain(COATS[coat](error).decode(), NOTHING_WRONG).cause
    assert told.startswith("The container did not run: …xxx") and told.endswith("the flux of GPU 0 is out of range")


def test_the_host_decides_which_cause_an_ambiguous_text_has() -> None:
    restart = Remedy("Restart Docker when it suits.", (command("systemctl", "restart", "docker"),))
    newer = Finding("registration.restart-needed", "registration", Status.WARN, "The toolkit is newer.", (), restart)
    why = explain('could not select device driver "" with capabilities: [[gpu]]', Report((newer,)))
    assert (why.cause, why.remedy) == (
        "Docker does not know how to give GPUs to a container (--gpus). This host: The toolkit is newer.",
        restart,
    )

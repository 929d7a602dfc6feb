"""`gpuctl k8s smoke`: pods are made by a kubectl, run by a real Podman on a simulated host, judged, and gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from k8s_objects import Object, accepted, cluster, named, node, pod, text_of
from ruamel.yaml import YAML
from simhost import Bed, SimHost, Toolkit, warm
from simhost.dockerd import GLIBC, busybox_tar
from simhost.process import until
from test_smoke_engines import IMAGE, podman_host, uuids

from gpuctl.k8s.gpu_nodes import chosen_nodes
from gpuctl.k8s.scene import scene_of
from gpuctl.render.formats.yaml import as_yaml
from gpuctl.smoke.cluster.pod import NoSmokePod, PodWish, difference, read_words, smoke_pod

__all__ = ["podman_host", "pods"]
ROOT = Path(__file__).parents[1]
KUBECTL = ROOT / "tests" / "kubectl_podman.py"
LABELS = {
    "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB",
    "nvidia.com/cuda.driver-version.full": "535.161.08",
    "kubernetes.io/arch": "amd64",
}
TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
GPU_NODE = node("gpu-1", labels=LABELS, taints=[TAINT])


class Cluster:
    """A cluster of recorded lists, whose pods the host's Podman runs; `play` says how."""

    def __init__(self, host: SimHost, folder: Path, bed: Bed) -> None:
        self.host, self.folder = host, folder
        self.gpus = uuids(bed, *range(8))
        self.world(GPU_NODE)
        self.play(gives=[3], assigned=self.gpus[3])

    def world(self, *objects: Object) -> None:
        kinds: dict[str, list[Object]] = {}
        for one in objects:
            kinds.setdefault(one["kind"], []).append(one)
        (self.folder / "world.json").write_text(json.dumps(kinds))

    def play(self, **played: Any) -> None:
        (self.folder / "play.json").write_text(json.dumps(played))

    @property
    def env(self) -> dict[str, str]:
        return {"CLUSTER": str(self.folder)}

    def smoke(self, *options: str, image: str = IMAGE) -> tuple[int, dict[str, Any]]:
        """The exit code and the only node's result; and that no pod is left."""
        argv = ("k8s", "smoke", "--image", image, "--json", *options)
        done = self.host.gpuctl(*argv, real_proc=True, env=self.env)
        schema = json.loads((ROOT / "data" / "schemas" / "k8s-smoke.schema.json").read_text())
        assert done.out, done.err
        Draft202012Validator(schema).validate(done.json)
        self.none_is_left()
        (one,) = done.json["nodes"]
        return done.code, one

    def none_is_left(self) -> None:
        assert list(self.folder.glob("*.pod.json")) == []
        assert self.host.run(["podman", "ps", "--all", "--quiet"]).out == ""


@pytest.fixture
def pods(bed: Bed, toolkit: Toolkit, podman_host: SimHost) -> Iterator[Cluster]:
    program = toolkit.directory / "kubectl"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {KUBECTL} "$@"\n')
    program.chmod(0o755)
    folder = toolkit.directory / "cluster"
    folder.mkdir()
    assert podman_host.gpuctl("install-runtime", "--engine", "podman").code == 0
    yield Cluster(podman_host, folder, bed)


def test_a_container_that_sees_exactly_its_gpu_passes_and_its_pod_is_gone(pods: Cluster) -> None:
    code, one = pods.smoke("--node", "gpu-1")
    assert (code, one["passed"], one["seen"]) == (0, True, [pods.gpus[3]]), one
    assert one["assigned"] == one["seen"] and one["resource"] == "nvidia.com/gpu"
    assert len((pods.folder / "removed").read_text().split()) == 1


def test_what_was_assigned_is_also_taken_of_the_api(pods: Cluster) -> None:
    pods.play(gives=[5], assigned=pods.gpus[5], tells=True)
    assert pods.smoke()[1]["assigned"] == [pods.gpus[5]]
    pods.play(gives=[5], assigned=pods.gpus[4], tells=True)
    assert pods.smoke()[0] == 1


def test_other_gpus_more_or_none_fail(pods: Cluster) -> None:
    for gives, words in (([3, 4], "which it was not assigned"), ([4], "which it was not assigned"), ([], "saw no GPU")):
        pods.play(gives=gives, assigned=pods.gpus[3])
        code, one = pods.smoke()
        assert (code, one["passed"]) == (1, False) and words in one["cause"]


GLIBC_IMAGE = "docker.io/nvidia/cuda:12.2.2-base-ubuntu22.04"


def test_deep_runs_gpuctls_own_program_on_the_gpu_and_cuda_has_to_work(
    pods: Cluster, bed: Bed, toolkit: Toolkit
) -> None:
    (toolkit.directory / "glibc.tar").write_bytes(busybox_tar(GLIBC))
    assert pods.host.run(["podman", "import", str(toolkit.directory / "glibc.tar"), GLIBC_IMAGE]).code == 0
    files = {"/usr/lib/libnvidia-ml.so.1": str(bed.library), "/usr/lib/libcuda.so.1": str(bed.cuda)}
    shown = {"GPUSIM_PROFILE": "a100x8", "GPUSIM_DEVICES": "3"}
    well = {"gives": [3], "assigned": pods.gpus[3], "tells": True}
    pods.play(**well, driver={"files": files, "env": shown})
    code, one = pods.smoke("--deep", image=GLIBC_IMAGE)
    assert (code, one["passed"], one["seen"]) == (0, True, [pods.gpus[3]]), one
    pods.play(**well, driver={"files": files, "env": shown | {"GPUSIM_DEVICES": "3,4"}})
    assert "which it was not assigned" in pods.smoke("--deep", image=GLIBC_IMAGE)[1]["cause"]
    pods.play(**well)
    code, one = pods.smoke("--deep", image=GLIBC_IMAGE)
    assert code == 1 and "libnvidia-ml.so.1" in one["error"], one


def test_a_container_that_cannot_run_is_explained(pods: Cluster) -> None:
    error = 'exec: "nvidia-smi": executable file not found in $PATH'
    pods.play(waits={"reason": "RunContainerError", "message": f"OCI runtime create failed: {error}: unknown"})
    code, one = pods.smoke()
    assert (code, one["passed"]) == (1, False) and error in one["error"]
    assert one["remedy"]["text"].startswith("On gpu-1: ")


def test_a_pod_that_finds_no_free_gpu_is_explained_as_why_does(pods: Cluster) -> None:
    holder = pod("train-0", 8, "gpu-1", namespace="ml")
    pods.world(GPU_NODE, holder)
    pods.play(unplaced="0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")
    code, one = pods.smoke()
    assert (code, one["passed"], one["why"]) == (1, False, "held"), one
    assert "waits for others to end" in one["cause"]


REFUSALS = {
    'pods "x" is forbidden: violates PodSecurity "restricted:latest": unrestricted capabilities': 3,
    'pods is forbidden: User "bob" cannot create resource "pods" in API group "" in the namespace "default"': 3,
    'pods "x" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1': 1,
}


def test_a_pod_that_the_api_refuses_is_one_sentence(pods: Cluster) -> None:
    for said, code in REFUSALS.items():
        pods.play(refuses=said)
        ended, one = pods.smoke()
        assert ended == code and said in one["cause"] and "\n" not in one["cause"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_breaks_it_off_leaves_no_pod(pods: Cluster, number: int) -> None:
    pods.play(waits={"reason": "ContainerCreating"})
    process = pods.host.popen(
        [sys.executable, "-m", "gpuctl", "k8s", "smoke", "--image", IMAGE],
        real_proc=True,
        env=pods.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert until(lambda: bool(list(pods.folder.glob("*.pod.json"))))
    os.kill(process.pid, number)
    assert process.wait(300) == 128 + number
    process.communicate()
    pods.none_is_left()


def test_a_dry_run_makes_nothing_and_prints_what_would_be_made(pods: Cluster) -> None:
    done = pods.host.gpuctl("k8s", "smoke", "--dry-run", "--deep", env=pods.env)
    assert done.code == 0, done.err
    manifest = YAML(typ="safe").load(done.out)
    assert manifest["spec"]["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert manifest["spec"]["containers"][0]["image"].startswith("nvidia/cuda:")
    assert not (pods.folder / "removed").exists()
    pods.none_is_left()


def test_podman_plays_the_manifest_as_it_is_printed(pods: Cluster) -> None:
    argv = ("k8s", "smoke", "--dry-run", "--image", IMAGE)
    printed = pods.host.gpuctl(*argv, env=pods.env).out
    (pods.folder / "pod.yaml").write_text(printed)
    played = pods.host.run(["podman", "kube", "play", "--network=none", f"{pods.folder}/pod.yaml"], real_proc=True)
    assert played.code == 0, played.err
    name = YAML(typ="safe").load(printed)["metadata"]["name"]
    assert pods.host.run(["podman", "wait", f"{name}-smoke"], real_proc=True).code == 0
    assert pods.host.run(["podman", "logs", f"{name}-smoke"], real_proc=True).out.startswith("gpuctl-assigned=")
    assert pods.host.run(["podman", "pod", "rm", "--force", name], real_proc=True).code == 0


# What is asked for


WISH = PodWish("image", False, "default", "0badcafe", 300)


def planned(*objects: Object, wish: PodWish = WISH) -> dict[str, Any]:
    scene = scene_of(cluster(*objects))
    return dict(smoke_pod(chosen_nodes(scene, None, True)[0], scene, wish, 0).manifest)


def test_one_node_of_each_class_is_tested_and_all_on_demand() -> None:
    scene = scene_of(cluster(node("a"), pod("p", 8, "a"), node("b"), node("c", 4), node("bare", None)))
    assert [one.name for one in chosen_nodes(scene, None, False)] == ["b", "c"]
    assert [one.name for one in chosen_nodes(scene, None, True)] == ["a", "b", "c"]
    assert [one.name for one in chosen_nodes(scene, "a", False)] == ["a"]


def run(*argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return warm.gpuctl("k8s", "smoke", *argv, stdin=stdin)


def test_pods_are_planned_for_recorded_lists_and_made_for_none() -> None:
    lists = text_of(GPU_NODE, node("bare", None), node("off", labels=LABELS, ready="False"))
    done = run("--dry-run", "--all", "--from", "-", stdin=lists)
    assert done.returncode == 0 and done.stdout.count("kind: ") == 1
    assert "off is not ready" in done.stderr
    assert run("--from", "-", stdin=lists).returncode == 2


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (("--node", "none"), 2, "there is no node none"),
        (("--node", "bare"), 3, "bare offers no GPU by a device plugin: it has none"),
        (("--node", "a", "--all"), 2, "exclude each other"),
    ],
)
def test_what_cannot_be_planned_is_one_sentence(argv: tuple[str, ...], code: int, words: str) -> None:
    done = run("--dry-run", *argv, "--from", "-", stdin=text_of(GPU_NODE, node("bare", None)))
    assert (done.returncode, done.stdout) == (code, "") and words in " ".join(done.stderr.split())


def test_the_pod_asks_under_the_name_that_the_node_offers() -> None:
    mig = node("m", 0, capacity={"nvidia.com/mig-1g.5gb": "7"})
    assert planned(mig)["spec"]["containers"][0]["resources"]["limits"] == {"nvidia.com/mig-1g.5gb": "1"}
    with pytest.raises(NoSmokePod, match="offers no GPU"):
        planned(node("a", 0))


def test_the_pod_runs_under_the_class_of_the_plugin_where_that_has_one() -> None:
    image = "nvcr.io/nvidia/k8s-device-plugin:v0.20.0"
    spec = {"runtimeClassName": "nvidia", "containers": [{"image": image}]}
    plugin = named("DaemonSet", "plugin", spec={"template": {"spec": spec}})
    assert "runtimeClassName" not in planned(node("a"), plugin)["spec"]
    there = named("RuntimeClass", "nvidia", handler="nvidia")
    assert planned(node("a"), plugin, there)["spec"]["runtimeClassName"] == "nvidia"


def test_a_cordoned_node_can_be_tested_before_it_is_given_back() -> None:
    tolerations = planned(node("a", cordoned=True))["spec"]["tolerations"]
    assert {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"} in tolerations


def test_labels_that_tell_no_driver_ask_for_an_image() -> None:
    with pytest.raises(NoSmokePod, match="--image"):
        planned(node("a"), wish=PodWish(None, False, "default", "0", 300))


def test_the_yaml_of_a_manifest_says_what_its_json_says() -> None:
    scene = scene_of(cluster(node('odd"name: {x}', taints=[TAINT])))
    one = smoke_pod(chosen_nodes(scene, None, True)[0], scene, PodWish("i", True, "n", "0", 9), 0)
    assert YAML(typ="safe").load(as_yaml([one.manifest])) == one.manifest


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("version", ["1.25", "1.30", "1.37"])
def test_every_version_of_kubernetes_accepts_the_manifest(deep: bool, version: str) -> None:
    wish = PodWish("image", deep, "default", "0badcafe", 300)
    assert accepted(planned(GPU_NODE, wish=wish), version)


# What the container says


def test_the_words_of_a_container_on_a_gpu_in_parts() -> None:
    log = (
        "gpuctl-assigned=MIG-0b2f6e0c-5d1f-5e6c-9a48-1f5f5b0c2a11\n"
        "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5a1c3e6b-0000-4000-8000-000000000001)\n"
        "  MIG 1g.5gb      Device  0: (UUID: MIG-0b2f6e0c-5d1f-5e6c-9a48-1f5f5b0c2a11)\n"
        "GPU-5a1c3e6b-0000-4000-8000-000000000001, 550.90.07, NVIDIA A100-SXM4-40GB\n"
    )
    words = read_words(log)
    assert words.assigned == words.seen == ("MIG-0b2f6e0c-5d1f-5e6c-9a48-1f5f5b0c2a11",)


def test_where_nobody_tells_what_was_assigned_it_has_to_be_one() -> None:
    assert difference((), ("GPU-1",)) is None
    assert difference((), ("GPU-1", "GPU-2")) == "The container saw 2 GPUs, and was assigned 1."

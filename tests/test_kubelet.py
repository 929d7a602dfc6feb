"""The layer `kubelet`: a node's files and sockets, served by the real gRPC library, and what the doctor says."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hosts import broken, denied, host
from hosts_v100 import GPU, NVML, UUID, v100
from node_of_kubernetes import CDI, DEVICE_NODE, ENV, PLUGIN, REGISTRATION, SOCKET, checkpoint, node

from gpuctl.checks.engine import ask
from gpuctl.checks.every import CHECKS, diagnose
from gpuctl.facts.gather import gather
from gpuctl.facts.kubelet.checkpoint import parse_checkpoint
from gpuctl.facts.kubelet.kubelet import PLUGINS, parse_held, probe_kubelet
from gpuctl.facts.kubelet.process import MICROK8S_ROOT
from gpuctl.model import Finding, Status

SIDE = Path(__file__).parent / "kubelet_side.py"
ALL = [f"GPU-a1000000-7c1e-4d52-8b7a-00000000000{number}" for number in range(8)]
"""Those of the simulated host."""


def says(id: str, **changed: Any) -> Finding:
    return ask(CHECKS[id], gather(v100(**node(**changed))))


# Real sockets


def examined(sim_host: Any, *side: str, **host: Any) -> tuple[Mapping[str, Mapping[str, Any]], list[str]]:
    """The kubelet's findings of a real doctor beside a real server, and the methods that it called there."""
    registered = host.pop("registered", ALL)
    one = sim_host("a100x8", files={f"{PLUGINS}/kubelet_internal_checkpoint": checkpoint(registered)})
    doctor = [sys.executable, "-m", "gpuctl", "doctor", "--json", "--only", "kubelet"]
    done = one.run([sys.executable, str(SIDE), "/root/calls", *side, "--", *doctor])
    assert done.code in (0, 1, 3), done.err
    document = json.loads(done.out)
    assert document["host"]["gpus_healthy"] == len(registered)
    found = {one["id"]: one for one in document["findings"]}
    return found, one.path("/root/calls").read_text().split()


def test_a_node_that_is_well_passes_and_its_plugin_is_asked_nothing(sim_host: Any) -> None:
    found, called = examined(sim_host, "--plugin", PLUGIN, "--held", ALL[0])
    loud = {id: one["message"] for id, one in found.items() if one["status"] not in ("pass", "skip")}
    assert loud == {}
    assert found["kubelet.gpus"]["status"] == found["kubelet.lost-gpus"]["status"] == "pass"
    assert called == ["List"], "of a live plugin nothing may be called, ListAndWatch least of all"


def test_a_socket_that_nobody_listens_at_is_told_from_a_live_one(sim_host: Any) -> None:
    found, _ = examined(sim_host, "--dead", PLUGIN)
    assert found["kubelet.plugin-socket"]["status"] == "fail"
    assert f"Nobody listens at {PLUGIN}" in found["kubelet.plugin-socket"]["message"]


def test_a_gpu_that_the_plugin_never_took_back_is_named(sim_host: Any) -> None:
    found, _ = examined(sim_host, "--plugin", PLUGIN, registered=ALL[:6])
    assert ALL[6] in found["kubelet.gpus"]["message"] and "NVML finds well" in found["kubelet.gpus"]["message"]


def test_a_pod_that_holds_a_gpu_that_is_gone_is_named(sim_host: Any) -> None:
    found, _ = examined(sim_host, "--plugin", PLUGIN, "--held", "GPU-00000000-0000-4000-8000-000000000000")
    assert "The pod ml/train-0 holds GPU-00000000" in found["kubelet.lost-gpus"]["message"]


def test_a_kubelet_that_listens_for_nobody_is_one_failure(sim_host: Any) -> None:
    found, _ = examined(sim_host, "--silent")
    assert [id for id, one in found.items() if one["status"] == "fail"] == ["kubelet.registration"]
    assert found["kubelet.plugin-socket"]["rests_on"] == "kubelet.registration"


def test_a_moved_root_does_not_move_the_plugins_folder(sim_host: Any) -> None:
    wrong = "/data/kubelet/device-plugins/nvidia-gpu.sock"
    found, _ = examined(sim_host, "--root-dir", "/data/kubelet", "--plugin", wrong, "--held", ALL[0])
    assert wrong in found["kubelet.plugin-folder"]["message"]
    assert found["kubelet.lost-gpus"]["status"] == "pass"  # pod-resources does move
    assert found["kubelet.plugin-socket"]["rests_on"] == "kubelet.plugin-folder"


# Recorded hosts


def test_nothing_is_said_of_a_host_without_a_kubelet() -> None:
    for bare in (host(), v100()):
        findings = [one for one in diagnose(gather(bare)).findings if one.layer == "kubelet"]
        assert {one.status for one in findings} == {Status.SKIP}


@pytest.mark.parametrize(
    ("comm", "argv", "root"),
    [
        ("kubelet", ["/usr/bin/kubelet", "--config=/var/lib/kubelet/config.yaml"], "/var/lib/kubelet"),
        ("kubelet", ["/usr/bin/kubelet", "--root-dir", "/data/kubelet/"], "/data/kubelet"),
        ("kubelet", ["/usr/local/bin/k0s/kubelet", "--root-dir=/var/lib/k0s/kubelet"], "/var/lib/k0s/kubelet"),
        ("k3s-server", ["/usr/local/bin/k3s", "server", "--kubelet-arg", "root-dir=/data/k"], "/data/k"),
        ("k3s-agent", ["/usr/local/bin/k3s", "agent", "--kubelet-arg=v=2"], "/var/lib/kubelet"),
        ("kubelite", ["/snap/microk8s/7229/kubelite"], MICROK8S_ROOT),
        ("kubelite", ["/snap/microk8s/7229/kubelite", "--kubelet-args-file=/args"], "/srv/kubelet"),
    ],
)
def test_where_a_kubelet_keeps_its_files_is_read_of_its_command_line(comm: str, argv: list[str], root: str) -> None:
    files = {
        "/proc/1/comm": f"{comm}\n",
        "/proc/1/cmdline": "\0".join(argv) + "\0",
        "/args": "--root-dir=/srv/kubelet\n",
    }
    process = probe_kubelet(host(files=files)).process.value
    assert process is not None and process.root == root


def test_a_configuration_file_of_k3s_tells_the_root_too() -> None:
    config = 'kubelet-arg:\n  - "root-dir=/data/kubelet"\n'
    argv = "/usr/local/bin/k3s\0server\0"
    files = {"/proc/1/comm": "k3s-server\n", "/proc/1/cmdline": argv, "/etc/rancher/k3s/config.yaml": config}
    process = probe_kubelet(host(files=files)).process.value
    assert process is not None and (process.root, process.unit) == ("/data/kubelet", "k3s")


def test_a_plugin_that_did_not_register_again_is_told_from_one_that_never_did() -> None:
    again = says("kubelet.plugin-socket", plugin=None)
    assert again.status is Status.FAIL and "did not register again" in again.message
    never = says("kubelet.plugin-socket", plugin=None, registered=())
    assert never.status is Status.WARN and "has registered" in never.message


def test_where_a_dra_driver_serves_no_plugin_is_missed() -> None:
    served = node(plugin=None, registered=())
    socket = "/var/lib/kubelet/plugins/gpu.nvidia.com/dra.sock"
    served = served | {"stats": served["stats"] | {socket: SOCKET}, "peers": served["peers"] | {f"unix://{socket}": 9}}
    assert ask(CHECKS["kubelet.plugin-socket"], gather(v100(**served))).status is Status.PASS


def test_a_gpu_that_nvml_cannot_ask_is_to_be_mended_first() -> None:
    lost = node(registered=("GPU-5a1c3e6b-0000-4000-8000-000000000002",))
    other = GPU | {"index": 1, "uuid": UUID[:-1] + "9", "minor": 1, "error": "GPU is lost"}
    found = ask(CHECKS["kubelet.gpus"], gather(v100(**lost, nvml=[NVML[0] | {"count": 2}, GPU, other])))
    assert found.status is Status.FAIL and "cannot ask" in found.message


@pytest.mark.parametrize("names", [[f"{UUID}::0", f"{UUID}::1"], ["nvidia0"], ["nvidia0/vgpu3"]])
def test_shared_gpus_and_those_of_gke_are_known_by_their_names(names: list[str]) -> None:
    assert says("kubelet.gpus", registered=names).status is Status.PASS


def test_parts_of_gpus_are_not_counted_as_gpus() -> None:
    assert says("kubelet.gpus", registered=["MIG-0b2f6e0c-5d1f-5e6c-9a48-1f5f5b0c2a11"]).status is Status.SKIP


@pytest.mark.parametrize(
    ("answer", "status"),
    [(ENV, Status.WARN), (ENV + DEVICE_NODE, Status.PASS), (CDI, Status.PASS), (b"\xff", Status.UNKNOWN)],
)
def test_the_kubelets_file_tells_whether_a_static_cpu_manager_takes_gpus_away(answer: bytes, status: Status) -> None:
    assert says("kubelet.cpu-manager", policy="static", answer=answer).status is status
    assert says("kubelet.cpu-manager", answer=answer).status is Status.SKIP


def test_who_may_not_look_into_the_folder_is_told_so_once() -> None:
    closed = {path: denied() for path in (PLUGINS, REGISTRATION, PLUGIN)}
    shut = node() | {"stats": closed, "lists": {PLUGINS: denied()}}
    findings = diagnose(gather(v100(**shut))).findings
    assert [one.id for one in findings if one.layer == "kubelet" and one.status is Status.UNKNOWN] == [
        "kubelet.registration"
    ]


def test_a_socket_that_could_not_be_tried_is_unknown() -> None:
    untold = node()
    untold["peers"] = untold["peers"] | {f"unix://{PLUGIN}": broken("Permission denied")}
    assert ask(CHECKS["kubelet.plugin-socket"], gather(v100(**untold))).status is Status.UNKNOWN


@pytest.mark.parametrize("text", ["", "[]", "{", '{"Data": []}', '{"Data": {"RegisteredDevices": {"a": 1}}}'])
def test_a_checkpoint_that_is_none_is_unknown(text: str) -> None:
    with pytest.raises(ValueError):
        parse_checkpoint(text)


def test_a_checkpoint_of_an_old_kubelet_is_read() -> None:
    old = '{"Data": {"PodDeviceEntries": [{"ResourceName": "nvidia.com/gpu", "DeviceIDs": ["GPU-1"]}]}}'
    assert [one.devices for one in parse_checkpoint(old).given] == [("GPU-1",)]


def test_what_is_no_answer_of_a_kubelet_is_said_to_be_none() -> None:
    with pytest.raises(ValueError, match="not a message"):
        list(parse_held(b"\x0a\x05ab"))


GIVEN_BY_NODES = (
    "CmsKFk5WSURJQV9WSVNJQkxFX0RFVklDRVMSUUdQVS1jMWU5ZjI0OS1iMzdiLTgxYzItYThkOS1iYTVjYTAyOTQ4NDEsR1BVLTliMzQxYzU5LWY5"
    "NmItYmE4NS1jMTM3LTc4YzM2NTJmZWE2NRokCg4vZGV2L252aWRpYWN0bBIOL2Rldi9udmlkaWFjdGwaAnJ3GiYKDy9kZXYvbnZpZGlhLXV2bRIP"
    "L2Rldi9udmlkaWEtdXZtGgJydxoyChUvZGV2L252aWRpYS11dm0tdG9vbHMSFS9kZXYvbnZpZGlhLXV2bS10b29scxoCcncaLgoTL2Rldi9udmlk"
    "aWEtbW9kZXNldBITL2Rldi9udmlkaWEtbW9kZXNldBoCcncaIAoML2Rldi9udmlkaWExEgwvZGV2L252aWRpYTEaAnJ3GiAKDC9kZXYvbnZpZGlh"
    "MhIML2Rldi9udmlkaWEyGgJydw=="
)
GIVEN_BY_ENV = "CkIKFk5WSURJQV9WSVNJQkxFX0RFVklDRVMSKEdQVS1hZDYzYzY4NC01NTkzLTExMWEtY2JiMS1jMTQ1MWViY2QwYWE="


@pytest.mark.parametrize(
    ("answer", "ids", "by"),
    [
        (GIVEN_BY_NODES, {"1": ["GPU-9b341c59-f96b-ba85-c137-78c3652fea65"]}, ("env", "devices")),
        (GIVEN_BY_ENV, ["GPU-ad63c684-5593-111a-cbb1-c1451ebcd0aa"], ("env",)),
        ("Ch8KFk5WSURJQV9WSVNJQkxFX0RFVklDRVMSBXRlZ3Jh", {"-1": ["tegra"]}, ("env",)),
    ],
)
def test_answers_of_real_plugins_in_real_checkpoints_tell_their_way(answer: str, ids: Any, by: tuple[str, ...]) -> None:
    """Of nodes that people have shown: kubernetes/kubernetes issue 75880, a static CPU manager's, and a Jetson's."""
    entry = {"ResourceName": "nvidia.com/gpu", "DeviceIDs": ids, "AllocResp": answer}
    (given,) = parse_checkpoint(json.dumps({"Data": {"PodDeviceEntries": [entry], "RegisteredDevices": None}})).given
    assert given.by == by and len(given.devices) == 1

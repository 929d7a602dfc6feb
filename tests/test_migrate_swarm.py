"""`gpuctl migrate compose` for a swarm, whose `docker stack deploy` takes no request for GPUs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from test_migrate_compose import CASES, gpuctl, loaded, rewritten, variables

from gpuctl.migrate.compose.swarm import is_stack
from gpuctl.migrate.compose.target import ComposeTarget
from gpuctl.migrate.draft import source

SWARM = ComposeTarget.SWARM
PLACED = "services: {a: {image: x, devices: [/dev/nvidia1], deploy: {placement: {constraints: [node.role == worker]}}"
OTHERWISE = (
    "the runtime comes from a variable",
    "extends in one file",
    "WSL's device, for CUDA in one service, for who knows what in others",
)
"""What stays as it is, a service of which another one says what it asks for, and a host that is no node of a swarm."""
NOT_OF_GPUS = re.compile(
    r"unsupported Compose file version: 2|forbidden properties|property (train|device_cgroup_rules) |empty section"
)
"""What a stack file may not have and gpuctl does not touch."""


def names(gpus: Any) -> set[str]:
    """What NVIDIA_VISIBLE_DEVICES says where a request has a number: Docker takes the first ones."""
    return {*map(str, range(gpus))} if isinstance(gpus, int) else {gpus} if isinstance(gpus, str) else {*gpus}


@pytest.mark.parametrize(
    "case", [one for one in CASES if "gpus" in one and one["kind"] not in OTHERWISE], ids=lambda case: case["kind"]
)
def test_a_service_of_a_swarm_names_the_same_gpus(case: dict[str, Any]) -> None:
    done = rewritten(case["text"], SWARM)
    services = {name: one for name, one in loaded(done.after)["services"].items() if "extends" not in one}
    said = {name: dict(variables(one)).get("NVIDIA_VISIBLE_DEVICES", "") for name, one in services.items()}
    gpus = {name: names(one) for name, one in case["gpus"].items() if name in services}
    assert {name: {*said[name].split(",")} for name in gpus} == gpus
    assert {**services, **loaded(rewritten(done.after, SWARM).after)["services"]} == services


def test_generic_resources_are_a_request_and_stay() -> None:
    wish = "generic_resources: [{discrete_resource_spec: {kind: NVIDIA-GPU, value: 2}}]"
    body = f"{{image: x, deploy: {{resources: {{reservations: {{{wish}}}}}}}"
    done = rewritten(f"services: {{a: {body}, runtime: nvidia, devices: [/dev/nvidia0]}}}}\n", SWARM)
    assert (done.after, done.left) == (f"services: {{a: {body}}}}}\n", ())


def test_services_ask_for_so_many_of_what_nodes_call_their_gpus(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(
        "services:\n  a: {image: x, runtime: nvidia, environment: {NVIDIA_VISIBLE_DEVICES: '0,2', A: b}}\n"
        "  b: {image: x, deploy: {resources: {reservations: {devices: [{count: 3, capabilities: [gpu]}]}}}}\n"
        "  c: {image: x, runtime: nvidia}\n"
    )
    done = gpuctl("a.yml", "--generic-resource", "gpu", folder=tmp_path)
    services = loaded(done.stdout)["services"]
    asked = {name: one["deploy"]["resources"]["reservations"] for name, one in services.items() if "deploy" in one}
    assert asked == {
        name: {"generic_resources": [{"discrete_resource_spec": {"kind": "gpu", "value": number}}]}
        for name, number in (("a", 2), ("b", 3))
    }
    assert services["a"]["environment"] == {"A": "b"} and services["c"] == {"image": "x", "runtime": "nvidia"}
    assert done.returncode == 1 and "generic resources are a number" in done.stderr
    assert gpuctl("a.yml", "--generic-resource", "gpu", "--target", "compose", folder=tmp_path).returncode == 2


def test_a_file_that_a_swarm_reads_is_for_one_unless_another_target_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(f"{PLACED}}}}}\n")
    assert "NVIDIA_VISIBLE_DEVICES: 1" in gpuctl("a.yml", folder=tmp_path).stdout.replace('"', "")
    assert "device_ids" in gpuctl("a.yml", "--target", "compose", folder=tmp_path).stdout
    (tmp_path / "b.yml").write_text("services: {b: {image: x, runtime: nvidia}}\n")
    assert "device_ids" in gpuctl("a.yml", "b.yml", folder=tmp_path).stdout  # Docker would refuse the second


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ((), "docker stack deploy knows no such key"),
        (("--generic-resource", "NVIDIA-GPU"), "it asks for as many GPUs, and the swarm says which"),
    ],
)
def test_a_swarm_is_promised_no_request_and_no_gpus_by_name(options: tuple[str, ...], why: str, tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(
        "services: {a: {image: x, runtime: nvidia, environment: [NVIDIA_VISIBLE_DEVICES=0]}}"
    )
    said = gpuctl("a.yml", "--target", "swarm", *options, folder=tmp_path).stderr
    assert why in said
    assert "a request for GPUs needs" not in said and "the same GPUs" not in said


def stack_config(text: str) -> subprocess.CompletedProcess[str]:
    """What Docker's own client makes of a stack file; it asks no daemon for that."""
    return subprocess.run(["docker", "stack", "config", "-c", "-"], input=text, capture_output=True, text=True)


@pytest.mark.bench
def test_docker_takes_every_file_that_is_for_a_swarm() -> None:
    refused = {}
    for case in CASES:
        done = rewritten(case["text"], SWARM)
        said = stack_config(done.after)
        if said.returncode and not done.left and not NOT_OF_GPUS.search(said.stderr):
            refused[case["kind"]] = said.stderr
    assert refused == {}


@pytest.mark.bench
@pytest.mark.parametrize(
    ("more", "file"),
    [
        ("", ""), (", cap_add: [IPC_LOCK], x-a: 1", ", x-b: 2"), (", runtime: nvidia", ""), (", gpus: all", ""),
        (", extends: {service: b}", ""), (", mem_limit: 1g", ""), (", annotations: {a: b}", ""), ("", ", name: a"),
        ("", ", version: '2.4'"), ("", ", version: '3.8'"),
    ],
)  # fmt: skip
def test_a_stack_is_what_docker_takes_for_one(more: str, file: str) -> None:
    text = f"{{{PLACED}{more}}}}}{file}}}\n"
    assert is_stack([source("stack.yml", text.encode())]) == (stack_config(text).returncode == 0), text

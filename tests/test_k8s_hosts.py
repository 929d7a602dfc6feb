"""`gpuctl k8s doctor --hosts`: the nodes' own reports, joined to nodes, and the chain that begins there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from k8s_objects import Object, cluster, node, pod, text_of

from gpuctl.host.machine_id import known_as
from gpuctl.k8s.doctor import Examination, examine
from gpuctl.k8s.host_reports import HostReport, NoReport, joined, parse_report
from gpuctl.model import Finding, Status

ROOT = Path(__file__).parents[1]
BOOT, OLDER = "0b6f8a52-5d4e-4c0a-9a57-3f1d2c4b5a69", "7c1d6f31-9a2b-4e8f-8b0a-1f2e3d4c5b6a"
NODES_OWN = "3d5c1f0e9b7a4c2d8e6f1a0b9c8d7e6f"
"""In /etc/machine-id, and as the kubelet tells it."""
MACHINE = known_as(NODES_OWN) or ""


def report(name: str = "a", **host: Any) -> HostReport:
    """A report of 8 GPUs that are well; `findings` are its findings, the rest what it says of its host."""
    findings = host.pop("findings", [])
    told = {"gpus": 8, "gpus_in_nvml": 8, "hostname": name, **host}
    return parse_report(name, json.dumps({"schema": "gpuctl.doctor/1", "host": told, "findings": findings}))


def found(id: str, message: str, status: str = "fail") -> dict[str, str]:
    return {"id": id, "status": status, "message": message}


def machine(name: str, boot: str = BOOT, id: str = NODES_OWN, **changed: Any) -> Object:
    return node(name, info={"bootID": boot, "machineID": id}, **changed)


def examined(*objects: Object, hosts: tuple[HostReport, ...], of: str | None = None) -> Examination:
    return examine(cluster(*objects), of, None, hosts)


def says(id: str, *objects: Object, hosts: tuple[HostReport, ...]) -> Finding:
    return {one.id: one for one in examined(*objects, hosts=hosts).report.findings}[id]


# Which node a report is of


@pytest.mark.parametrize(
    ("host", "by", "stale"),
    [
        ({"boot_id": BOOT, "machine_id": MACHINE, "hostname": "other"}, "boot id", False),
        ({"boot_id": OLDER, "machine_id": MACHINE, "hostname": "other"}, "machine id", True),
        ({"machine_id": MACHINE, "hostname": "other"}, "machine id", False),
        ({"hostname": "GPU-1"}, "name", False),
        ({"hostname": "gpu-1", "boot_id": OLDER}, "name", True),
    ],
)
def test_a_report_is_joined_by_the_surest_that_both_tell(host: dict[str, str], by: str, stale: bool) -> None:
    nodes = cluster(machine("gpu-1"), machine("gpu-2", OLDER[::-1], NODES_OWN[::-1])).nodes
    one = joined([report("some-file", **host)], nodes).by_node["gpu-1"]
    assert (one.by, one.stale) == (by, stale)


def test_a_name_that_another_machine_has_now_joins_nothing() -> None:
    nodes = cluster(machine("gpu-1")).nodes
    assert joined([report("gpu-1", machine_id=MACHINE[::-1])], nodes).of_no_node == ("gpu-1",)


def test_machines_that_were_cloned_with_their_id_are_told_apart_by_name() -> None:
    nodes = cluster(machine("gpu-1"), machine("gpu-2", OLDER)).nodes
    both = [report("gpu-2", machine_id=MACHINE, gpus=2), report("gpu-1", machine_id=MACHINE, gpus=1)]
    found = joined(both, nodes).by_node
    assert {name: (one.by, one.report.on_bus) for name, one in found.items()} == {
        "gpu-1": ("name", 1),
        "gpu-2": ("name", 2),
    }


def test_of_two_reports_of_a_node_that_of_its_boot_counts() -> None:
    nodes = cluster(machine("gpu-1")).nodes
    old, new = report("old", machine_id=MACHINE, boot_id=OLDER), report("new", machine_id=MACHINE, boot_id=BOOT)
    assert joined([old, new], nodes).by_node["gpu-1"].report.name == "new"


# The chain


@pytest.mark.parametrize(
    ("host", "objects", "drop"),
    [
        ({"gpus_in_nvml": 7}, [node("a")], "8 on the bus, 7 in NVML"),
        ({}, [node("a", 7)], "8 in NVML, 7 registered"),
        ({}, [node("a", allocatable={"nvidia.com/gpu": "7"})], "8 registered, 7 allocatable"),
        ({}, [node("a"), pod("p", 5, "a")], ""),
        ({"gpus_healthy": 7}, [node("a", allocatable={"nvidia.com/gpu": "7"})], "8 registered, 7 healthy"),
        ({"gpus": None, "gpus_in_nvml": None}, [node("a")], ""),
        ({"gpus_in_nvml": 7}, [node("a", None, capacity={"nvidia.com/mig-1g.5gb": "3"})], "8 on the bus, 7 in NVML"),
        ({}, [node("a", None, capacity={"nvidia.com/mig-1g.5gb": "3"})], ""),
    ],
)
def test_the_first_link_at_which_the_number_drops_is_named(host: Any, objects: list[Object], drop: str) -> None:
    assert examined(*objects, hosts=(report(**host),), of="a").drop == drop


def test_a_report_of_an_earlier_boot_is_said_to_be_stale_and_not_counted() -> None:
    old = report("a", boot_id=OLDER, gpus_in_nvml=3)
    one = examined(machine("a"), hosts=(old,), of="a")
    assert one.stale and [link.number for link in one.chain][:2] == ["?", "?"]
    said = says("k8s.node.report", machine("a"), hosts=(old,))
    assert said.status is Status.WARN and "earlier boot" in said.message
    assert says("k8s.node.report", machine("a"), hosts=(report("a", boot_id=BOOT),)).status is Status.PASS


def test_a_broken_link_explains_those_behind_it() -> None:
    lost = report(gpus_in_nvml=7, findings=[found("driver.gpu-answers", "GPU 3 does not answer.")])
    all = {
        one.id: one for one in examined(node("a", allocatable={"nvidia.com/gpu": "7"}), hosts=(lost,)).report.findings
    }
    assert all["k8s.node.host"].status is Status.FAIL and "GPU 3 does not answer" in all["k8s.node.host"].message
    assert all["k8s.gpu.healthy"].rests_on == "k8s.node.host"
    assert says("k8s.node.host", node("a"), hosts=(report(),)).status is Status.PASS


# What the plugin does


def test_a_gpu_that_is_well_and_withheld_is_told_from_one_that_is_ill_and_from_what_nobody_knows() -> None:
    withheld = node("a", allocatable={"nvidia.com/gpu": "7"})
    id = "k8s.plugin.unhealthy-forever"
    well = {one.id: one for one in examined(withheld, hosts=(report(),)).report.findings}
    assert well[id].status is Status.FAIL and well["k8s.gpu.healthy"].rests_on == id
    ill = report(findings=[found("driver.gpu-health", "GPU 3 has ECC errors.", "warn")])
    assert says(id, withheld, hosts=(ill,)).status is Status.PASS
    assert says(id, withheld, hosts=()).status is Status.UNKNOWN
    assert says(id, node("a"), hosts=()).status is Status.PASS


def test_gpus_that_are_offered_and_not_there_show_that_health_checks_do_not_work() -> None:
    lost = report(gpus=7, gpus_in_nvml=7)
    assert says("k8s.plugin.health-checks", node("a"), hosts=(lost,)).status is Status.FAIL
    assert says("k8s.plugin.health-checks", node("a"), hosts=(report(),)).status is Status.PASS


@pytest.mark.parametrize(
    ("check", "id", "status"),
    [
        ("k8s.plugin.socket", "kubelet.plugin-socket", Status.FAIL),
        ("k8s.plugin.socket", "kubelet.plugin-folder", Status.FAIL),
        ("k8s.plugin.strategy", "kubelet.cpu-manager", Status.WARN),
        ("k8s.runtime.handler", "registration.containerd", Status.FAIL),
    ],
)
def test_what_a_nodes_doctor_says_is_told_of_that_node(check: str, id: str, status: Status) -> None:
    ill = report(findings=[found(id, "It is so.", "fail" if status is Status.FAIL else "warn")])
    said = says(check, node("a"), hosts=(ill,))
    assert said.status is status and "It is so." in said.message
    assert says(check, node("a"), hosts=(report(),)).status in (Status.PASS, Status.SKIP)


def test_a_host_with_a_driver_of_its_own_and_a_driver_container_is_told() -> None:
    driver = {"kind": "DaemonSet", "metadata": {"name": "nvidia-driver-daemonset", "namespace": "gpu"}, "spec": {}}
    id = "k8s.operator.driver-twice"
    assert says(id, node("a"), driver, hosts=(report(driver_kept_by="ubuntu"),)).status is Status.FAIL
    assert says(id, node("a"), driver, hosts=(report(driver_kept_by="gpu-operator"),)).status is Status.PASS


# The command


def run(*argv: str, stdin: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gpuctl", "k8s", "doctor", "--from", "-", *argv]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, input=stdin, env=os.environ)


def doctor_json(snapshot: Path) -> dict[str, Any]:
    argv = [sys.executable, "-m", "gpuctl", "doctor", "--json", "--from", str(snapshot)]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, check=False)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_a_folder_of_snapshots_and_of_reports_fills_the_first_links(tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests/snapshots/dgx-a100.jsonl", tmp_path / "snapped.jsonl")
    told = doctor_json(ROOT / "tests/snapshots/dgx-a100.jsonl")
    told["host"].update(gpus_in_nvml=7)
    (tmp_path / "told.json").write_text(json.dumps(told))
    world = text_of(node("snapped"), node("told"), node("untold"))
    done = run("--hosts", str(tmp_path), "--node", "snapped", stdin=world)
    assert "8 on the bus, 8 in NVML, 8 registered, 8 allocatable, 0 requested, 8 free\n" in done.stdout
    assert done.returncode == 0, done.stdout
    whole = run("--hosts", str(tmp_path), "--json", stdin=world)
    document = json.loads(whole.stdout)
    schema = json.loads((ROOT / "data/schemas/k8s-doctor.schema.json").read_text())
    Draft202012Validator(schema).validate(document)
    failed = {one["id"]: one["message"] for one in document["findings"] if one["status"] == "fail"}
    assert set(failed) == {"k8s.node.host"}
    assert "told: " in failed["k8s.node.host"] and "8 on the bus, 7 in NVML" in failed["k8s.node.host"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", "<html>", "is neither a snapshot nor a report of `gpuctl doctor --json`: it is not JSON"),
        ("a.json", '{"schema": "gpuctl.check/1"}', "its schema is not gpuctl.doctor/1"),
        ("a.json", '{"schema": "gpuctl.doctor/1", "host": {"gpus": "8"}}', "its gpus is no whole number but a text"),
        ("a.jsonl", "nothing", "is no snapshot"),
        ("notes.txt", "x", "holds no file *.json"),
    ],
)
def test_what_is_no_report_is_one_sentence(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    done = run("--hosts", str(tmp_path), stdin=text_of(node("a")))
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert words in " ".join(done.stderr.split()) and "Traceback" not in done.stderr


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = run("--hosts", str(tmp_path / "none"), stdin=text_of(node("a")))
    assert (done.returncode, done.stdout) == (2, "") and "is no folder" in " ".join(done.stderr.split())


@pytest.mark.parametrize("text", ["[]", "{}", '{"schema": "gpuctl.doctor/1", "findings": {}}', "[" * 100000])
def test_a_hostile_report_is_refused(text: str) -> None:
    with pytest.raises(NoReport):
        parse_report("a", text)


def test_markup_in_a_report_stays_text() -> None:
    ill = report(findings=[found("driver.nvml", "[red]x\x1b[31m")])
    assert "[red]x" in says("k8s.node.host", node("a"), hosts=(ill,)).message


def test_the_driver_that_no_label_tells_is_taken_of_a_report_of_this_boot(tmp_path: Path) -> None:
    labels = {"cloud.google.com/gke-accelerator": "nvidia-tesla-t4"}
    text = text_of(machine("t4", labels=labels), node("h100", labels=labels))
    told = {"gpus": 1, "driver": "580.95.05", "hostname": "t4", "boot_id": BOOT}
    report = {"schema": "gpuctl.doctor/1", "host": told, "findings": []}
    (tmp_path / "t4.json").write_text(json.dumps(report))

    def verdicts(*argv: str) -> dict[str, str]:
        argv = ("k8s", "check", "--cuda", "12.4", "--json", "--from", "-", *argv)
        done = subprocess.run([sys.executable, "-m", "gpuctl", *argv], input=text, capture_output=True, text=True)
        return {one["nodes"][0]: one["verdict"] for one in json.loads(done.stdout)["classes"]}

    assert verdicts() == {"t4": "unknown"}
    assert verdicts("--hosts", str(tmp_path)) == {"t4": "compatible", "h100": "unknown"}
    (tmp_path / "t4.json").write_text(json.dumps({**report, "host": {**told, "boot_id": OLDER}}))
    assert verdicts("--hosts", str(tmp_path)) == {"t4": "unknown"}

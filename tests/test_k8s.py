"""`gpuctl k8s`: a recorded world in which each pod waits for another reason, and what a person sees of it."""

from __future__ import annotations

import gzip
import json
import os
import resource
import subprocess
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from k8s_objects import Object, claiming, cluster, event, named, node, pod, text_of, unschedulable
from ruamel.yaml import YAML
from simhost import warm

from gpuctl.k8s.cluster import KINDS, RULES, Cluster
from gpuctl.k8s.fit import Fit
from gpuctl.k8s.keeping import Objects
from gpuctl.k8s.live import LISTS
from gpuctl.k8s.rbac import log_role, role
from gpuctl.k8s.reading import NotACluster, Reader, read_cluster
from gpuctl.k8s.said import said
from gpuctl.k8s.why import why
from gpuctl.render.views.k8s import why_json

ROOT = Path(__file__).parents[1]
WORLD = ROOT / "tests" / "data" / "k8s" / "world-1.36.json"
"""12 nodes and 21 pods of a real API server and scheduler of 1.36; the nodes were written by hand."""
REASONS = {
    "claim-missing": ("claim-missing", "absent"),
    "claims-4": ("claims", "more devices than any node offers"),
    "ext-via-dra": ("placed", "h100-a"),
    "gated": ("gated", "kueue.x-k8s.io/admission"),
    "high-never": ("held", "3 nodes"),
    "holder-h100-a": ("placed", "h100-a"),
    "holder-h100-b": ("placed", "h100-b"),
    "holder-h100-c": ("placed", "h100-c"),
    "holder-h100-degraded": ("placed", "h100-degraded"),
    "needs-cpu": ("too-large", "200 cpu"),
    "no-such-node": ("no-such-node", "gone-node"),
    "other-scheduler": ("other-scheduler", "kai-scheduler"),
    "runtimeclass-selector": ("selector", "runtime=nvidia"),
    "selector-plain-a100": ("selector", "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb"),
    "selector-t4": ("selector", "Tesla-T4-SHARED"),
    "spread": ("placed", "dra-node"),
    "wants-16": ("too-large", "16 nvidia.com/gpu"),
    "wants-4": ("held", "4 nodes"),
    "wants-mig": ("no-such-resource", "nvidia.com/mig-2g.20gb"),
    "wants-mig-ok": ("placed", "a100-mig"),
    "wants-pvc": ("volume", "nope"),
}
"""What each pod of the world truly waits for, and a word that the answer cannot do without."""
LATER = {"needs-cpu": "nvidia.com/gpu", "wants-16": "claims"}
"""Pods of which the scheduler spoke before the last pods were placed: on these reasons it counts otherwise."""


def run(*argv: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    return warm.gpuctl("k8s", *argv, stdin=stdin, env={**os.environ, **env})


def conforms(command: str, text: str) -> dict[str, object]:
    document: dict[str, object] = json.loads(text)
    schema = json.loads((ROOT / "data" / "schemas" / f"{command}.schema.json").read_text())
    Draft202012Validator(schema).validate(document)
    assert document["schema"] == f"gpuctl.{command}/1"
    return document


# Why


@pytest.fixture(scope="module")
def world() -> Cluster:
    return read_cluster([[WORLD.read_bytes()]])


@pytest.mark.parametrize("name", REASONS)
def test_each_pod_of_the_recorded_world_is_told_its_true_reason(name: str, world: Cluster) -> None:
    answer = why(world, name, None)
    cause, word = REASONS[name]
    assert answer.cause == cause
    assert word in answer.sentence


@pytest.mark.parametrize("name", REASONS)
def test_gpuctl_counts_as_the_recorded_scheduler_does(name: str, world: Cluster) -> None:
    reasons = [one.reason for one in why(world, name, None).differences]
    assert bool(reasons) == (name in LATER)
    assert LATER.get(name, "") in " ".join(reasons)


def test_the_nodes_of_a_pod_fall_into_one_class_each(world: Cluster) -> None:
    fits = {one.node.name: one.fit for one in why(world, "wants-4", None).nodes}
    assert {name for name, fit in fits.items() if fit is Fit.WHEN_OTHERS_END} == {
        "h100-a",
        "h100-b",
        "h100-c",
        "h100-degraded",
    }
    assert {name for name, fit in fits.items() if fit is Fit.AFTER_CHANGE} == {
        "h100-cordoned",
        "h100-dedicated",
        "notready",
    }
    assert len(fits) == 12


def test_who_holds_the_gpus_is_told_with_number_time_and_priority() -> None:
    done = run("why", "--from", str(WORLD), "wants-4")
    assert done.returncode == 1
    assert "6 nvidia.com/gpu: default/holder-h100-a on h100-a since 2026-11-29 15:54 UTC, priority 0" in done.stdout
    assert "2 nvidia.com/gpu are free in all and 1 at most together" in done.stdout
    assert "kubectl uncordon h100-cordoned" in done.stdout


def test_the_smallest_change_comes_first() -> None:
    nodes = [node("a", cordoned=True), node("b", taints=[{"key": "team", "value": "x", "effect": "NoSchedule"}])]
    ways = why(cluster(*nodes, pod("p", 1)), "p", None).ways
    assert ["toleration" in one.text for one in ways] == [True, False]
    assert [str(line) for line in ways[1].commands] == ["kubectl uncordon a"]


def test_free_gpus_that_are_never_together_are_told_in_numbers() -> None:
    found = cluster(node("a"), node("b"), pod("x", 6, "a"), pod("y", 5, "b"), pod("p", 4))
    answer = why(found, "p", None)
    assert (answer.cause, answer.sentence) == (
        "fragmented",
        "Pod p waits: 5 nvidia.com/gpu are free in all, never 4 together (3 at most, on b).",
    )


def test_a_bound_pod_that_does_not_run_yet_counts_and_one_that_has_ended_does_not() -> None:
    held = why(cluster(node("a"), pod("x", 8, "a", phase="Pending"), pod("p", 1)), "p", None)
    assert held.cause == "held"
    for phase in ("Succeeded", "Failed"):
        assert why(cluster(node("a"), pod("x", 8, "a", phase=phase), pod("p", 1)), "p", None).cause == "not-tried-yet"


def test_the_scheduler_is_believed_where_gpuctl_counts_otherwise() -> None:
    word = unschedulable("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")
    answer = why(cluster(node("a"), pod("p", 1, status=word)), "p", None)
    assert (answer.cause, answer.code) == ("unknown", 3)
    assert [(one.reason, one.scheduler, one.gpuctl) for one in answer.differences] == [
        ("resource nvidia.com/gpu", 1, 0)
    ]


@pytest.mark.parametrize(
    ("changed", "cause", "word"),
    [
        ({"spec": {"runtimeClassName": "nvidia"}}, "runtime-class", "RuntimeClass nvidia"),
        ({"spec": {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}}, "volume", "data"),
        ({"requests": {"nvidia.com/gpu": "500m"}}, "odd-request", "0.5 nvidia.com/gpu"),
        ({"requests": {"nvidia.com/gpu": "-1"}}, "odd-request", "-1 nvidia.com/gpu"),
        ({"requests": {"nvidia.com/gpu.shared": "1"}}, "no-such-resource", "It has 8 nvidia.com/gpu"),
        ({"phase": "Failed", "status": {"reason": "UnexpectedAdmissionError"}}, "rejected", "UnexpectedAdmissionError"),
        ({"phase": "Failed", "status": {"reason": "OutOfnvidia.com/gpu"}}, "rejected", "OutOfnvidia.com/gpu"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_holds_a_pod_is_named(changed: dict[str, object], cause: str, word: str) -> None:
    answer = why(cluster(node("a"), pod("p", **changed)), "p", None)
    assert answer.cause == cause
    assert word in answer.sentence


def test_a_cluster_without_a_node_is_told_to_be_one() -> None:
    assert "this cluster has none" in why(cluster(pod("p", requests={"cpu": "1"})), "p", None).sentence


GPU_TAINT = {"key": "gpu", "value": "", "effect": "NoSchedule"}


def daemon_set(name: str, image: str, **spec: object) -> Object:
    return named("DaemonSet", name, spec={"template": {"spec": {"containers": [{"image": image}], **spec}}})


PLUGIN = daemon_set(
    "plugin", "nvcr.io/nvidia/k8s-device-plugin:v0.20.0", nodeSelector={"nvidia.com/gpu.present": "true"}
)
FINDER = daemon_set("nfd-worker", "registry.k8s.io/nfd/node-feature-discovery:v0.17.3")


@pytest.mark.parametrize(
    ("objects", "resource", "words"),
    [
        ([node("a", None)], "nvidia.com/gpu", "No DaemonSet of a device plugin is there"),
        ([node("a", None), PLUGIN], "nvidia.com/gpu", "of a default/plugin wants nvidia.com/gpu.present=true"),
        ([node("a", None), PLUGIN], "nvidia.com/gpu", "Node Feature Discovery and GPU Feature Discovery, or by hand"),
        (
            [node("a", None, taints=[GPU_TAINT]), PLUGIN, FINDER],
            "nvidia.com/gpu",
            "Node Feature Discovery: of a default/nfd-worker does not tolerate gpu:NoSchedule",
        ),
        (
            [node("a", None, labels={"nvidia.com/gpu.workload.config": "vm-vgpu"})],
            "nvidia.com/gpu",
            "virtual machines, and none to containers, on a (nvidia.com/gpu.workload.config=vm-vgpu)",
        ),
        ([node("a")], "nvidia.com/gpumem", "HAMi's webhook has not given it to HAMi's, or HAMi is not installed"),
        ([node("a")], "volcano.sh/vgpu-memory", "the device plugin of Volcano"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_why_no_node_offers_a_resource_is_told(objects: list[Object], resource: str, words: str) -> None:
    answer = why(cluster(*objects, pod("p", requests={resource: "1"})), "p", None)
    assert answer.cause == "no-such-resource"
    assert words in " ".join(answer.notes)


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("NotTriggerScaleUp", "pod didn't trigger scale-up: 2 Insufficient nvidia.com/gpu"),
        ("FailedScheduling", 'Failed to schedule pod, incompatible with nodepool "default"'),
    ],
)
def test_what_an_autoscaler_says_is_told_as_its_word_and_not_the_schedulers(reason: str, message: str) -> None:
    answer = why(cluster(node("a", None), pod("p", 1), event("Pod", "p", reason, message)), "p", None)
    assert f"The autoscaler says: {message}" in answer.notes
    assert answer.said is None


def test_another_schedulers_words_are_told() -> None:
    gang = unschedulable("2/2 tasks in gang unschedulable: pod group is not ready, 2 Pending, 2 minAvailable")
    answer = why(cluster(node("a"), pod("p", 1, spec={"schedulerName": "volcano"}, status=gang)), "p", None)
    assert answer.cause == "other-scheduler"
    assert answer.said is not None and "pod group is not ready" in answer.said.text


def test_a_claim_whose_class_is_not_there_names_the_class() -> None:
    asked = named(
        "ResourceClaim", "c", spec={"devices": {"requests": [{"exactly": {"deviceClassName": "gpu.nvidia.com"}}]}}
    )
    answer = why(cluster(node("a"), asked, claiming("p", "c")), "p", None)
    assert (answer.cause, answer.code) == ("claims", 1)
    assert "DeviceClass gpu.nvidia.com, which is not there" in answer.sentence


def test_what_keeps_a_placed_pod_from_starting_is_said_as_its_kubelet_says_it() -> None:
    text = "Failed to prepare dynamic resources: DRA driver compute-domain.nvidia.com is not registered"
    placed = pod("p", 4, "a", phase="Pending")
    answer = why(cluster(node("a"), placed, event("Pod", "p", "FailedPrepareDynamicResources", text)), "p", None)
    assert answer.cause == "placed"
    assert "compute-domain.nvidia.com is not registered" in answer.sentence


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("why", "trian-0"), "there is no pod trian-0. Did you mean train-0 or train-1?"),
        (("why", "train"), "there is no pod train. Did you mean job/train or train-0 or train-1?"),
        (("why", "job/trian"), "there is no job trian. Did you mean job/train?"),
        (("why", "-n", "other", "train-0"), "there is no pod train-0 in the namespace other, and one in the namespace"),
        (("why", "nothing-like-it"), "there is no pod nothing-like-it."),
        (("doctor", "--node", "gpu01"), "there is no node gpu01. Did you mean gpu-01?"),
    ],
)
def test_a_name_that_is_not_there_is_answered_by_what_is_like_it(argv: tuple[str, ...], words: str) -> None:
    pods = [pod(f"train-{number}", 1, owner="Job/train") for number in range(2)]
    done = run(*argv, "--from", "-", stdin=text_of(node("gpu-01"), *pods, named("Job", "train")))
    assert done.returncode == 2
    assert words in " ".join(done.stderr.split())


def test_volumes_that_no_free_node_reaches_are_the_schedulers_to_tell() -> None:
    word = unschedulable("0/1 nodes are available: 1 node(s) had volume node affinity conflict.")
    assert why(cluster(node("a"), pod("p", 1, status=word)), "p", None).cause == "volume"


def test_a_claim_that_only_the_container_names_is_told() -> None:
    one = pod("p")
    one["spec"]["containers"][0]["resources"]["claims"] = [{"name": "g"}]
    assert "uses the claim g, which the pod does not name" in why(cluster(node("a"), one), "p", None).sentence


def test_a_job_that_may_not_make_its_pods_names_the_quota_and_what_is_taken() -> None:
    said = 'pods "t-1" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=8, used: …, limited: …'
    quota = named(
        "ResourceQuota",
        "gpus",
        status={"hard": {"requests.nvidia.com/gpu": "8"}, "used": {"requests.nvidia.com/gpu": "4"}},
    )
    answer = why(cluster(node("a"), event("Job", "t", "FailedCreate", said), quota), "job/t", "default")
    assert answer.cause == "quota"
    assert "4 of 8 requests.nvidia.com/gpu are taken" in answer.sentence
    assert why(cluster(node("a"), named("Job", "t", spec={"suspend": True})), "job/t", None).cause == "suspended"


def test_events_of_both_shapes_are_read() -> None:
    text = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    core = event("Pod", "p", "FailedScheduling", text)
    newer = {
        "kind": "Event",
        "metadata": {"name": "p.1", "namespace": "default"},
        "regarding": {"kind": "Pod", "namespace": "default", "name": "p"},
        "reason": "FailedScheduling",
        "note": text,
        "eventTime": "2026-11-29T15:54:03.329976Z",
        "series": {"count": 3, "lastObservedTime": "2026-11-29T16:54:03.329976Z"},
    }
    for one in (core, newer):
        word = why(cluster(node("a", 0), pod("p", 1), one), "p", None).said
        assert word is not None and word.reasons == {("resource", "nvidia.com/gpu"): 1}


@pytest.mark.parametrize(
    ("parts", "reasons"),
    [
        (["1 Insufficient x/gpu", "2 node(s) didn't match node selector."], ["resource x/gpu", "selector"]),
        (
            ["1 node(s) had taint {dedicated: ml}, that the pod didn't tolerate", "2 Insufficient cpu."],
            ["taint", "resource cpu"],
        ),
        (
            ["1 node(s) had untolerated taint {a.b/c: d, e}", "2 Too many pods. preemption: 0/3 nodes are …"],
            ["taint", "resource pods"],
        ),
        (["1 node(s) didn't match pod topology spread constraints."], ["spread"]),
        (["1 node(s) didn't have free ports for the requested pod ports"], ["ports"]),
    ],
)  # fmt: skip
def test_messages_of_many_schedulers_are_understood(parts: list[str], reasons: list[str]) -> None:
    found = said(f"0/3 nodes are available: {', '.join(parts)}").reasons
    assert {" ".join(filter(None, one)): count for one, count in found.items()} == dict(
        zip(reasons, (1, 2), strict=False)
    )


def test_json_is_as_its_schema_says_and_tells_what_the_text_does(world: Cluster) -> None:
    causes = {name: conforms("k8s-why", why_json(why(world, name, None)))["cause"] for name in REASONS}
    assert causes == {name: why(world, name, None).cause for name in REASONS}
    assert (
        conforms("k8s-why", run("why", "--from", str(WORLD), "wants-4", "--json").stdout)["cause"] == causes["wants-4"]
    )
    assert conforms("k8s-doctor", run("doctor", "--from", str(WORLD), "--json").stdout)["node"] is None
    one = run("doctor", "--from", str(WORLD), "--node", "h100-degraded", "--json").stdout
    assert conforms("k8s-doctor", one)["node"] == "h100-degraded"
    assert conforms("k8s-check", run("check", "--from", str(WORLD), "--cuda", "12.4", "--json").stdout)["verdict"]
    said = conforms("k8s-rbac", run("rbac", "--json").stdout)
    assert (said["role"], said["log_role"]) == (role(), log_role())


# Doctor


def test_doctor_has_a_line_for_a_class_of_nodes_and_a_chain_for_a_node() -> None:
    done = run("doctor", "--from", str(WORLD))
    assert done.returncode == 1
    assert " 3 x  NVIDIA-H100-80GB-HBM3  8 nvidia.com/gpu each, 22 requested, 2 free" in done.stdout
    one = run("doctor", "--from", str(WORLD), "--node", "h100-degraded")
    assert "? on the bus, 8 in NVML, 8 registered, 5 allocatable, 5 requested, 0 free" in one.stdout


def test_a_selector_chooses_the_nodes_that_are_judged() -> None:
    done = run("doctor", "--from", str(WORLD), "--selector", "nvidia.com/gpu.product=Tesla-T4-SHARED")
    assert done.returncode == 0
    assert "h100" not in done.stdout and "k8s.pods.pending" not in done.stdout


# Check


def test_check_answers_for_each_class_and_picks_its_nodes() -> None:
    labels = {
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        "nvidia.com/gpu.compute.major": "9",
        "nvidia.com/gpu.compute.minor": "0",
        "nvidia.com/cuda.driver-version.full": "570.86.15",
    }
    older = {
        "nvidia.com/gpu.product": "Tesla-T4",
        "nvidia.com/cuda.driver.major": "450",
        "nvidia.com/cuda.driver.minor": "80",
        "nvidia.com/cuda.driver.rev": "02",
    }
    text = text_of(node("new", labels=labels), node("old", labels=older), node("bare", gpus=None))
    done = run("check", "--from", "-", "--cuda", "12.4", "--json", stdin=text)
    answer = conforms("k8s-check", done.stdout)
    assert done.returncode == 0
    assert {tuple(one["nodes"]): one["verdict"] for one in answer["classes"]} == {  # type: ignore[attr-defined]
        ("new",): "compatible",
        ("old",): "incompatible",
    }
    assert answer["node_selector"] == {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    assert run("check", "--from", "-", "--cuda", "13.0", stdin=text_of(node("old", labels=older))).returncode == 1


# rbac


def test_the_role_lets_one_list_what_is_asked_for_and_no_more() -> None:
    done = run("rbac")
    assert list(YAML(typ="safe").load_all(done.stdout)) == [role(), log_role()]
    granted = {
        f"{name}.{rule['apiGroups'][0]}".rstrip(".")
        for rule in role()["rules"]  # type: ignore[attr-defined]
        for name in rule["resources"]
    }
    assert granted == {rule.partition("list ")[2] for rule in RULES.values()}
    assert set(LISTS) == set(RULES) == set(KINDS)


# Input


def test_files_packed_files_and_stdin_are_read_alike(tmp_path: Path) -> None:
    packed = tmp_path / "world.json.gz"
    packed.write_bytes(gzip.compress(WORLD.read_bytes()))
    told = run("why", "--from", str(WORLD), "gated").stdout
    assert run("why", "--from", str(packed), "gated").stdout == told
    assert run("why", "--from", "-", "gated", stdin=WORLD.read_text()).stdout == told


def test_what_kubectl_prints_of_several_kinds_is_read() -> None:
    mixed = {"apiVersion": "v1", "items": [node("a", 4), pod("p", 8)], "kind": "List", "metadata": {}}
    done = run("why", "--from", "-", "p", stdin=json.dumps(mixed, indent=4))
    assert done.returncode == 1
    assert "asks for 8 nvidia.com/gpu on one node" in done.stdout
    assert "Not known: it is not in what was read (it takes the rule `get, list deviceclasses" in done.stdout


def test_a_list_that_the_api_refused_is_named_with_its_rule() -> None:
    status = {
        "kind": "Status",
        "status": "Failure",
        "message": 'nodes is forbidden: User "bob" cannot list resource "nodes"',
        "reason": "Forbidden",
        "details": {"kind": "nodes"},
        "code": 403,
    }
    text = text_of(pod("p", 1), without=("Node",)) + json.dumps(status)
    done = run("why", "--from", "-", "p", stdin=text)
    assert done.returncode == 3
    assert "get, list nodes" in done.stdout
    judged = json.loads(run("doctor", "--from", "-", "--json", stdin=text).stdout)
    unknown = {one["id"] for one in judged["findings"] if one["status"] == "unknown"}
    assert {"k8s.gpu.gone", "k8s.node.ready"} <= unknown
    assert run("doctor", "--from", "-", stdin=text).returncode == 3
    assert "gpuctl k8s rbac | kubectl apply -f -" in run("doctor", "--from", "-", stdin=text).stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is empty"),
        ("<!DOCTYPE html><html>Sign in</html>", "HTML"),
        ("apiVersion: v1\nkind: List\n", "-o json"),
        ('{"kind": "PodList", "items": [{"metadata": {"name": "a"}}', "it is cut off"),
        ('{"kind": "PodList", "items": [1]}', "no object"),
        ('{"kind": "PodList", "items": [{"metadata": {"name": "a"}, "spec": []}]}', "its spec is no JSON object"),
        (
            '{"kind": "NodeList", "items": [{"metadata": {"name": "a"}, "status": {"capacity": {"cpu": "many"}}}]}',
            "no quantity",
        ),
        ('{"items": [{"metadata": {}}]}', "does not say its kind"),
        ('{"kind": "Status", "message": "Unauthorized", "code": 401}', "Unauthorized"),
        ('{"kind": "PodList", "items": [' + "[" * 100_000, "nested too deeply"),
        ('{"kind": "PodList", "items": [{"a": ' + "1" * 100_000 + "}]}", "out of range"),
        ('{"kind": "PodList", "items": [{"a": NaN}]}', "NaN"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_cluster_is_one_sentence(text: str, words: str) -> None:
    for argv in (("why", "p"), ("doctor",)):
        done = run(*argv, "--from", "-", stdin=text)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
        assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1


def test_wherever_a_file_ends_too_early_it_is_said_to_be_cut_off() -> None:
    items = [node("a", labels={"x": "ü"}), pod("p", 1, spec={"priority": -7, "hostPID": False})]
    text = json.dumps({"kind": "List", "metadata": None, "items": items})
    for end in range(1, len(text)):
        with pytest.raises(NotACluster, match="is cut off"):
            read_cluster([[text[:end].encode()]])


def test_what_stands_in_two_files_counts_once() -> None:
    lists = text_of(node("a"), pod("p", 3, "a"), pod("plain", on="a")).encode()
    for fold in (False, True):
        once, twice = (read_cluster([[lists]] * times, fold) for times in (1, 2))
        assert (twice.nodes, twice.pods, twice.folded) == (once.nodes, once.pods, once.folded)


@pytest.mark.parametrize(
    "argv",
    [
        ("why", "--from", str(WORLD), "nobody"),
        ("why", "--from", str(WORLD), "-n", "nowhere", "gated"),
        ("why", "--from", str(WORLD), "deployment/x"),
        ("why", "--from", str(WORLD), "-n", "../x", "gated"),
        ("smoke", "--dry-run", "--from", str(WORLD), "-n", "-x"),
        ("why", "--from", "nowhere.json", "p"),
        ("why", "--from", str(ROOT), "p"),
        ("why", "--from", str(WORLD), "--context", "x", "p"),
        ("why", "--from", "-", "--from", "-", "p"),
        ("doctor", "--from", str(WORLD), "--node", "nobody"),
        ("doctor", "--from", str(WORLD), "--selector", "a b"),
        ("check", "--from", str(WORLD)),
        ("check", "--from", str(WORLD), "--cuda", "banana"),
    ],
    ids=lambda argv: " ".join(argv).replace(str(ROOT), ""),
)
def test_wrong_usage_is_said_and_nothing_is_printed(argv: tuple[str, ...]) -> None:
    done = run(*argv, stdin="")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Error: " in done.stderr and "Traceback" not in done.stderr


def test_names_of_others_steer_no_terminal_and_are_no_markup() -> None:
    evil = "[bold]x[/bold]\x1b[31m\u202e"
    labels = {"nvidia.com/gpu.product": evil}
    text = text_of(
        node(evil, labels=labels, taints=[{"key": evil, "value": evil, "effect": "NoSchedule"}]),
        pod("p", 1, status=unschedulable(f"0/1 nodes are available: 1 {evil}")),
        pod(evil, 1, namespace=evil),
    )
    for argv in (("why", "p"), ("doctor", "-v"), ("check", "--cuda", "12.4"), ("why", "--json", "p")):
        done = run(*argv, "--from", "-", stdin=text, FORCE_COLOR="1")
        assert "Traceback" not in done.stderr
        assert "\x1b[31m\u202e" not in done.stdout and "\u202e" not in done.stdout
        assert "[bold]x[/bold]" in done.stdout


def test_long_labels_and_odd_numbers_are_no_trouble() -> None:
    labels = {"a": "x" * 10**6, "nvidia.com/gpu.count": "9" * 50, "nvidia.com/gpu.replicas": "-1"}
    odd = {"nvidia.com/gpu": "-8", "cpu": "1e3", "memory": "9E", "pods": "1e9999", "x.io/y": "100000000000000000000"}
    text = text_of(node("a", labels=labels, capacity=odd), pod("p", 1), pod("q", 2, "a"))
    for argv in (("why", "p"), ("doctor", "-v")):
        done = run(*argv, "--from", "-", stdin=text)
        assert done.returncode == 1, done.stderr
        assert len(done.stdout) < 20_000


def test_nothing_is_kept_of_environments_arguments_annotations_and_secrets() -> None:
    one = pod("p", 1, spec={"imagePullSecrets": [{"name": "hunter2"}]}, labels={"app": "x"})
    container = one["spec"]["containers"][0]
    container |= {"env": [{"name": "hunter2", "value": "hunter2"}], "args": ["hunter2"], "command": ["hunter2"]}
    one["metadata"]["annotations"] = {"hunter2": "hunter2"}
    one["spec"]["volumes"] = [{"name": "v", "secret": {"secretName": "hunter2"}}]
    secret = {"kind": "Secret", "metadata": {"name": "hunter2"}, "data": {"hunter2": "hunter2"}}
    mixed = json.dumps({"kind": "List", "items": [node("a"), one, secret]})
    for argv in (("why", "p", "-v"), ("why", "p", "--json"), ("doctor", "-v"), ("doctor", "--json")):
        assert "hunter2" not in run(*argv, "--from", "-", stdin=mixed).stdout
    objects = Objects()
    Reader(objects).read([mixed.encode()])
    assert "hunter2" not in repr(objects.things)


@pytest.mark.parametrize(
    "text",
    [
        '{"kind": "PodList", "items": [' + "{}," * 3_000_000,
        '{"kind": "PodList", "items": [{"metadata": {"name": "' + "x" * 10_000_000,
        '{"kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [' + "[" * 10_000_000,
        "[" * 10_000_000,
        '{"a": ' * 2_000_000,
        "1" * 10_000_000,
    ],
    ids=["empty objects", "a name", "levels in a pod", "levels", "objects", "a number"],
)
def test_ten_megabytes_of_nonsense_are_refused_in_little_time(text: str) -> None:
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run("doctor", "--from", "-", stdin=text)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr and len(done.stderr) < 1000
    assert ended.ru_utime - began.ru_utime < 20

"""How many nodes a pod fits on: gpuctl's count against a scheduler of the tests' own, which goes by the raw objects."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from k8s_objects import Object, claiming, cluster, named, node, pod, unschedulable

from gpuctl.k8s.fit import Fit
from gpuctl.k8s.quantity import thousandths
from gpuctl.k8s.why import why

thorough = settings(max_examples=400, deadline=None)

# A scheduler that tries each rule on each node, with nothing worked out beforehand

SCALE = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 10**3, "M": 10**6, "G": 10**9, "m": Fraction(1, 1000)}


def number(text: str) -> Fraction:
    suffix = next((one for one in SCALE if text.endswith(one)), "")
    return Fraction(text[: len(text) - len(suffix)]) * SCALE.get(suffix, 1)


def requests(one: Object) -> dict[str, Fraction]:
    def asked(container: Object) -> dict[str, Fraction]:
        return {name: number(value) for name, value in container["resources"].get("requests", {}).items()}

    names = {n for key in ("containers", "initContainers") for c in one["spec"].get(key, []) for n in asked(c)}
    total = {}
    for name in names:
        inits = one["spec"].get("initContainers", [])
        steps = []
        for place, container in enumerate(inits):
            before = [c for c in inits[:place] if c.get("restartPolicy") == "Always"]
            steps.append(sum(asked(c).get(name, 0) for c in [*before, container]))
        lasting = [c for c in inits if c.get("restartPolicy") == "Always"] + one["spec"]["containers"]
        steps.append(sum(asked(c).get(name, 0) for c in lasting))
        total[name] = Fraction(max(steps))
    return total


def matches(expression: Object, labels: dict[str, str]) -> bool:
    value = labels.get(expression["key"])
    return {
        "In": value in expression.get("values", []),
        "NotIn": value not in expression.get("values", []),
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }[expression["operator"]]


def tolerated(taint: Object, tolerations: list[Object]) -> bool:
    for one in tolerations:
        effect = one.get("effect") in (None, "", taint["effect"])
        key = one.get("key") in (None, "") or one["key"] == taint["key"]
        value = one.get("operator") == "Exists" or (bool(one.get("key")) and one.get("value", "") == taint["value"])
        if effect and key and value:
            return True
    return False


def fits_by_force(one: Object, on: Object, everything: list[Object]) -> bool:
    spec, labels = one["spec"], on["metadata"]["labels"]
    mine = [
        other
        for other in everything
        if other["kind"] == "Pod" and other["spec"].get("nodeName") == on["metadata"]["name"]
        if other["status"]["phase"] not in ("Succeeded", "Failed")
    ]
    cordon = {"key": "node.kubernetes.io/unschedulable", "value": "", "effect": "NoSchedule"}
    for taint in [*on["spec"]["taints"], *([cordon] if on["spec"]["unschedulable"] else [])]:
        if taint["effect"] != "PreferNoSchedule" and not tolerated(taint, spec.get("tolerations", [])):
            return False
    if any(labels.get(key) != value for key, value in spec.get("nodeSelector", {}).items()):
        return False
    required = spec.get("affinity", {}).get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is not None:
        terms = [term["matchExpressions"] for term in required["nodeSelectorTerms"]]
        if not any(term and all(matches(expression, labels) for expression in term) for term in terms):
            return False
    for name, wanted in {**requests(one), "pods": Fraction(1)}.items():
        there = number(on["status"]["allocatable"].get(name, "0"))
        used = sum((requests(other).get(name, Fraction(0)) for other in mine), Fraction(0))
        used = Fraction(len(mine)) if name == "pods" else used
        if wanted > 0 and wanted > there - used:
            return False
    return apart(one, on, everything)


def apart(one: Object, on: Object, everything: list[Object]) -> bool:
    """No pod in the node's zone that either of both keeps apart from."""

    def terms(of: Object) -> list[Object]:
        affinity = of["spec"].get("affinity", {}).get("podAntiAffinity", {})
        return affinity.get("requiredDuringSchedulingIgnoredDuringExecution", [])  # type: ignore[no-any-return]

    def meant(term: Object, other: Object) -> bool:
        return all(other["metadata"]["labels"].get(k) == v for k, v in term["labelSelector"]["matchLabels"].items())

    zones = {n["metadata"]["name"]: n["metadata"]["labels"].get("zone") for n in everything if n["kind"] == "Node"}
    for other in everything:
        if other["kind"] != "Pod" or other is one or other["status"]["phase"] in ("Succeeded", "Failed"):
            continue
        zone = zones.get(other["spec"].get("nodeName", ""))
        near = zone is not None and zone == on["metadata"]["labels"].get("zone")
        mine, theirs = (meant(term, other) for term in terms(one)), (meant(term, one) for term in terms(other))
        if near and (any(mine) or any(theirs)):
            return False
    return True


# Small clusters

amounts = st.sampled_from(["0", "1", "2", "4", "8"])
cpus = st.sampled_from(["500m", "1", "2k", "0", "1500m", "3"])
taints = st.fixed_dictionaries(
    {
        "key": st.sampled_from(["a", "b"]),
        "value": st.sampled_from(["", "x"]),
        "effect": st.sampled_from(["NoSchedule", "NoExecute", "PreferNoSchedule"]),
    }
)
tolerations = st.fixed_dictionaries(
    {"operator": st.sampled_from(["Exists", "Equal"])},
    optional={
        "key": st.sampled_from(["a", "b"]),
        "value": st.sampled_from(["", "x"]),
        "effect": st.sampled_from(["NoSchedule", "NoExecute"]),
    },
)
labels = st.fixed_dictionaries(
    {}, optional={"zone": st.sampled_from(["u", "v"]), "gpu": st.sampled_from(["h100", "t4"])}
)
expressions = st.builds(
    lambda key, operator, value: {"key": key, "operator": operator, **({"values": value} if "In" in operator else {})},
    st.sampled_from(["zone", "gpu"]),
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
    st.lists(st.sampled_from(["u", "v", "h100", "t4"]), min_size=1, max_size=2),
)
containers = st.builds(
    lambda gpus, cpu, always: {
        "name": "c",
        "resources": {"requests": {**gpus, "cpu": cpu}, "limits": gpus},
        **({"restartPolicy": "Always"} if always else {}),
    },
    st.one_of(st.just({}), st.fixed_dictionaries({"nvidia.com/gpu": amounts})),
    cpus,
    st.booleans(),
)
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


@st.composite
def specs(draw: st.DrawFn) -> Object:
    spec: dict[str, Any] = {"containers": draw(st.lists(containers, min_size=1, max_size=2))}
    spec["initContainers"] = draw(st.lists(containers, max_size=2))
    spec["tolerations"] = draw(st.lists(tolerations, max_size=2))
    spec["nodeSelector"] = draw(st.one_of(st.just({}), labels))
    affinity: dict[str, Any] = {}
    if draw(st.booleans()):
        alternatives = draw(st.lists(st.lists(expressions, max_size=2), max_size=2))
        affinity["nodeAffinity"] = {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": a} for a in alternatives]}}
    if draw(st.integers(0, 3)) == 0:
        term = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": draw(st.sampled_from(["m", "n"]))}}}
        affinity["podAntiAffinity"] = {REQUIRED: [term]}
    return {**spec, "affinity": affinity}


@st.composite
def worlds(draw: st.DrawFn) -> list[Object]:
    names = [f"n{number}" for number in range(draw(st.integers(1, 4)))]
    there = [
        node(
            name,
            labels=draw(labels),
            taints=draw(st.lists(taints, max_size=1)),
            cordoned=draw(st.integers(0, 4)) == 0,
            allocatable={"nvidia.com/gpu": draw(amounts), "cpu": draw(st.sampled_from(["4", "16"])), "pods": "3"},
        )
        for name in names
    ]
    others = [
        pod(
            f"o{number}",
            on=draw(st.sampled_from([*names, ""])),
            labels={"app": draw(st.sampled_from(["m", "n"]))},
            phase=draw(st.sampled_from(["Pending", "Running", "Succeeded", "Failed"])),
            spec=draw(specs()),
        )
        for number in range(draw(st.integers(0, 4)))
    ]
    return [*there, *others, pod("p", labels={"app": draw(st.sampled_from(["m", "n"]))}, spec=draw(specs()))]


@pytest.mark.slow
@thorough
@given(worlds())
def test_why_finds_the_nodes_that_a_scheduler_finds_by_trying(world: list[Object]) -> None:
    mine = world[-1]
    by_force = {one["metadata"]["name"] for one in world if one["kind"] == "Node" and fits_by_force(mine, one, world)}
    answer = why(cluster(*world), "p", None)
    assert {one.node.name for one in answer.nodes if one.fit is Fit.NOW} == by_force
    assert (answer.cause == "not-tried-yet") is bool(by_force)


# Quantities


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1000),
        ("1k", 1_000_000),
        ("500m", 500),
        ("1e3", 1_000_000),
        ("1E", 10**21),
        ("2Ki", 2_048_000),
        ("0.5Gi", 2**29 * 1000),
        (".5", 500),
        ("5.", 5000),
        ("-8", -8000),
        ("+1", 1000),
        ("1n", 1),
        ("1e-9", 1),
        ("12e6", 12 * 10**9),
        ("9" * 40, ((1 << 63) - 1) * 1000),
        ("1e9999", ((1 << 63) - 1) * 1000),
    ],
)
def test_a_quantity_is_what_kubernetes_takes_it_for(text: str, value: int) -> None:
    assert thousandths(text) == value


@pytest.mark.parametrize("text", ["", " ", "1 ", "one", "1Kib", "1e", "--1", "1.2.3", "0x10", ".", "1ki", "٣"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        thousandths(text)


# What others hold, and what other pods forbid


def test_a_pod_that_must_be_near_another_waits_until_that_is_there() -> None:
    term = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "db"}}}
    near = {"affinity": {"podAffinity": {REQUIRED: [term]}}}
    zoned = [node("a", labels={"zone": "u"}), node("b", labels={"zone": "v"})]

    def fit(*others: Object, **changed: Any) -> list[str]:
        nodes = why(cluster(*zoned, *others, pod("p", 1, spec=near, **changed)), "p", None).nodes
        return [one.node.name for one in nodes if one.fit is Fit.NOW]

    assert fit() == []
    assert fit(pod("db", on="b", labels={"app": "db"})) == ["b"]
    assert fit(labels={"app": "db"}) == ["a", "b"]  # it is the first of those that it wants to be near


def test_pods_that_are_spread_leave_the_fuller_zone_alone() -> None:
    rule = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "x"}},
    }
    zoned = [node("a", labels={"zone": "u"}), node("b", labels={"zone": "v"}), node("c")]
    placed = pod("q", on="a", labels={"app": "x"})
    one = pod("p", 1, labels={"app": "x"}, spec={"topologySpreadConstraints": [rule]})
    nodes = {fit.node.name: fit.fit for fit in why(cluster(*zoned, placed, one), "p", None).nodes}
    assert nodes["b"] is Fit.NOW
    assert nodes["a"] is Fit.WHEN_OTHERS_END


def test_a_port_of_the_host_that_is_taken_is_an_obstacle() -> None:
    def served(name: str, on: str = "") -> Object:
        one = pod(name, on=on)
        one["spec"]["containers"][0]["ports"] = [{"hostPort": 8080, "containerPort": 80}]
        return one

    nodes = why(cluster(node("a"), node("b"), served("q", "a"), served("p")), "p", None).nodes
    assert [one.fit for one in nodes] == [Fit.WHEN_OTHERS_END, Fit.NOW]


def test_a_mig_pod_is_told_of_the_parts_that_there_are() -> None:
    parts = node("a", gpus=None, capacity={"nvidia.com/mig-1g.10gb": "7"})
    answer = why(cluster(parts, pod("p", 1)), "p", None)
    assert answer.cause == "no-such-resource"
    assert answer.ways[0].text.startswith("Ask for nvidia.com/mig-1g.10gb instead of nvidia.com/gpu")


FLAT = {"name": "g", "deviceClassName": "gpu.nvidia.com", "allocationMode": "ExactCount", "count": 2}
SLICE = {"driver": "gpu.nvidia.com", "nodeName": "a", "pool": {"name": "a"}}
DEVICES = [{"name": "gpu-0", "basic": {}}, {"name": "gpu-1"}]


@pytest.mark.parametrize(
    "request_",
    [FLAT, {"name": "g", "exactly": FLAT}],
    ids=["v1beta1", "v1beta2 and v1"],
)
def test_claims_of_every_shape_are_counted_against_the_devices_there_are(request_: Object) -> None:
    wanted = named("ResourceClaim", "c", spec={"devices": {"requests": [request_]}})
    offered = named("ResourceSlice", "s", spec={**SLICE, "devices": DEVICES})
    held = named(
        "ResourceClaim",
        "other",
        status={"allocation": {"devices": {"results": [{"driver": "gpu.nvidia.com", "pool": "a", "device": "gpu-0"}]}}},
    )

    def fit(*others: Object, without: tuple[str, ...] = ()) -> Fit:
        found = cluster(node("a", None), wanted, *others, claiming("p", "c"), without=without)
        (one,) = why(found, "p", None).nodes
        return one.fit

    assert fit() is Fit.NEVER
    assert fit(offered) is Fit.UNKNOWN  # whether they are what the claim selects, nobody but the scheduler can tell
    assert fit(offered, held) is Fit.WHEN_OTHERS_END
    assert fit(without=("ResourceSlice",)) is Fit.UNKNOWN
    shared = named("ResourceSlice", "s", spec={**SLICE, "nodeName": "", "allNodes": True, "devices": DEVICES})
    assert fit(shared) is Fit.UNKNOWN


def test_a_pod_that_a_class_serves_by_claim_takes_nothing_of_the_nodes_own_count() -> None:
    served = {"extendedResourceClaimStatus": {"requestMappings": [{"resourceName": "nvidia.com/gpu"}]}}
    found = cluster(node("a", 2), pod("q", 2, "a", status=served), pod("p", 2))
    assert [one.fit for one in why(found, "p", None).nodes] == [Fit.NOW]


def test_ill_gpus_are_one_change_away_and_no_gpus_are_not() -> None:
    ill = node("a", allocatable={"nvidia.com/gpu": "0"})
    nodes = why(cluster(ill, node("b", 0), pod("p", 8)), "p", None).nodes
    assert [one.fit for one in nodes] == [Fit.AFTER_CHANGE, Fit.NEVER]


def test_cpu_and_memory_are_told_where_gpus_lie_idle_for_want_of_them() -> None:
    nodes = [node("g1"), node("g2"), node("c1", gpus=None, capacity={"cpu": "256"})]
    words = "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 Insufficient cpu, 1 Insufficient memory."
    asks = {"cpu": "8", "memory": "16Gi"}
    others = [
        pod("x", on="g1", requests={"cpu": "60"}),
        pod("y", on="g2", requests={"cpu": "60", "memory": "500Gi"}),
    ]
    answer = why(cluster(*nodes, *others, pod("p", 1, requests=asks, status=unschedulable(words))), "p", None)
    assert [one.fit for one in answer.nodes] == [Fit.WHEN_OTHERS_END, Fit.WHEN_OTHERS_END, Fit.NEVER]
    assert answer.sentence == (
        "Pod p waits for others to end: they hold the cpu or memory that it needs on 2 nodes, where enough"
        " nvidia.com/gpu is free."
    )
    assert {(one.pod, one.resource) for one in answer.held} >= {("default/x", "cpu"), ("default/y", "memory")}
    assert [one.text for one in answer.ways] == [
        "Ask for 4 instead of 8 cpu, if that is enough: so many are free now.",
    ]
    assert answer.differences == ()
    words = "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 Insufficient cpu."
    answer = why(cluster(*nodes, pod("p", 1, requests={"cpu": "100"}, status=unschedulable(words))), "p", None)
    assert [one.fit for one in answer.nodes] == [Fit.AFTER_CHANGE, Fit.AFTER_CHANGE, Fit.NEVER]
    assert answer.sentence.endswith("and the most that one with nvidia.com/gpu has is 64, on g1.")
    assert answer.differences == ()

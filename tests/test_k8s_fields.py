"""What is kept of a cluster's objects: whichever way they are read, and however little of them, they mean the same."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from k8s_objects import Object, claiming, node, pod, text_of, unschedulable
from test_k8s import WORLD
from test_k8s_checks import HEALTHY, ILL
from test_k8s_operator import driver, policy

from gpuctl.k8s.cluster import KINDS
from gpuctl.k8s.decode.things import thing
from gpuctl.k8s.doctor import examine
from gpuctl.k8s.fields import FIELDS, kept
from gpuctl.k8s.keeping import Objects
from gpuctl.k8s.pages import take_page
from gpuctl.k8s.plain import plain_requests
from gpuctl.k8s.reading import Reader, read_cluster
from gpuctl.k8s.why import why

RICH = pod(
    "rich",
    2,
    "a",
    spec={
        "initContainers": [
            {"name": "i", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}, "claims": [{"name": "g"}]}}
        ],
        "resourceClaims": [{"name": "g", "source": {"resourceClaimTemplateName": "t"}}],
        "schedulingGates": [{"name": "x/y"}],
        "overhead": {"cpu": "250m"},
        "priority": 7,
        "preemptionPolicy": "Never",
        "schedulerName": "kai",
        "runtimeClassName": "nvidia",
        "nodeSelector": {"a": "b"},
        "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoSchedule"}],
        "topologySpreadConstraints": [
            {
                "whenUnsatisfiable": "DoNotSchedule",
                "topologyKey": "zone",
                "maxSkew": 2,
                "minDomains": 3,
                "labelSelector": {"matchLabels": {"app": "x"}},
            }
        ],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [{"key": "k", "operator": "In", "values": ["a", "b"]}],
                            "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}],
                        }
                    ]
                }
            },
            **{
                name: {
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        {
                            "topologyKey": "zone",
                            "namespaces": ["n"],
                            "labelSelector": {"matchExpressions": [{"key": "k", "operator": "Exists"}]},
                        },
                        {"topologyKey": "host", "namespaceSelector": {}},
                        {"topologyKey": "rack", "namespaceSelector": {"matchLabels": {"a": "b"}}},
                    ]
                }
                for name in ("podAffinity", "podAntiAffinity")
            },
        },
        "volumes": [
            {"name": "d", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "e", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
        ],
        "containers": [
            {
                "name": "c",
                "ports": [{"hostPort": 80, "protocol": "UDP", "hostIP": "10.0.0.1"}],
                "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"cpu": 1.5}},
            }
        ],
    },
    status={
        **unschedulable("0/1 nodes are available"),
        "nominatedNodeName": "n",
        "reason": "r",
        "message": "m",
        "startTime": "2026-11-29T15:00:00Z",
        "resourceClaimStatuses": [{"name": "g", "resourceClaimName": "made"}],
        "extendedResourceClaimStatus": {"requestMappings": [{"resourceName": "nvidia.com/gpu"}]},
        "initContainerStatuses": [{"name": "i", "state": {"running": {"startedAt": "2026-11-29T15:00:00Z"}}}],
        "containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "PodInitializing"}}}],
    },
)
"""A pod with all that is read of one."""


def every_object() -> Iterator[tuple[str, Object]]:
    decoder, text, at = json.JSONDecoder(), WORLD.read_text(), 0
    while at < len(text.rstrip()):
        found, at = decoder.raw_decode(text, at)
        at += len(text[at:]) - len(text[at:].lstrip())
        yield from ((found["kind"].removesuffix("List"), one) for one in found["items"])
    of_operator = policy("notReady", "ReconcileFailed", "why"), driver("disabled", "Reconciled", "why")
    for one in (*HEALTHY, *(one for added in ILL.values() for one in added), RICH, claiming("q", "c"), *of_operator):
        yield one["kind"], one


EVERY = list(every_object())


def test_no_field_is_read_that_is_not_kept() -> None:
    for kind, found in EVERY:
        assert thing(kind, kept(found, FIELDS[kind])) == thing(kind, found)
    assert set(FIELDS) == set(KINDS)
    assert {kind for kind, _ in EVERY} >= set(KINDS) - {"Job", "PersistentVolumeClaim", "ResourceQuota"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_read_alike_with_msgspec_and_without(kind: str) -> None:
    named = {
        (found["metadata"].get("namespace"), found["metadata"]["name"]): found for of, found in EVERY if of == kind
    }
    items = list(named.values())  # of two of one name, files have one
    page = json.dumps({"kind": f"{kind}List", "metadata": {"continue": "t"}, "items": items}).encode()
    fast, slow = Objects(), Objects()
    assert take_page(page, kind, fast) == "t"
    Reader(slow).read([page])
    assert fast.things == slow.things and len(fast.things) == len(items)


def test_a_list_of_none_may_be_null() -> None:
    page = b'{"kind": "PodList", "metadata": {}, "items": null}'
    assert take_page(page, "Pod", Objects()) == ""
    assert not read_cluster([[page]]).lacks("Pod")


# Pods that are folded

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
APART = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "m"}}}
CPUS = st.sampled_from(["1", "500m", 2, None])
PODS = st.builds(
    lambda name, gpus, on, cpu, changed: pod(
        f"p{name}", gpus, on, requests={} if cpu is None else {"cpu": cpu}, **changed
    ),
    st.integers(0, 999),
    st.sampled_from([0, 0, 0, 1]),
    st.sampled_from(["", "a", "b"]),
    CPUS,
    st.sampled_from(
        [
            {},
            {},
            {"phase": "Failed"},
            {"phase": "Pending"},
            {"spec": {"runtimeClassName": "nvidia"}},
            {"labels": {"app": "nvidia-device-plugin-daemonset"}},
            {"labels": {"app": "m"}, "owner": "ReplicaSet/m"},
            {"spec": {"affinity": {"podAntiAffinity": {REQUIRED: [APART]}}}},
            {"spec": {"containers": [{"name": "c", "resources": {}, "ports": [{"hostPort": 80}]}]}},
            {"status": {"containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}},
        ]
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(PODS, max_size=12, unique_by=lambda one: one["metadata"]["name"]))
def test_a_doctor_tells_the_same_where_plain_pods_are_folded(pods: list[Object]) -> None:
    text = text_of(node("a"), node("b", gpus=None), *pods).encode()
    whole, folded = (read_cluster([[text]], fold) for fold in (False, True))
    assert examine(folded) == examine(whole)
    for name in ("a", "b"):
        assert examine(folded, name) == examine(whole, name)
    assert len(folded.pods) == sum(plain_requests(one) is None for one in pods)


def looked_at(one: Object) -> Object:
    """The same pod, of which there is something to tell."""
    was = {"name": "c", "lastState": {"terminated": {"reason": "Completed"}}}
    return {**one, "status": {"containerStatuses": [was], **one["status"]}}


@settings(max_examples=60, deadline=None)
@given(st.lists(PODS, max_size=12, unique_by=lambda one: one["metadata"]["name"]))
def test_why_tells_the_same_where_of_plain_pods_only_what_others_meet_is_kept(pods: list[Object]) -> None:
    container = {"name": "c", "resources": {"requests": {"cpu": "61"}}, "ports": [{"hostPort": 80}]}
    spec = {"containers": [container], "affinity": {"podAntiAffinity": {REQUIRED: [APART]}}}
    asked = pod("asked", labels={"app": "m"}, spec=spec)
    little, whole = (
        read_cluster([[text_of(node("a"), node("b"), *map(way, pods), asked).encode()]]) for way in (dict, looked_at)
    )
    for named in ("asked", *(one["metadata"]["name"] for one in pods)):
        assert why(little, named, None) == why(whole, named, None)


@pytest.mark.parametrize("broken", [{}, {"spec": 7}, {"metadata": None}, {"status": []}, {"spec": {"containers": [7]}}])
def test_what_is_no_pod_is_not_folded(broken: Object) -> None:
    assert plain_requests({**pod("p", on="a"), **broken} if broken else {}) is None


def test_of_an_environment_only_what_tells_of_gpus_is_kept() -> None:
    secret = {"name": "AWS_SECRET_ACCESS_KEY", "value": "s3cr3t"}
    env = [secret, {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}, 7]
    one = pod("p", on="a", spec={"containers": [{"name": "c", "env": env}]})
    assert kept(one, FIELDS["Pod"])["spec"]["containers"] == [{"name": "c", "env": [env[1]]}]


def test_the_last_words_of_a_program_are_kept_where_they_are_of_gpus() -> None:
    words = [f"{why}: token=s3cr3t" for why in ("nvidia-container-cli: initialization error", "cannot log in")]
    states = [
        {"name": name, "lastState": {"terminated": {"message": one}}} for name, one in zip("ab", words, strict=True)
    ]
    told = kept(pod("p", on="a", status={"containerStatuses": states}), FIELDS["Pod"])["status"]["containerStatuses"]
    assert [one["lastState"]["terminated"] for one in told] == [{"message": words[0]}, {}]


def test_a_pod_that_sees_gpus_unasked_is_not_folded() -> None:
    env = [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]
    assert plain_requests(pod("p", on="a", spec={"containers": [{"name": "c", "env": env}]})) is None

"""`gpuctl migrate k8s`: manifests of every kind that people have."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from gpuctl.engines.yaml.places import NotAccepted
from gpuctl.migrate.draft import source
from gpuctl.migrate.k8s.migrate import migrated
from gpuctl.migrate.k8s.pods import check_manifest
from gpuctl.migrate.migration import Migration

FILE = Path(__file__).parent / "data" / "legacy_k8s.yml"
CASES: list[dict[str, Any]] = YAML(typ="safe").load(FILE.read_text())


def text_of(case: dict[str, Any]) -> str:
    if "text" in case:
        return str(case["text"])
    head = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\nspec:\n"
    return head + textwrap.indent(case["pod"], "  ")


def rewritten(text: str, runtime_class: str | None = None) -> Migration:
    return migrated(source("x.yaml", text.encode()), runtime_class)


def containers(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from each if key in ("containers", "initContainers") else containers(each)
    elif isinstance(value, list):
        for each in value:
            yield from containers(each)


def gpus(text: str) -> dict[str, Any]:
    """The limits by what a reader of another make sees. A request beside one has to be the same."""
    found = {}
    for one in (one for root in YAML(typ="safe", pure=True).load_all(io.StringIO(text)) for one in containers(root)):
        resources = one.get("resources", {})
        limit, request = (resources.get(key, {}).get("nvidia.com/gpu") for key in ("limits", "requests"))
        assert request is None or str(request) == str(limit)
        if limit is not None:
            found[one["name"]] = limit
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["kind"])
def test_a_container_asks_for_whole_gpus_by_their_limit(case: dict[str, Any]) -> None:
    done = rewritten(text_of(case))
    assert gpus(done.after) == case.get("gpus", {})
    assert len(done.left) == case.get("left", 0), done.left
    assert [words for words in case.get("gone", []) if words in done.after] == []
    assert [words for words in case.get("stays", []) if words not in done.after] == []
    assert rewritten(done.after).after == done.after


def test_a_runtime_class_is_given_to_pods_that_ask_and_have_none() -> None:
    ask = "containers: [{name: a, image: x, resources: {limits: {nvidia.com/gpu: 1}}}]"
    pods = [f"apiVersion: v1\nkind: Pod\nspec:\n  {ask}\n", f"kind: Pod\nspec: {{runtimeClassName: other, {ask}}}\n"]
    none = "kind: Pod\nspec: {containers: [{name: a, image: x}]}\n"
    done = rewritten("---\n".join([*pods, none]), "nvidia")
    assert done.after.count("runtimeClassName: nvidia") == 1
    assert done.after.startswith(pods[0] + "  runtimeClassName: nvidia\n---\n")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("kind: Pod\nspec:\n  replicas: {{ .Values.replicas }}\n", 3, "Helm"),
        ('kind: Pod\nmetadata:\n  name: {{ include "x.name" . }}\n', 3, "Helm"),
        ("kind: Pod\n{{- if .Values.gpu }}\nspec: {}\n{{- end }}\n", 2, "Helm"),
        ("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yaml]\n", 1, "Kustomization"),
        ("patchesStrategicMerge: [a.yaml]\n", 1, "Kustomization"),
        ("services: {a: {image: x}}\n", 1, "migrate compose"),
        ("a: b\n", 1, "no Kubernetes manifest"),
        ("", 1, "no Kubernetes manifest"),
        ("apiVersion: v1\nkind: Pod\nspec: 5\n", 3, "spec is a scalar, and has to be a mapping"),
        ("kind: Job\nspec:\n  template:\n    spec:\n      containers: {a: b}\n", 5, "containers is a mapping"),
        ("kind: Pod\nspec: {}\nspec: {}\n", 3, "'spec' stands here a second time"),
    ],
)
def test_what_is_no_manifest_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(NotAccepted, match=words) as refused:
        check_manifest(text)
        rewritten(text)
    assert refused.value.line == line


def test_a_template_in_a_value_of_others_is_no_helm() -> None:
    text = "kind: ConfigMap\ndata:\n  alert: '{{ $labels.instance }} is down'\n"
    check_manifest(text)
    assert rewritten(text).after == text

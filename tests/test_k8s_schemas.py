"""Kubernetes' own schemas, of every version that there are any of, on what was recorded and on what gpuctl writes."""

from __future__ import annotations

import io
import subprocess
import sys
from functools import lru_cache
from typing import Any

import kubernetes_validate
import pytest
from k8s_objects import accepted
from k8s_server import PLACES, lists_in
from kubernetes_validate import utils
from ruamel.yaml import YAML
from test_k8s import ROOT, WORLD
from test_migrate_k8s import CASES, rewritten, text_of

VERSIONS = list(dict.fromkeys(map(utils.major_minor, utils.all_versions())))
FIRST = {"DeviceClassList": 34, "ResourceSliceList": 34, "ResourceClaimList": 34}
"""Minor versions from which there is resource.k8s.io/v1."""


@pytest.fixture(scope="module", autouse=True)
def schemas_read_once() -> Any:
    """The validator reads its megabytes anew for each object."""
    original = utils.schema_contents
    utils.schema_contents = lru_cache(maxsize=8)(original)
    yield
    utils.schema_contents = original


def documents(text: str) -> list[Any]:
    return [one for one in YAML(typ="safe", pure=True).load_all(io.StringIO(text)) if isinstance(one, dict)]


def test_no_version_from_125_on_is_left_out() -> None:
    assert [f"1.{minor}" for minor in range(25, 38)] == VERSIONS[:13]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_recorded_world_and_the_role_are_accepted(version: str) -> None:
    for kind, items in lists_in(WORLD.read_text()).items():
        group, api, _ = PLACES[kind]
        if group == "nvidia.com":
            continue  # the operator's own kinds, of which Kubernetes has no schema
        found = {"kind": f"{kind}List", "apiVersion": f"{group}/{api}".lstrip("/"), "metadata": {}, "items": items}
        if int(version.partition(".")[2]) >= FIRST.get(f"{kind}List", 0) and fits(kind, version):
            assert accepted(found, version), kind
    done = subprocess.run([sys.executable, "-m", "gpuctl", "k8s", "rbac"], capture_output=True, cwd=ROOT, check=True)
    assert [accepted(one, version) for one in documents(done.stdout.decode())] == [True, True]


def fits(kind: str, version: str) -> bool:
    """Whether all fields of the recorded objects, which are of 1.36, are there in a version."""
    return kind not in ("Pod", "Node") or int(version.partition(".")[2]) >= 36


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["kind"])
def test_what_a_version_accepted_it_accepts_migrated(case: dict[str, Any]) -> None:
    before, after = documents(text_of(case)), documents(rewritten(text_of(case)).after)
    assert len(before) == len(after)
    for version in (VERSIONS[0], VERSIONS[-1]):
        for old, new in zip(before, after, strict=True):
            try:
                was = accepted(old, version)
            except (kubernetes_validate.SchemaNotFoundError, KeyError):  # a kind of others', or one that is gone
                continue
            assert accepted(new, version) or not was

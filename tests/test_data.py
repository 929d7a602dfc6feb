"""Every row of every table: its schema, its source, no duplicates, order, and that what it refers to is there."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from gpuctl.compat import tables
from gpuctl.compat.claims import image_requirements
from gpuctl.compat.framework_table import framework_releases
from gpuctl.compat.images import cuda_images, cuda_of_tag
from gpuctl.compat.releases import docker_features, toolkit_cves, toolkit_releases
from gpuctl.compat.rulings import resolve_cuda
from gpuctl.compat.versions import docker_version, parse_cuda, parts

DATA = Path(__file__).parents[1] / "data"
TABLES = sorted(path.stem for path in DATA.glob("*.jsonl"))

# What makes a row of its table unlike every other.
KEYS = {
    "architectures": ("compute_capability",),
    "cuda_rows": ("cuda", "driver", "gpus"),
    "daemon_keys": ("key",),
    "docker_features": ("feature",),
    "driver_branches": ("branch",),
    "forward_compat": ("package", "base"),
    "frameworks": ("framework", "version"),
    "gpus": ("product",),
    "image_requirements": ("cuda", "architectures", "os"),
    "images": ("cuda", "os"),
    "install_commands": ("what", "manager", "distributions"),
    "minor_versions": ("major",),
    "pci_ids": ("device",),
    "toolkit_cves": ("id",),
    "toolkit_releases": ("version",),
    "toolkits": ("release",),
}


@pytest.mark.parametrize("table", TABLES)
def test_every_row_is_valid_unique_and_names_its_source(table: str) -> None:
    schema = json.loads((DATA / "schemas" / "tables" / f"{table}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    seen = set()
    for number, line in enumerate((DATA / f"{table}.jsonl").read_text().splitlines(), 1):
        row = json.loads(line)
        problems = [error.message for error in validator.iter_errors(row)]
        assert not problems, f"{table} line {number}: {problems}"
        assert row["source"].strip(), f"{table} line {number}"
        key = json.dumps([row[field] for field in KEYS[table]])
        assert key not in seen, f"{table} line {number}: {key} is there twice"
        seen.add(key)


def test_all_tables_stay_small() -> None:
    assert sum(path.stat().st_size for path in DATA.glob("*.jsonl")) < 1_500_000


def test_the_counts_of_the_reference_are_all_there() -> None:
    assert len(tables.cuda_rows()) == 114
    assert len([row for row in tables.cuda_rows() if row.kind == "seed"]) == 13
    assert len(tables.toolkits()) == 78
    assert len(tables.architectures()) == 28
    assert len(tables.branches()) == 42
    assert len(tables.products()) == 335
    assert len(tables.pci_devices()) > 900
    assert {row.architecture for row in tables.pci_devices()} == {row.architecture for row in known_architectures()}


def known_architectures() -> list[tables.Architecture]:
    return list(tables.architectures().values())


def test_versions_and_branches_ascend() -> None:
    sequences: list[list[tuple[int, ...]]] = [
        [parse_cuda(cuda) for cuda in tables.cuda_versions()],
        [parse_cuda(toolkit.release) for toolkit in tables.toolkits()],
        [parts(capability) for capability in tables.architectures()],
        [parts(branch.branch) for branch in tables.branches()],
        [(int(device.device, 16),) for device in tables.pci_devices()],
        [docker_version(release.version) for release in toolkit_releases()],
        [docker_version(feature.since) for feature in docker_features().values()],
    ]
    for sequence in sequences:
        assert sequence == sorted(set(sequence))


def test_a_newer_cuda_never_asks_for_an_older_driver() -> None:
    releases = [parts(toolkit.min_driver) for toolkit in tables.toolkits() if toolkit.min_driver]
    assert releases == sorted(releases)
    general = [row.driver.open_minimum() for row in tables.cuda_rows() if row.decides and row.for_any_gpu]
    assert [parts(minimum or "") for minimum in general] == sorted(parts(minimum or "") for minimum in general)


def test_every_cuda_version_has_one_row_for_any_gpu_and_the_minimum_of_its_first_release() -> None:
    for cuda in tables.cuda_versions():
        general = [row for row in tables.rows_of(cuda) if row.decides and row.for_any_gpu]
        assert len(general) == 1, cuda
        first = next(toolkit for toolkit in tables.toolkits() if toolkit.cuda == cuda and toolkit.update != "RC")
        if first.min_driver:
            assert general[0].driver.open_minimum() == first.min_driver, cuda


def test_every_toolkit_minimum_lies_in_the_branch_that_reports_its_cuda() -> None:
    reported = {branch.branch: branch.max_cuda for branch in tables.branches()}
    for toolkit in tables.toolkits():
        if toolkit.branch:
            assert reported[toolkit.branch] == toolkit.cuda, toolkit
            assert not toolkit.min_driver or toolkit.min_driver.startswith(toolkit.branch + "."), toolkit


def test_every_compute_capability_and_branch_that_a_row_names_exists() -> None:
    capabilities = set(tables.architectures())
    branches = {branch.branch for branch in tables.branches()}
    for row in tables.cuda_rows():
        named = {row.compute_capability, row.except_compute_capability, row.min_compute_capability} - {None}
        assert named <= capabilities, row
    for product in tables.products():
        assert {capability for capability, _ in product.variants} <= capabilities, product
    for device in tables.pci_devices():
        assert device.compute_capability is None or device.compute_capability in capabilities, device
    for known in known_architectures():
        assert {known.same_chip_as} - {None} <= capabilities, known
        assert {known.first_driver_branch, known.last_driver_branch, known.dropped_by_branch} - {None} <= branches, (
            known
        )
    assert {cell.base for cell in tables.forward_cells()} <= branches
    assert {cell.cuda for cell in tables.forward_cells()} <= set(tables.cuda_versions())


def test_an_architecture_ends_right_after_its_last_toolkit_and_branch() -> None:
    cudas = list(tables.cuda_versions())
    order = [branch.branch for branch in tables.branches()]
    for row in known_architectures():
        if row.first_toolkit_without:
            assert row.last_toolkit == cudas[cudas.index(row.first_toolkit_without) - 1], row
        if row.dropped_by_branch:
            assert row.last_driver_branch in order[: order.index(row.dropped_by_branch)], row
            branch = next(branch for branch in tables.branches() if branch.branch == row.dropped_by_branch)
            assert row.architecture in branch.drops, row


def test_the_chip_gives_a_product_its_compute_capability() -> None:
    by_chip = {chip: row.compute_capability for row in known_architectures() for chip in row.chips}
    for product in tables.products():
        for capability, chips in product.variants:
            for chip in chips:
                longest = max((known for known in by_chip if chip.startswith(known)), key=len)
                assert by_chip[longest] == capability, (product.product, chip)


def test_one_device_is_found_without_reading_all() -> None:
    assert [tables.pci_device(row.device) for row in tables.pci_devices()[::50]] == list(tables.pci_devices()[::50])


def test_the_pci_table_holds_gpus_only() -> None:
    others = ("Audio", "USB", "NVSwitch", "Controller", "bridge", " host")
    assert not [device for device in tables.pci_devices() if any(word in device.product for word in others)]
    assert tables.pci_device("22a3") is None  # H100 NVSwitch
    assert tables.pci_device("10ef") is None  # GP102's audio function


@pytest.mark.parametrize(
    ("device", "product", "architecture"),
    [
        ("06c0", "GeForce GTX 480", "Fermi"),
        ("102d", "Tesla K80", "Kepler"),
        ("1db5", "Tesla V100 SXM2 32GB", "Volta"),
        ("1eb8", "TU104GL [Tesla T4]", "Turing"),
        ("20b0", "A100 SXM4 40GB", "Ampere"),
        ("2684", "GeForce RTX 4090", "Ada Lovelace"),
        ("2330", "H100 SXM5 80GB", "Hopper"),
        ("2b85", "GeForce RTX 5090", "Blackwell"),
        ("3182", "B300 SXM6 AC", "Blackwell Ultra"),
        ("3002", "GR100", "Rubin"),
    ],
)
def test_a_device_id_names_product_and_architecture(device: str, product: str, architecture: str) -> None:
    row = tables.pci_device(device)
    assert row is not None
    assert row.product in product
    assert row.architecture == architecture


def test_every_image_tag_is_of_a_cuda_version_and_reads_back() -> None:
    for images in cuda_images():
        for flavour in images.flavours:
            assert cuda_of_tag(images.reference(flavour)) == images.cuda
        assert ".".join(images.cuda.split(".")[:2]) in tables.cuda_versions()


def test_no_image_has_two_requirements() -> None:
    rows = image_requirements()
    images = [(row.cuda, os, architecture) for row in rows for os in row.os for architecture in row.architectures]
    assert len(images) == len(set(images))


def test_the_newest_toolkit_release_has_no_known_hole() -> None:
    newest = docker_version(toolkit_releases()[-1].version)
    assert all(docker_version(cve.fixed) <= newest for cve in toolkit_cves())


def test_a_framework_names_cuda_versions_and_compute_capabilities_that_exist() -> None:
    for row in framework_releases():
        assert all(resolve_cuda(cuda).unknown is None for cuda in row.cudas), row
        assert {capability for _, capability in row.builds} - {None} <= set(tables.architectures()), row
        assert {row.default, *row.experimental} - {None} <= set(row.cudas), row


def test_the_releases_and_builds_of_a_framework_ascend() -> None:
    for framework in {row.framework for row in framework_releases()}:
        releases = [row for row in framework_releases() if row.framework == framework]
        versions = [parts(row.version.removeprefix("cu")) for row in releases]
        assert versions == sorted(set(versions)), framework
        for row in releases:
            builds = [parse_cuda(cuda) for cuda in row.cudas]
            assert builds == sorted(set(builds)), row


def test_the_frameworks_of_the_reference_are_all_there() -> None:
    assert Counter(row.framework for row in framework_releases()) == {
        "pytorch": 50,
        "tensorflow": 39,
        "tensorflow-gpu": 28,
        "jax": 51,
        "jaxlib": 7,
        "onnxruntime-gpu": 25,
        "ngc": 51,
        "ngc-trtllm": 28,
        "ufoym/deepo": 5,
    }

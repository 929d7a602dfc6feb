"""The compatibility rules: the source document's rows literally, the traps, and what must hold for every version."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from newer import NEWEST_CUDA, NEXT_CUDA

from gpuctl.compat.answer.answer import Compatibility, check_cuda, driver_verdict
from gpuctl.compat.answer.driver_choice import choice_remedy, choose_driver, recommended_branch
from gpuctl.compat.answer.fleet_rows import host_verdicts
from gpuctl.compat.answer.matrix import host_column, matrix
from gpuctl.compat.ask.question import Question
from gpuctl.compat.ask.smi import machine_of_smi
from gpuctl.compat.judge.by_gpu import serving_modules
from gpuctl.compat.judge.named import gpus_beside
from gpuctl.compat.judge.rulings import resolve_cuda
from gpuctl.compat.knowledge.branch_ends import releases_meant
from gpuctl.compat.knowledge.gpus.gpus import Gpu, find_gpu, gpu_of_device, gpu_of_nvml
from gpuctl.compat.knowledge.gpus.product_index import products_named
from gpuctl.compat.knowledge.images import cuda_of_tag, newest_base_images
from gpuctl.compat.knowledge.releases import docker_features, toolkit_cves
from gpuctl.compat.tables.loader import (
    Branch,
    architectures,
    branches,
    cuda_rows,
    cuda_versions,
    driver_branch,
    products,
    toolkits,
)
from gpuctl.compat.versions import compare, docker_version, leading, parse_cuda, parse_driver, parse_range, parts
from gpuctl.model import Disturbs, Verdict

# A loaded machine may be slow; that is no failure.
thorough = settings(max_examples=300, deadline=None)

COMPATIBLE, LIMITED = Verdict.COMPATIBLE, Verdict.LIMITED
PACKAGE, INCOMPATIBLE, UNKNOWN = Verdict.NEEDS_PACKAGE, Verdict.INCOMPATIBLE, Verdict.UNKNOWN

# CUDA toolkit version, driver version, GPU architecture: the table of the source document, character for character.
SEED = """
6.5	>= 340.29	>= 2.0 (Fermi)
7.0	>= 346.46	>= 2.0 (Fermi)
7.5	>= 352.39	>= 2.0 (Fermi)
8.0	== 361.93 or >= 375.51	== 6.0 (P100)
8.0	>= 367.48	>= 2.0 (Fermi)
9.0	>= 384.81	>= 3.0 (Kepler)
9.1	>= 387.26	>= 3.0 (Kepler)
9.2	>= 396.26	>= 3.0 (Kepler)
10.0	>= 384.111, < 385.00	Tesla GPUs
10.0	>= 410.48	>= 3.0 (Kepler)
10.1	>= 384.111, < 385.00	Tesla GPUs
10.1	>=410.72, < 411.00	Tesla GPUs
10.1	>= 418.39	>= 3.0 (Kepler)
"""


def ask(cuda: str, driver: str, *gpus: str, open_module: bool | None = None) -> Compatibility:
    return check_cuda(cuda, driver, [find_gpu(gpu) for gpu in gpus], open_module)


def reasons(answer: Compatibility) -> list[str]:
    return [reason.id for gpu in answer.gpus for reason in gpu.reasons]


def remedies(answer: Compatibility) -> str:
    return " ".join(remedy.text for remedy in answer.remedies)


# The table


def test_the_seed_rows_are_the_source_documents() -> None:
    rows = [f"{row.cuda}\t{row.driver.text}\t{row.gpus}" for row in cuda_rows() if row.kind == "seed"]
    assert rows == SEED.strip().split("\n")


@pytest.mark.parametrize(
    ("cuda", "driver", "gpu", "older"),
    [
        ("6.5", "340.29", "GTX 580", "340.28"),
        ("7.0", "346.46", "GTX 580", "346.45"),
        ("7.5", "352.39", "GTX 580", "352.38"),
        ("8.0", "375.51", "P100", "375.50"),
        ("8.0", "367.48", "GTX 580", "367.47"),
        ("9.0", "384.81", "K80", "384.80"),
        ("9.1", "387.26", "K80", "387.25"),
        ("9.2", "396.26", "GTX 1080", "396.25"),
        ("10.0", "384.111", "V100", "384.110"),
        ("10.0", "410.48", "GTX 1080", "410.47"),
        ("10.1", "384.111", "P100", "384.110"),
        ("10.1", "410.72", "K80", "410.71"),
        ("10.1", "418.39", "GTX 1080", "418.38"),
    ],
)
def test_each_seed_row_holds_from_its_driver_on_and_not_before(cuda: str, driver: str, gpu: str, older: str) -> None:
    assert ask(cuda, driver, gpu).verdict == COMPATIBLE
    assert ask(cuda, older, gpu).verdict == INCOMPATIBLE


@pytest.mark.parametrize("cuda", [cuda for cuda in cuda_versions() if parse_cuda(cuda) >= (10, 2)])
def test_each_later_cuda_runs_from_its_table_minimum_on_every_gpu_of_its_toolkit(cuda: str) -> None:
    row = next(row for row in matrix(cuda) if row.kind != "seed")
    minimum = row.driver.removeprefix(">= ")
    minimum = minimum if "." in minimum else f"{minimum}.0"
    for known in architectures().values():
        ended = known.first_toolkit_without and parse_cuda(cuda) >= parse_cuda(known.first_toolkit_without)
        compiled = parse_cuda(cuda) >= parse_cuda(known.first_toolkit) and not ended
        if compiled and known.architecture in row.architectures and not known.integrated:
            assert ask(cuda, minimum, known.compute_capability).verdict == COMPATIBLE, known


def test_the_matrix_leaves_out_architectures_that_no_driver_of_the_row_drives() -> None:
    assert "Kepler" in matrix("11.4")[0].architectures
    assert "Kepler" not in matrix("11.5")[0].architectures
    assert matrix("8.0")[0].architectures == ("Pascal",)


def test_the_image_gate_rows_are_in_the_table_and_make_nothing_compatible() -> None:
    gate = [row for row in matrix("12.8", images=True) if row.kind == "image"]
    assert ">= 470, < 471" in [row.driver for row in gate]
    assert ask("12.8", "470.256.02", "A100").verdict == PACKAGE
    assert ask("12.8", "470.256.02", "RTX 3090").verdict == INCOMPATIBLE


# Traps


def test_a_p100_on_370_28_fails_cuda_8_although_another_gpu_passes() -> None:
    assert ask("8.0", "370.28", "P100").verdict == INCOMPATIBLE
    assert ask("8.0", "370.28", "GTX 1080").verdict == COMPATIBLE


def test_a_p100_passes_on_361_93_and_its_rebuilds_only() -> None:
    assert ask("8.0", "361.93", "P100").verdict == COMPATIBLE
    assert ask("8.0", "361.93.02", "P100").verdict == COMPATIBLE
    for driver in ("361.92", "361.94", "367.48", "375.26"):
        assert ask("8.0", driver, "P100").verdict == INCOMPATIBLE, driver


def test_384_130_runs_cuda_10_1_on_a_tesla_and_not_on_a_geforce() -> None:
    assert ask("10.1", "384.130", "V100").verdict == COMPATIBLE
    answer = ask("10.1", "384.130", "GTX 1080")
    assert answer.verdict == INCOMPATIBLE
    assert "418.39" in remedies(answer)


def test_a_brand_row_alone_is_unknown_where_the_brand_is_not_known() -> None:
    answer = ask("10.1", "384.130", "6.1")
    assert answer.verdict == UNKNOWN
    assert reasons(answer) == ["gpu.brand-unknown"]
    assert ask("10.1", "418.39", "6.1").verdict == COMPATIBLE


def test_a_t4_is_of_brand_tesla_before_nvml_knew_nvidia() -> None:
    assert ask("10.1", "410.79", "T4").verdict == COMPATIBLE
    assert ask("12.1", "530.30.02", "T4").gpus[0].brand == "nvidia"
    renamed = gpu_of_nvml("Tesla T4", "7.5", "nvidia")
    assert check_cuda("10.1", "410.79", [renamed]).verdict == INCOMPATIBLE


def test_a_recorded_conversation_of_the_source_document() -> None:
    answer = ask("10.1", "418.87.00", "Tesla V100-SXM2-32GB")
    assert (answer.verdict, answer.remedies) == (COMPATIBLE, ())
    assert (answer.gpus[0].compute_capability, answer.gpus[0].architecture) == ("7.0", "Volta")
    assert answer.gpus[0].rows[0].driver.text == ">= 418.39"


def test_9_1_says_that_nvidias_documents_disagree() -> None:
    assert reasons(ask("9.1", "387.26", "K80")) == ["driver.table-row", "driver.disputed"]
    assert reasons(ask("9.1", "390.46", "K80")) == ["driver.table-row"]
    assert reasons(ask("7.5", "352.39", "K80")) == ["driver.table-row"]


def test_minor_version_compatibility_is_limited_and_begins_with_cuda_11() -> None:
    assert ask("11.8", "450.80.02", "RTX 2080").verdict == LIMITED
    assert ask("11.8", "450.51.06", "RTX 2080").verdict == INCOMPATIBLE
    assert ask("12.9", "525.60.13", "RTX 3090").verdict == LIMITED
    assert ask("13.5", "580.65.06", "RTX 5090").verdict == LIMITED
    assert ask("10.2", "418.87.00", "GTX 1080").verdict == INCOMPATIBLE
    assert ask("12.0", "520.61.05", "RTX 3090").verdict == INCOMPATIBLE


def test_the_upper_end_in_nvidias_minor_version_table_is_no_ban() -> None:
    assert ask("11.8", "580.65.06", "RTX 3090").verdict == COMPATIBLE
    assert ask("10.1", "999.10", "RTX 2080").verdict == COMPATIBLE


def test_of_an_ended_branch_it_is_said_that_the_matrix_of_forward_compatibility_leaves_it_out() -> None:
    def told(gpu: str, driver: str = "510.108.03") -> bool:
        said = ask("12.2", driver, gpu)
        return "driver.ended-base" in [reason.id for one in said.gpus for reason in one.reasons]

    assert ask("12.2", "510.108.03", "A100").verdict == INCOMPATIBLE and told("A100")
    assert not told("RTX 3090")  # forward compatibility is for data centres' GPUs
    assert not told("A100", "520.61.05")  # a new-feature branch, which was no base


def test_a_driver_of_a_newer_branch_than_all_known_ones_is_said_to_be_one() -> None:
    newest = branches()[-1]
    told = [reason.id for reason in ask("10.1", "999.10", "RTX 2080").gpus[0].reasons]
    assert told == ["driver.table-row", "driver.not-in-table"]
    known = ask("10.1", newest.newest_version or newest.branch, "RTX 2080").gpus[0].reasons
    assert "driver.not-in-table" not in [reason.id for reason in known]


@pytest.mark.parametrize("branch", [one for one in branches() if one.newest_version])
def test_the_newest_release_of_a_branch_is_no_older_than_any_that_a_table_names(branch: Branch) -> None:
    named = [one for toolkit in toolkits() for one in (toolkit.min_driver, toolkit.bundled_driver) if one]
    of_branch = [one for one in named if one.partition(".")[0] == branch.branch]
    assert all(parts(one) <= parts(branch.newest_version or "") for one in of_branch), of_branch


def test_an_update_asks_for_its_own_driver() -> None:
    assert ask("12.4", "550.54.14", "L4").verdict == COMPATIBLE
    assert ask("12.4.1", "550.54.14", "L4").verdict == LIMITED
    assert ask("12.4.1", "550.54.15", "L4").verdict == COMPATIBLE
    assert ask("9.2.148", "396.26", "V100").verdict == INCOMPATIBLE
    assert ask("8.0.61", "375.51", "P100").verdict == COMPATIBLE
    assert ask("10.1.243", "384.111", "V100").verdict == COMPATIBLE


def test_a_major_alone_means_its_newest_version() -> None:
    assert ask("12", "580.65.06", "L4").cuda == "12.9"


def test_forward_compatibility_is_a_matrix() -> None:
    assert ask("12.8", "535.104.05", "A100").verdict == LIMITED
    assert ask("13.0", "535.104.05", "A100").verdict == PACKAGE
    assert ask("13.0", "570.26", "H100").verdict == PACKAGE
    assert ask("13.0", "565.57.01", "H100").verdict == INCOMPATIBLE
    assert ask("11.0", "418.40.04", "V100").verdict == PACKAGE
    assert ask("11.0", "418.39", "V100").verdict == INCOMPATIBLE
    answer = ask("13.0", "535.104.05", "A100")
    assert "cuda-compat-13-0" in answer.remedies[0].text
    assert answer.remedies[0].disturbs == Disturbs.NEW_CONTAINERS


def test_forward_compatibility_is_for_data_centre_gpus() -> None:
    assert reasons(ask("13.0", "535.104.05", "RTX 4090")) == ["driver.too-old", "gpu.not-data-centre"]
    assert reasons(ask("13.0", "535.104.05", "9.0")) == ["gpu.class-unknown"]


@pytest.mark.parametrize(
    ("cuda", "driver", "gpu", "verdict", "reason"),
    [
        ("8.0", "390.157", "GTX 580", COMPATIBLE, "driver.table-row"),
        ("8.0", "396.26", "GTX 580", INCOMPATIBLE, "driver.dropped-gpu"),
        ("11.4", "470.256.02", "K80", COMPATIBLE, "driver.table-row"),
        ("11.4", "495.29.05", "K80", INCOMPATIBLE, "driver.dropped-gpu"),
        ("12.4", "580.95.05", "V100", COMPATIBLE, "driver.table-row"),
        ("12.4", "590.48.01", "V100", INCOMPATIBLE, "driver.dropped-gpu"),
        ("9.0", "384.81", "GTX 580", INCOMPATIBLE, "gpu.dropped-by-toolkit"),
        ("13.0", "580.95.05", "V100", INCOMPATIBLE, "gpu.dropped-by-toolkit"),
        ("10.1", "470.57.02", "RTX 3090", LIMITED, "gpu.newer-than-toolkit"),
        ("11.8", "570.26", "RTX 5090", LIMITED, "gpu.newer-than-toolkit"),
        ("11.8", "525.60.13", "RTX 5090", INCOMPATIBLE, "driver.older-than-gpu"),
    ],
)
def test_the_gpus_generation_is_judged(cuda: str, driver: str, gpu: str, verdict: Verdict, reason: str) -> None:
    answer = ask(cuda, driver, gpu)
    assert (answer.verdict, reasons(answer)[0]) == (verdict, reason)


def test_a_gpu_newer_than_the_toolkit_names_the_first_toolkit_and_the_code_that_runs() -> None:
    message = ask("11.0", "470.57.02", "RTX 3090").gpus[0].reasons[0].message
    assert "11.1" in message
    assert "8.0" in message


def test_jetson_thor_is_known_under_two_compute_capabilities() -> None:
    for cuda in ("12.8", "13.0"):
        assert "gpu.dropped-by-toolkit" not in reasons(ask(cuda, "580.95.05", "Jetson Thor"))
    assert reasons(ask("12.6", "540.4.0", "Jetson AGX Orin")) == ["gpu.integrated"]


def test_the_open_module_drives_turing_and_newer_and_blackwell_needs_it() -> None:
    assert ask("12.4", "550.54.14", "V100", open_module=True).verdict == INCOMPATIBLE
    assert ask("12.4", "550.54.14", "V100", open_module=False).verdict == COMPATIBLE
    assert ask("12.8", "570.26", "RTX 5090", open_module=False).verdict == INCOMPATIBLE
    assert ask("12.8", "570.26", "RTX 5090", open_module=True).verdict == COMPATIBLE
    assert ask("12.4", "550.54.14", "GH200", open_module=False).verdict == INCOMPATIBLE
    assert ask("12.4", "550.54.14", "H100", open_module=False).verdict == COMPATIBLE
    assert "proprietary" in remedies(ask("12.4", "550.54.14", "V100", open_module=True))


def test_a_gpu_that_this_driver_reports_is_known_to_it() -> None:
    seen = gpu_of_nvml("NVIDIA A40", "8.6", "nvidia")
    assert check_cuda("11.0", "450.119.04", [seen]).verdict == LIMITED
    assert check_cuda("11.0", "450.119.04", [find_gpu("A40")]).verdict == INCOMPATIBLE


@pytest.mark.parametrize(
    ("cuda", "known"),
    [
        (NEXT_CUDA, NEWEST_CUDA),
        ("99.9", NEWEST_CUDA),
        ("98", NEWEST_CUDA),
        ("12.7", NEWEST_CUDA),
        ("6.0", "6.5"),
        ("12.4.9", "12.4.1"),
    ],
)
def test_a_cuda_that_the_table_does_not_have_is_unknown_and_says_what_is_known(cuda: str, known: str) -> None:
    answer = ask(cuda, "620.70.06", "RTX 5090")
    assert (answer.verdict, reasons(answer), answer.remedies) == (UNKNOWN, ["cuda.not-in-table"], ())
    assert known in answer.gpus[0].reasons[0].message


def test_the_worst_gpu_decides_for_the_host_and_a_sure_no_outweighs_the_unknown() -> None:
    answer = ask("12.4", "550.54.14", "A100", "V100", "K80")
    assert answer.verdict == INCOMPATIBLE
    assert [gpu.verdict for gpu in answer.gpus] == [COMPATIBLE, COMPATIBLE, INCOMPATIBLE]
    assert ask("10.1", "384.130", "6.1", "GTX 1080").verdict == INCOMPATIBLE
    assert ask("10.1", "384.130", "6.1", "V100").verdict == UNKNOWN


# Remedies


def test_an_upgrade_names_the_lowest_driver_and_a_supported_branch() -> None:
    text = remedies(ask("10.1", "390.157", "GTX 1080"))
    assert "Upgrade the driver to 418.39 or newer, below 590" in text
    assert "CUDA 9.1" in text


def test_a_remedy_for_several_gpus_suits_all_of_them() -> None:
    assert "470.42.01 or newer, below 495" in remedies(ask("11.4", "535.104.05", "K80", "A100"))
    assert "12.9" in remedies(ask("13.0", "580.95.05", "V100"))


def test_a_driver_that_runs_it_with_limits_is_named_where_none_runs_it_without() -> None:
    assert "450.80.02 or newer, below 495" in remedies(ask("11.8", "418.87.00", "K80"))


def test_the_recommended_branch_is_long_term_supported_and_drives_the_gpus() -> None:
    def branch(month: str, *gpus: str) -> str | None:
        found = recommended_branch(None, [find_gpu(gpu) for gpu in gpus], month)
        return found.branch if found else None

    assert branch("2026-11", "V100") == "580"
    assert branch("2026-11", "RTX 5090") == "580"
    assert branch("2028-07", "RTX 5090") == "620"
    assert branch("2028-07", "V100") is None
    assert branch("2026-11", "K80") is None


def test_a_host_without_a_driver_is_told_which_to_install() -> None:
    choice = choose_driver(resolve_cuda("10.1"), [find_gpu("V100")])
    assert choice is not None
    remedy = choice_remedy(choice)
    assert remedy.text.startswith("Install driver 418.39 or newer")
    assert remedy.disturbs == Disturbs.HOST
    assert choose_driver(resolve_cuda("13.0"), [find_gpu("V100")]) is None


def test_no_driver_is_named_for_gpus_whose_kernel_modules_exclude_each_other() -> None:
    pair = [find_gpu("V100"), find_gpu("RTX 5090")]
    assert serving_modules(pair) == ()
    assert choose_driver(resolve_cuda("12.8"), pair) is None
    assert recommended_branch(None, pair) is None
    assert serving_modules([find_gpu("V100"), find_gpu("T4")]) == ("proprietary",)


def test_where_nvidia_supports_no_branch_the_last_one_is_named() -> None:
    choice = choose_driver(resolve_cuda("11.4"), [find_gpu("K80")])
    assert choice is not None
    assert "470.42.01 or newer, below 495" in choice_remedy(choice).text
    assert "branch 470 was the last" in choice_remedy(choice).text


def test_a_branch_ends_with_its_month() -> None:
    branch = driver_branch("580.65.06")
    assert branch is not None
    assert not branch.ended("2028-06")
    assert branch.ended("2028-07")
    assert driver_branch("999.10") is None


def test_the_driver_alone_may_rule_a_gpu_out() -> None:
    assert driver_verdict("580.65.06", "7.0") is None
    reason = driver_verdict("590.44.01", "7.0")
    assert reason is not None
    assert "580" in reason.message


# Which GPU


@pytest.mark.parametrize(
    ("typed", "name", "capability"),
    [
        ("V100", "Tesla V100", "7.0"),
        ("tesla v100", "Tesla V100", "7.0"),
        ("Tesla V100-SXM2-32GB", "Tesla V100", "7.0"),
        ("geforce rtx 3090", "GeForce RTX 3090", "8.6"),
        ("rtx3090ti", "GeForce RTX 3090 Ti", "8.6"),
        ("1080", "GeForce GTX 1080", "6.1"),
        ("A100", "A100", "8.0"),
        ("NVIDIA A100-SXM4-80GB", "A100", "8.0"),
        ("NVIDIA H100 80GB HBM3", "H100", "9.0"),
        ("NVIDIA GeForce RTX 3050 A Laptop GPU", "GeForce RTX 3050 A Laptop GPU", "8.9"),
        ("RTX 3050", "GeForce RTX 3050", "8.6"),
        ("GTX 750 v2", "GeForce GTX 750 v2", "5.2"),
        ("Tesla K40m", "Tesla K40m", "3.5"),
        ("GH200", "GH200", "9.0"),
        ("DGX Spark", "GB10 (DGX Spark)", "12.1"),
        ("GA102", "GA102", "8.6"),
        ("GA10B", "GA10B", "8.7"),
        ("gv100gl", "GV100GL", "7.0"),
        ("7.0", "compute capability 7.0", "7.0"),
        ("10de:1db5", "Tesla V100 SXM2 32GB", "7.0"),
        ("10DE:1DB5", "Tesla V100 SXM2 32GB", "7.0"),
        ("Quadro M5000M", "Quadro M5000M", "5.2"),
    ],
)
def test_a_gpu_is_found_by_what_people_and_nvml_call_it(typed: str, name: str, capability: str) -> None:
    gpu = find_gpu(typed)
    assert (gpu.name, gpu.compute_capability) == (name, capability)


@pytest.mark.parametrize(
    ("typed", "candidates"),
    [
        ("GT 730", ["GF108 (2.1)", "GK107 (3.0)", "GK208B (3.5)"]),
        ("GeForce GT 710", ["GF119 (2.1)", "GK208 (3.5)"]),
        ("TITAN X", ["GM200 (5.2)", "GP102 (6.1)"]),
        ("RTX 6000", ["Quadro RTX 6000", "RTX 6000 Ada Generation"]),
    ],
)
def test_a_name_with_several_chips_lists_them(typed: str, candidates: list[str]) -> None:
    with pytest.raises(ValueError, match="may be") as raised:
        find_gpu(typed)
    assert all(candidate in str(raised.value) for candidate in candidates)


@pytest.mark.parametrize(
    ("typed", "driver", "capability"),
    [
        ("GTX 750 Ti", "535.183.01", "5.0"),
        ("NVIDIA GeForce GTX 750 Ti", "580", "5.0"),
        ("GT 1030", "550.120", "6.1"),
        ("GTX 860M", "495.46", "5.0"),
        ("820M", "470.256.02", "3.0"),
    ],
)
def test_of_several_chips_the_named_driver_drives_one(typed: str, driver: str, capability: str) -> None:
    row = f"driver,gpu,cuda\n{driver},{typed},11.4\n".encode().splitlines()
    (verdict,) = host_verdicts(row, Question())
    table = f"Driver Version: {driver}\n    Product Name : {typed}\n"
    assert [gpu.compute_capability for gpu in gpus_beside(releases_meant(driver), typed)] == [capability]
    assert verdict.kind.said.verdict is not None
    if "." in driver:
        assert [gpu.compute_capability for gpu in machine_of_smi(table).gpus] == [capability]


@pytest.mark.parametrize(
    ("typed", "cuda", "driver", "judged", "reason"),
    [
        ("GT 1030", "11.4", "470.256.02", Verdict.UNKNOWN, "gpu.chip-decides"),
        ("GT 1030", "10.2", "470.256.02", Verdict.COMPATIBLE, "gpu.chips-alike"),
        ("GT 1030", "12.4", "470.256.02", Verdict.INCOMPATIBLE, "gpu.chips-alike"),
        ("GT 730", "9.0", "390.157", Verdict.UNKNOWN, "gpu.chip-decides"),
        ("GeForce GTX 560 Ti", "8.0", "470.256.02", Verdict.INCOMPATIBLE, "gpu.chips-alike"),  # it drives neither
    ],
)
def test_chips_of_one_product_decide_where_they_fare_alike(
    typed: str, cuda: str, driver: str, judged: Verdict, reason: str
) -> None:
    gpus = gpus_beside((driver,), typed)
    assert len(gpus) > 1
    each = [check_cuda(cuda, driver, [dataclasses.replace(gpu, one_of="")]).verdict for gpu in gpus]
    assert {*each} == {judged} if judged is not Verdict.UNKNOWN else len({*each}) > 1

    answer = check_cuda(cuda, driver, [*gpus, *gpus])
    (first, second) = answer.gpus
    assert first == second and first.name == typed
    assert answer.verdict is first.verdict is answer.asked[0].verdict is judged
    assert reason in [one.id for one in first.reasons]

    (row,) = host_verdicts(f"driver,gpu,cuda\n{driver},{typed},{cuda}\n".encode().splitlines(), Question())
    assert row.kind.said.verdict is judged
    assert len(machine_of_smi(f"Driver Version: {driver}\n    Product Name : {typed}\n").gpus) == len(gpus)


@pytest.mark.parametrize("name", ["940MX", "GT 710", "GT 1030"])
def test_a_chip_of_several_pci_ids_is_one_and_so_is_the_gpu(name: str) -> None:
    gpus = gpus_beside(("470.256.02",), name)
    assert len(gpus) == len({gpu.name for gpu in gpus}) > 1


def test_another_gpu_beside_an_unknown_chip_can_decide() -> None:
    gpus = (*gpus_beside(("470.256.02",), "GT 1030"), find_gpu("H100"))
    assert check_cuda("11.4", "470.256.02", gpus).verdict is Verdict.INCOMPATIBLE


@pytest.mark.parametrize(
    ("typed", "cuda", "driver", "judged"),
    [
        ("RTX 6000", "13.0", "580.65.06", Verdict.COMPATIBLE),
        ("RTX 5000", "12.2", "535.161.08", Verdict.COMPATIBLE),
        ("TITAN X", "12.2", "535.161.08", Verdict.COMPATIBLE),
        ("TITAN X", "13.0", "580.65.06", Verdict.INCOMPATIBLE),
        ("GT 640", "8.0", "390.157", Verdict.COMPATIBLE),
        ("GeForce GT 640", "10.2", "470.256.02", Verdict.COMPATIBLE),
        ("GT 640", "9.0", "390.157", Verdict.UNKNOWN),
    ],
)
def test_the_few_products_that_a_name_may_mean_are_all_judged(
    typed: str, cuda: str, driver: str, judged: Verdict
) -> None:
    gpus = gpus_beside((driver,), typed)
    assert len({gpu.name for gpu in gpus}) == len(gpus) > 1
    (gpu,) = check_cuda(cuda, driver, gpus).gpus
    assert (gpu.name, gpu.verdict) == (typed, judged)
    (row,) = host_verdicts(f"driver,gpu,cuda\n{driver},{typed},{cuda}\n".encode().splitlines(), Question())
    assert row.kind.said.verdict is judged


def test_of_several_products_the_one_that_the_driver_drives_is_meant_and_of_many_none() -> None:
    (gpu,) = gpus_beside(("470.256.02",), "RTX 6000")
    assert gpu.name.startswith("Quadro RTX 6000") and gpu.compute_capability == "7.5"
    with pytest.raises(ValueError, match=r"and [0-9]+ more: give the whole name"):
        gpus_beside(("535.183.01",), "RTX")


@pytest.mark.parametrize(("typed", "driven"), [("GT 1030", "GP108"), ("GTX 750 Ti", "GM107"), ("GTX 860M", "GM107")])
def test_a_remedy_for_one_chip_names_it_and_serves_that_chip(typed: str, driven: str) -> None:
    answer = check_cuda("12.4", "590.48.01", gpus_beside(("590.48.01",), typed))
    (told,) = (one.text for one in answer.remedies if driven in one.text.partition(":")[0])
    driver = re.search(r"change the driver to ([0-9.]+) or newer, below 590", told)
    assert driver and "image" not in told
    assert check_cuda("12.4", driver[1], gpus_beside((driver[1],), typed)).verdict is Verdict.COMPATIBLE


@pytest.mark.parametrize(
    ("typed", "product", "capability"),
    [
        ("4070 super", "GeForce RTX 4070 SUPER", "8.9"),
        ("2060 super", "GeForce RTX 2060 SUPER", "7.5"),
        ("1080ti", "GeForce GTX 1080 Ti", "6.1"),
        ("TU117M [GeForce GTX 1650 Mobile / Max-Q]", "GeForce GTX 1650", "7.5"),
        ("NVIDIA Corporation GA102 [GeForce RTX 3090] (rev a1)", "GeForce RTX 3090", "8.6"),
        ("01:00.0 3D controller: NVIDIA Corporation GV100GL [Tesla V100 SXM2 32GB] (rev a1)", "Tesla V100", "7.0"),
        ("GK208B [GeForce GT 730]", "GeForce GT 730", "3.5"),
        ("GK107 [GeForce GT 730]", "GeForce GT 730", "3.0"),
        ("AD107GL [RTX 2000 / 2000E Ada Generation]", "RTX 2000 / 2000E Ada Generation", "8.9"),
        ("RTX 2000E Ada", "RTX 2000 / 2000E Ada Generation", "8.9"),
        ("NVIDIA DGX Display", "DGX Display", "7.5"),
        ("NVIDIA TITAN Xp COLLECTORS EDITION", "TITAN Xp", "6.1"),
        ("T400E", "T400 4GB / T400E", "7.5"),
    ],
)
def test_a_gpu_is_known_as_people_and_tools_call_it(typed: str, product: str, capability: str) -> None:
    assert (find_gpu(typed).name, find_gpu(typed).compute_capability) == (product, capability)


@pytest.mark.parametrize("typed", ["banana", "", "Tesla", "9.9", "10de:ffff", "10de:22a3", "GTX 1080 Tj", "GT218"])
def test_an_unknown_gpu_is_one_sentence(typed: str) -> None:
    with pytest.raises(ValueError, match=r"known|not in the table") as raised:
        find_gpu(typed)
    assert "\n" not in str(raised.value)


def test_an_unknown_name_is_told_its_near_ones() -> None:
    with pytest.raises(ValueError, match="GeForce GTX 1080"):
        find_gpu("GeFroce GTX 1080")


def test_every_product_of_one_chip_is_found_by_its_own_name() -> None:
    for product in products():
        if len(product.variants) == 1:
            assert find_gpu(product.product).name == product.product


def test_of_the_lines_with_a_number_of_its_name_no_product_is_missed() -> None:
    for product in products():
        for name in (product.product, *product.aliases):
            assert product in products_named(name)


def test_a_gpu_on_the_bus_is_known_without_a_driver() -> None:
    gpu = gpu_of_device("1db5")
    assert gpu is not None
    assert (gpu.architecture, gpu.brand, gpu.product_class) == ("Volta", "tesla", "datacenter")
    assert gpu_of_device("ffff") is None


def test_what_nvml_tells_goes_before_what_the_name_tells() -> None:
    gpu = gpu_of_nvml("NVIDIA GeForce GT 730", "3.5", "geforce")
    assert (gpu.compute_capability, gpu.architecture, gpu.driven) == ("3.5", "Kepler", True)
    unheard = gpu_of_nvml("NVIDIA Z9000", "15.0", None)
    assert check_cuda("13.0", "620.70.06", [unheard]).verdict == UNKNOWN


# Bad input


@pytest.mark.parametrize(
    "driver", ["5", "banana", "", "535", "v535.1", "535.104.05-1", "٥٣٥.104", "1.2.3.4.5", "418.", "-418.1"]
)
def test_a_text_that_is_no_driver_is_one_sentence(driver: str) -> None:
    with pytest.raises(ValueError, match="is neither a driver version"):
        ask("12.4", driver, "V100")


@pytest.mark.parametrize("cuda", ["banana", "", "12.", "12.4.1.1", "-1", "12,4", "1e3", "١٢.4", "v12.4"])
def test_a_text_that_is_no_cuda_version_is_one_sentence(cuda: str) -> None:
    with pytest.raises(ValueError, match="is not a CUDA version"):
        ask(cuda, "550.54.14", "V100")


def test_no_gpu_is_a_usage_error() -> None:
    with pytest.raises(ValueError, match="no GPU"):
        check_cuda("12.4", "550.54.14", [])


# Versions


numbers = st.lists(st.integers(0, 999), min_size=1, max_size=4)
drivers = st.builds(
    lambda major, rest: ".".join(map(str, [major, *rest])),
    st.integers(100, 999),
    st.lists(st.integers(0, 999), min_size=1, max_size=2),
)


def dotted(parts: list[int]) -> str:
    return ".".join(str(part) for part in parts)


@thorough
@given(numbers, numbers)
def test_versions_compare_part_by_part_with_zeros_for_what_is_missing(one: list[int], other: list[int]) -> None:
    width = max(len(one), len(other))
    padded = [parts + [0] * (width - len(parts)) for parts in (one, other)]
    assert compare(dotted(one), dotted(other)) == (padded[0] > padded[1]) - (padded[0] < padded[1])


@thorough
@given(numbers, numbers, numbers)
def test_version_order_is_total(a: list[int], b: list[int], c: list[int]) -> None:
    x, y, z = dotted(a), dotted(b), dotted(c)
    assert compare(x, y) == -compare(y, x)
    assert compare(x, dotted([*a, 0])) == 0
    assert not (compare(x, y) <= 0 and compare(y, z) <= 0) or compare(x, z) <= 0


@thorough
@given(drivers, drivers)
def test_an_open_range_holds_exactly_from_its_minimum_on(driver: str, minimum: str) -> None:
    assert parse_range(f">= {minimum}").holds(parse_driver(driver)) == (compare(driver, minimum) >= 0)


@pytest.mark.parametrize(
    ("older", "newer"),
    [("384.90", "384.111"), ("384.81", "384.111"), ("418.39", "418.40.04"), ("535.86.10", "535.104.05")],
)
def test_driver_parts_are_numbers_and_not_decimals(older: str, newer: str) -> None:
    assert parse_driver(older) < parse_driver(newer)
    assert parse_driver("418.87.00") == parse_driver("418.87")


def test_equals_in_the_table_compares_as_many_parts_as_it_names() -> None:
    only = parse_range("== 361.93")
    assert only.holds(parse_driver("361.93.02"))
    assert not only.holds(parse_driver("361.9"))
    assert not only.holds(parse_driver("361.930"))
    with pytest.raises(ValueError, match="not a driver condition"):
        parse_range("~= 361.93")


def test_dockers_versions_are_all_ordered() -> None:
    ascending = ["1.13.1", "17.03.2-ce", "17.06.0-ce-rc1", "17.06.0-ce", "18.09.1", "19.03.0-beta1", "19.03.0-rc2"]
    ascending += [
        "19.03.0-rc3",
        "19.03.0",
        "20.10.24+dfsg1",
        "23.0.0-beta.1",
        "23.0.0-rc.1",
        "23.0.0",
        "28.5.1",
        "29.7.2",
    ]
    versions = [docker_version(text) for text in ascending]
    assert versions == sorted(set(versions))
    assert docker_version("19.03") == docker_version("19.03.0")
    for text in ("dev", "", "nineteen.03"):
        with pytest.raises(ValueError, match="is not a version"):
            docker_version(text)


def test_the_leading_number_of_a_version_text_is_told() -> None:
    assert [leading(text) for text in ("1.17.3-rc1", "1.13.5 (6b8589d)", "unknown")] == ["1.17.3", "1.13.5", ""]


def test_docker_features_and_toolkit_holes_are_dated_by_version() -> None:
    assert docker_version("18.09.9") < docker_version(docker_features()["gpus-flag"].since) <= docker_version("19.03.0")
    holes = {cve.id for cve in toolkit_cves() if compare("1.17.4", cve.fixed) < 0}
    assert holes == {"CVE-2025-23266", "CVE-2025-23267"}


# What must hold everywhere


gpus = st.sampled_from([product.product for product in products() if len(product.variants) == 1]).map(find_gpu)
known_drivers = st.sampled_from(
    sorted({driver for row in cuda_rows() if (driver := row.driver.open_minimum()) and "." in driver}, key=parse_driver)
)
SEVERITY = [COMPATIBLE, LIMITED, UNKNOWN, PACKAGE, INCOMPATIBLE]


@thorough
@given(st.sampled_from(cuda_versions()), known_drivers | drivers, gpus, st.sampled_from([None, True, False]))
def test_every_question_gets_an_answer_with_reasons_and_sources(
    cuda: str, driver: str, gpu: Gpu, open_module: bool | None
) -> None:
    answer = check_cuda(cuda, driver, [gpu], open_module)
    assert answer.verdict == answer.gpus[0].verdict
    assert answer.gpus[0].reasons
    assert all(reason.source and reason.message.endswith(".") for reason in answer.gpus[0].reasons)
    assert not answer.remedies or answer.verdict not in (COMPATIBLE, UNKNOWN)


@thorough
@given(st.sampled_from(cuda_versions()), known_drivers | drivers, known_drivers | drivers, gpus)
def test_a_newer_driver_that_still_drives_the_gpu_never_takes_a_cuda_away(
    cuda: str, one: str, other: str, gpu: Gpu
) -> None:
    """Compatible stays compatible, limited becomes no worse. Ranges for one brand or one chip end by their own text."""
    older, newer = sorted((one, other), key=parse_driver)
    driven = driver_verdict(newer, gpu.compute_capability) is None
    ends = any(not row.for_any_gpu and row.driver.holds(parse_driver(older)) for row in cuda_rows() if row.cuda == cuda)
    before, after = (check_cuda(cuda, driver, [gpu]).verdict for driver in (older, newer))
    if driven and not ends and before in (COMPATIBLE, LIMITED):
        assert SEVERITY.index(after) <= SEVERITY.index(before)


@thorough
@given(st.sampled_from(cuda_versions()), known_drivers, gpus)
def test_the_driver_that_a_remedy_names_makes_it_better(cuda: str, driver: str, gpu: Gpu) -> None:
    answer = check_cuda(cuda, driver, [gpu])
    for remedy in answer.remedies:
        if "the driver to " in remedy.text:
            named = remedy.text.split("the driver to ")[1].split(" ")[0]
            image = re.match(r"Use an image for CUDA (\S+) instead, and ", remedy.text)
            improved = check_cuda(image[1] if image else cuda, named if "." in named else f"{named}.0", [gpu]).verdict
            assert SEVERITY.index(improved) < SEVERITY.index(answer.verdict)


# Matrix and images


def test_the_hosts_column_has_a_verdict_for_every_cuda() -> None:
    column = host_column("418.87.00", [find_gpu("V100")])
    assert tuple(column.verdicts) == cuda_versions()
    assert [cuda for cuda, verdict in column.verdicts.items() if verdict == COMPATIBLE] == [
        "9.0",
        "9.1",
        "9.2",
        "10.0",
        "10.1",
    ]


def test_the_newest_base_image_is_one_that_the_driver_runs() -> None:
    assert next(newest_base_images("418.87.00", [find_gpu("V100")])) == "nvidia/cuda:10.1-base-ubuntu18.04"
    assert next(newest_base_images("580.95.05", [find_gpu("V100")])) == "nvidia/cuda:12.9.1-base-ubuntu24.04"
    assert next(newest_base_images("550.54.15", [find_gpu("A100")])) == "nvidia/cuda:12.4.1-base-ubuntu22.04"
    assert "nvidia/cuda:10.1-base" in newest_base_images("418.87.00", [find_gpu("V100")])
    assert list(newest_base_images("340.29", [find_gpu("GTX 580")])) == []
    assert list(newest_base_images("418.87.00", [])) == []


@thorough
@given(known_drivers, gpus)
def test_no_base_image_is_offered_that_the_driver_does_not_run(driver: str, gpu: Gpu) -> None:
    for reference in islice(newest_base_images(driver, [gpu]), 3):
        assert check_cuda(cuda_of_tag(reference) or "", driver, [gpu]).verdict in (COMPATIBLE, LIMITED)


@pytest.mark.parametrize(
    ("reference", "cuda"),
    [
        ("nvidia/cuda:10.1-base-centos7", "10.1"),
        ("docker.io/nvidia/cuda:10.1-base", "10.1"),
        ("nvcr.io/nvidia/cuda:12.4.1-cudnn-devel-ubuntu22.04", "12.4.1"),
        ("nvidia/cuda:latest", None),
        ("nvidia/cuda", None),
        ("busybox:10.1-base", None),
    ],
)
def test_the_cuda_of_an_image_is_read_from_its_tag(reference: str, cuda: str | None) -> None:
    assert cuda_of_tag(reference) == cuda


# The room


def test_the_knowledge_needs_the_standard_library_only_and_reads_only_the_tables_it_uses() -> None:
    code = """
import json, sys
from gpuctl.compat.knowledge.gpus.gpus import find_gpu
from gpuctl.compat.answer.answer import check_cuda
from gpuctl.compat.tables import loader as tables
check_cuda("10.1", "418.87", [find_gpu("V100")])
print(json.dumps([sorted({name.split(".")[0] for name in sys.modules}), tables.pci_devices.cache_info().currsize]))
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    modules, devices_read = json.loads(said.stdout)
    assert not {"packaging", "rich", "typer", "docker", "jsonschema"} & set(modules)
    assert devices_read == 0

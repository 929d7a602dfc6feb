"""The bundled tables are right, and the rules that say so find what is wrong with a broken copy."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from newer import NEWEST_CUDA, rows_of, text_of

from gpuctl.compat.ask.image_claims import image_requirements
from gpuctl.compat.judge.rulings import resolve_cuda
from gpuctl.compat.knowledge.frameworks import framework_releases, release_covering, releases_of
from gpuctl.compat.knowledge.gpus.gpus import find_gpu
from gpuctl.compat.knowledge.images import cuda_images, cuda_of_tag
from gpuctl.compat.tables import loader as tables
from gpuctl.compat.tables.lint import RULES, Tables
from gpuctl.compat.tables.lint_cuda import CUDA_RULES
from gpuctl.compat.tables.loader import CATALOGUE
from gpuctl.compat.tables.overlay import Overlay, table_names
from gpuctl.compat.tables.rows import read_rows
from gpuctl.compat.tables.verify import verify
from gpuctl.compat.versions import parse_cuda, parts

DATA = Path(__file__).parents[1] / "data"
TABLES = sorted(path.stem for path in DATA.glob("*.jsonl"))


def test_nothing_is_wrong_with_the_tables() -> None:
    found = verify()
    assert not found.problems, "\n".join(map(str, found.problems))
    assert found.rows > 2000


@pytest.mark.parametrize(("field", "text"), [("released", "2099-01-02"), ("source", "distro-info-data 2099.01.02")])
def test_a_table_is_not_of_a_day_before_what_its_rows_tell_of(field: str, text: str) -> None:
    rows = [{**row, field: text} if row["release"] == "12.4.1" else row for row in rows_of("toolkits")]
    catalogue = [row for row in rows_of("tables") if row["table"] == "toolkits"]
    texts = {"toolkits.jsonl": rows, "tables.jsonl": catalogue}
    files = {name: "".join(f"{json.dumps(row)}\n" for row in several).encode() for name, several in texts.items()}
    (problem,) = verify(Overlay("/x", tuple(files), files, {})).problems
    assert (problem.file, problem.line) == ("/x/toolkits.jsonl", line_of("toolkits", release="12.4.1"))
    assert problem.message.startswith("It tells of 2099-01-02, and the table is of ")


def test_every_table_has_a_schema_with_a_key_and_a_row_that_says_of_which_day_it_is() -> None:
    assert sorted((*table_names(), CATALOGUE)) == TABLES
    schemas = {path.name.removesuffix(".schema.json"): path for path in (DATA / "schemas" / "tables").iterdir()}
    assert sorted(schemas) == TABLES
    for table, path in schemas.items():
        schema = json.loads(path.read_text())
        Draft202012Validator.check_schema(schema)
        assert set(schema["key"]) <= set(schema["required"]), table
        assert "source" in schema["required"], table
        assert schema["additionalProperties"] is False, table


LOAD_ALL = """
import json, pkgutil, sys
from importlib import import_module
from inspect import signature
from pathlib import Path
import gpuctl.compat
from gpuctl.compat.tables.loader import put_over
put_over(Path("/"), json.load(sys.stdin))
modules = [import_module(one.name) for one in pkgutil.walk_packages(gpuctl.compat.__path__, "gpuctl.compat.")]
loaders = {f for module in modules for f in vars(module).values() if hasattr(f, "cache_info")}
for load in loaders:
    if not signature(load).parameters:
        load()
"""


def test_every_field_that_a_schema_allows_is_one_that_a_row_has() -> None:
    texts = {table: rows_with_every_field(table) for table in TABLES}
    for table, text in texts.items():
        assert read_rows(table, table, text.encode())[1] == ()
    done = subprocess.run([sys.executable, "-c", LOAD_ALL], input=json.dumps(texts), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def rows_with_every_field(table: str) -> str:
    """Rows, as lines, that between them have every field that the schema allows."""
    rows = [json.loads(line) for line in (DATA / f"{table}.jsonl").read_text().splitlines()]
    schema = json.loads((DATA / "schemas" / "tables" / f"{table}.schema.json").read_text())
    chosen: dict[str, dict[str, Any]] = {}
    for field in schema["properties"]:
        row = next((row for row in rows if field in row), {**rows[0], field: "a note"})
        key = json.dumps([row[name] for name in schema["key"]])
        chosen[key] = {**chosen.get(key, {}), **row}
    return "\n".join(map(json.dumps, chosen.values()))


def test_all_tables_stay_small() -> None:
    assert sum(path.stat().st_size for path in DATA.glob("*.jsonl")) < 1_500_000


AT_LEAST = {"architectures": 28, "cuda_rows": 114, "driver_branches": 42, "gpus": 335, "pci_ids": 900, "toolkits": 78}
"""Rows of the reference that the tables were begun with: later ones come on top."""


@pytest.mark.parametrize("table", AT_LEAST)
def test_no_row_of_the_reference_is_lost(table: str) -> None:
    assert len(rows_of(table)) >= AT_LEAST[table]


def test_every_architecture_has_devices() -> None:
    assert {row.architecture for row in tables.pci_devices()} == {
        row.architecture for row in tables.architectures().values()
    }


def test_the_examples_of_a_compute_capability_are_products_that_have_it() -> None:
    for known in tables.architectures().values():
        assert {find_gpu(product).compute_capability for product in known.examples} <= {known.compute_capability}, known


def test_one_device_is_found_without_reading_all() -> None:
    assert [tables.pci_device(row.device) for row in tables.pci_devices()[::50]] == list(tables.pci_devices()[::50])


def test_every_image_tag_reads_back() -> None:
    for images in cuda_images():
        assert {cuda_of_tag(images.reference(flavour)) for flavour in images.flavours} == {images.cuda}


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


Rows = list[dict[str, Any]]
Edit = Callable[[Rows], Any]


def changed(number: int, **fields: Any) -> Edit:
    """What gives the fields of a line, counted from 1, other values; None takes a field away."""

    def edit(rows: Rows) -> None:
        new = {**rows[number - 1], **fields}
        rows[number - 1] = {key: value for key, value in new.items() if value is not None or key not in fields}

    return edit


def without(**fields: Any) -> Edit:
    """What takes away the rows with these values."""

    def edit(rows: Rows) -> None:
        rows[:] = [row for row in rows if not fields.items() <= row.items()]

    return edit


def line_of(table: str, **fields: Any) -> int:
    """The line, counted from 1, of the first row with these values."""
    lines = (DATA / f"{table}.jsonl").read_text().splitlines()
    return next(n for n, line in enumerate(lines, 1) if fields.items() <= json.loads(line).items())


def broken(table: str, edit: Edit) -> Tables:
    """The bundled tables with one edited, each row still right by itself."""
    rows = rows_of(table)
    edit(rows)
    return {**whole(), table: read_well(table, text_of(rows).encode())}


@cache
def whole() -> Tables:
    return {name: read_well(name, (DATA / f"{name}.jsonl").read_bytes()) for name in table_names()}


def read_well(table: str, raw: bytes) -> Any:
    rows, problems = read_rows(table, table, raw)
    assert problems == ()
    return rows


P100 = line_of("cuda_rows", cuda="8.0", compute_capability="6.0")
TESLA_10_1 = line_of("cuda_rows", cuda="10.1", gpus="Tesla GPUs")
TESLA_10_0 = line_of("cuda_rows", cuda="10.0", gpus="Tesla GPUs")
CUDA_12_4 = line_of("cuda_rows", cuda="12.4", kind="toolkit")
CUDA_12_8 = line_of("cuda_rows", cuda="12.8", kind="toolkit")
CUDA_12_8_TO_12_9 = slice(CUDA_12_8 - 1, line_of("cuda_rows", cuda="12.9") - 1)
TOOLKIT_12_4 = line_of("toolkits", cuda="12.4")
KEPLER = line_of("architectures", compute_capability="3.5")
COMPAT_10_2 = line_of("forward_compat", package="cuda-compat-10-2")
CVE = line_of("toolkit_cves", id="CVE-2024-0132")
FERMI = line_of("pci_ids", chip="GF100")
AFTER_1_10 = line_of("toolkit_releases", version="1.10.0") + 1
FAULT = line_of("toolkit_faults", family="cdi-hook-symlink-bug", fixed="1.17.1")
SEEN = line_of("family_checks", seen_in="host")
BROKEN: list[tuple[str, str, Edit, str, int | None, str]] = [
    ("rows_ascend", "images", lambda rows: rows.reverse(), "images", 2, "`cuda` does not ascend from "),
    ("rows_ascend", "pci_ids", changed(9, device="0001"), "pci_ids", 9, "`device` does not ascend from "),
    (
        "rows_ascend",
        "toolkit_releases",
        changed(AFTER_1_10, version="01.10.0"),
        "toolkit_releases",
        AFTER_1_10,
        "from 1.10.0 to 01.10.0.",
    ),
    (
        "every_version_has_one_general_row",
        "cuda_rows",
        lambda rows: rows.pop(CUDA_12_4 - 1),
        "cuda_rows",
        CUDA_12_4,
        "CUDA 12.4 has no general row",
    ),
    (
        "every_version_has_one_general_row",
        "cuda_rows",
        changed(TESLA_10_0, brands=None),
        "cuda_rows",
        TESLA_10_0 + 1,
        f"CUDA 10.0 has two general rows: this one and line {TESLA_10_0}.",
    ),
    (
        "general_rows_ask_for_the_first_release",
        "cuda_rows",
        changed(CUDA_12_4, driver=">= 550.54.13"),
        "cuda_rows",
        CUDA_12_4,
        "CUDA 12.4 asks for >= 550.54.13, but CUDA 12.4.0 asks for 550.54.14 in toolkits.",
    ),
    (
        "general_rows_ask_for_the_first_release",
        "toolkits",
        without(cuda=NEWEST_CUDA),
        "cuda_rows",
        line_of("cuda_rows", cuda=NEWEST_CUDA),
        f"CUDA {NEWEST_CUDA} has no release in toolkits.",
    ),
    (
        "newer_cuda_asks_for_newer_drivers",
        "cuda_rows",
        changed(CUDA_12_4, driver=">= 540"),
        "cuda_rows",
        CUDA_12_4,
        "CUDA 12.4 asks for driver 540, but the older 12.3 for 545.23.06.",
    ),
    (
        "newer_cuda_asks_for_newer_drivers",
        "toolkits",
        changed(TOOLKIT_12_4, min_driver="384.111"),
        "toolkits",
        TOOLKIT_12_4,
        "CUDA 12.4.0 asks for driver 384.111, but the older 12.3.2 for ",
    ),
    (
        "no_version_is_missing",
        "cuda_rows",
        lambda rows: rows.__delitem__(CUDA_12_8_TO_12_9),
        "cuda_rows",
        CUDA_12_8,
        "CUDA 12.8 is missing between 12.6 and 12.9.",
    ),
    (
        "no_rows_overlap",
        "cuda_rows",
        changed(TESLA_10_1 + 1, driver=">= 384.200"),
        "cuda_rows",
        TESLA_10_1 + 1,
        f"CUDA 10.1 has >= 384.111, < 385.00 on line {TESLA_10_1} and >= 384.200 here for the same GPUs: they overlap.",
    ),
    (
        "no_rows_overlap",
        "cuda_rows",
        changed(TESLA_10_0, driver=">= 385, < 384.111"),
        "cuda_rows",
        TESLA_10_0,
        "No driver lies in >= 385, < 384.111.",
    ),
    (
        "special_rows_are_no_alternative",
        "cuda_rows",
        changed(P100 + 1, except_compute_capability=None),
        "cuda_rows",
        P100 + 1,
        "CUDA 8.0 has a row for 6.0 alone, which this general row does not except.",
    ),
    (
        "capabilities_are_known",
        "cuda_rows",
        changed(1, min_compute_capability="2.5"),
        "cuda_rows",
        1,
        "Compute capability 2.5 has no row in architectures.",
    ),
    ("capabilities_are_known", "gpus", changed(7, variants={"99.9": []}), "gpus", 7, "Compute capability 99.9 has no"),
    ("branches_are_known", "toolkits", changed(7, branch="999"), "toolkits", 7, "Branch 999 has no row in driver_"),
    (
        "cuda_versions_are_known",
        "images",
        changed(1, cuda="14.2.1"),
        "images",
        1,
        "CUDA 14.2 has no row in cuda_rows.",
    ),
    (
        "architectures_end_rightly",
        "architectures",
        changed(KEPLER, last_toolkit="11.7"),
        "architectures",
        KEPLER,
        "Its last toolkit is 11.7, and the first without it 12.0.",
    ),
    (
        "architectures_end_rightly",
        "architectures",
        changed(KEPLER, last_driver_branch="510"),
        "architectures",
        KEPLER,
        "The last branch that drives it is 510, and branch 495 drops it.",
    ),
    (
        "architectures_end_rightly",
        "driver_branches",
        changed(line_of("driver_branches", branch="495"), drops=[]),
        "architectures",
        line_of("architectures", compute_capability="3.0"),
        "Branch 495 drops it, but does not name Kepler in `drops`.",
    ),
    (
        "chips_fit_their_products",
        "gpus",
        changed(line_of("gpus", product="H100"), variants={"8.0": ["GH100"]}),
        "gpus",
        line_of("gpus", product="H100"),
        "Chip GH100 has compute capability 9.0 in architectures, not compute capability 8.0.",
    ),
    ("chips_fit_their_products", "gpus", changed(1, variants={"9.0": ["ZZ100"]}), "gpus", 1, "Chip ZZ100 has no row"),
    (
        "devices_fit_their_architecture",
        "pci_ids",
        changed(FERMI, architecture="Kepler"),
        "pci_ids",
        FERMI,
        "Compute capability 2.0 is Fermi, not Kepler.",
    ),
    (
        "toolkits_fit_their_branch",
        "driver_branches",
        changed(line_of("driver_branches", branch="550"), max_cuda="12.3"),
        "toolkits",
        TOOLKIT_12_4,
        "Branch 550 reports CUDA 12.3, not 12.4.",
    ),
    (
        "toolkits_fit_their_branch",
        "toolkits",
        changed(TOOLKIT_12_4, min_driver="551.54.14"),
        "toolkits",
        TOOLKIT_12_4,
        "Driver 551.54.14 is not of branch 550.",
    ),
    (
        "newer_branches_report_newer_cuda",
        "driver_branches",
        changed(line_of("driver_branches", branch="550"), max_cuda="12.2"),
        "driver_branches",
        line_of("driver_branches", branch="550"),
        "Branch 550 reports CUDA 12.2, but branch 545 reports 12.3.",
    ),
    (
        "packages_fit_their_base",
        "forward_compat",
        changed(COMPAT_10_2, package="cuda-compat-10-1"),
        "forward_compat",
        COMPAT_10_2,
        "cuda-compat-10-1 is not the package of CUDA 10.2.",
    ),
    (
        "packages_fit_their_base",
        "forward_compat",
        changed(COMPAT_10_2, base="440"),
        "forward_compat",
        COMPAT_10_2,
        "is not of branch 440.",
    ),
    (
        "packages_fit_their_base",
        "forward_compat",
        changed(COMPAT_10_2, cell="X"),
        "forward_compat",
        COMPAT_10_2,
        "The cell is X, and only",
    ),
    (
        "holes_are_closed",
        "toolkit_cves",
        changed(CVE, fixed="99.0.0"),
        "toolkit_cves",
        CVE,
        "CVE-2024-0132 is closed by 99.0.0, and toolkit_releases ends with ",
    ),
    (
        "consequences_are_known",
        "failures",
        changed(1, explains=["no-such-family"]),
        "failures",
        1,
        "It explains no-such-family, which has no row.",
    ),
    (
        "faults_are_of_families",
        "toolkit_faults",
        changed(1, family="no-such"),
        "toolkit_faults",
        1,
        "Family no-such has no row in family_checks.",
    ),
    (
        "faults_are_of_families",
        "toolkit_faults",
        changed(FAULT, since="1.18.0"),
        "toolkit_faults",
        FAULT,
        "and ends before",
    ),
    (
        "families_are_detected",
        "family_checks",
        changed(SEEN, checks=[]),
        "family_checks",
        SEEN,
        "no check looks there.",
    ),
    (
        "families_are_detected",
        "family_checks",
        changed(SEEN, seen_in="run"),
        "family_checks",
        SEEN,
        "does not say why.",
    ),
    (
        "words_are_of_families",
        "family_words",
        changed(1, family="no-such"),
        "family_words",
        1,
        "Family no-such has no row in failures, and is no error with a number.",
    ),
    (
        "words_are_of_families",
        "printed_lines",
        changed(1, families=["no-such"]),
        "printed_lines",
        1,
        "Family no-such has no row in failures, and is no error with a number.",
    ),
    (
        "words_are_of_families",
        "symptoms",
        changed(1, causes=["no-such", "no-devices-found"]),
        "symptoms",
        1,
        "Family no-such has no row in failures, and is no error with a number.",
    ),
    (
        "downloads_have_a_folder",
        "install_commands",
        changed(1, commands=[["curl", "-fsSLo", "/tmp/a.deb", "https://x/a.deb"]]),
        "install_commands",
        1,
        "is not in a folder made by `mktemp -d`",
    ),
    (
        "downloads_have_a_folder",
        "cuda_errors",
        changed(1, commands=[["folder=$(mktemp -d)", "&&", "curl", "-fsSL", "https://x/a", "|", "sh"]]),
        "cuda_errors",
        1,
        "or is not awaited with &&.",
    ),
    (
        "files_have_one_package",
        "library_packages",
        changed(1, packages={"libgomp1": "plan9"}),
        "library_packages",
        1,
        "plan9 has no row in base_systems.",
    ),
    (
        "files_have_one_package",
        "library_packages",
        changed(1, packages={"libgomp1": "debian12", "libgomp": "debian12"}),
        "library_packages",
        1,
        "Two packages hold libgomp.so.1 on debian12.",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "table", "edit", "where", "line", "sentence"), BROKEN)
def test_the_rule_finds_what_is_wrong(rule: str, table: str, edit: Edit, where: str, line: int, sentence: str) -> None:
    judge = next(one for one in (*CUDA_RULES, *RULES) if one.__name__ == rule)
    found = list(judge(broken(table, edit)))
    assert any((one.file, one.line) == (where, line) and sentence in one.message for one in found), found


def test_every_rule_is_shown_to_find_something() -> None:
    assert {one[0] for one in BROKEN} == {rule.__name__ for rule in (*CUDA_RULES, *RULES)}


ROW = {"major": 11, "min_driver": "450.80.02", "source": "a page"}


@pytest.mark.parametrize(
    ("raw", "line", "sentence"),
    [
        (b"", None, "The table holds no row."),
        (b"\n", None, "The table holds no row."),
        (b"{}\n" * 20_001, None, "The table holds more than 20,000 lines."),
        (b"\x7fELF\x02\x01\n\xff\xfe", 2, "This line holds bytes that are no UTF-8."),
        (b"{", 1, "This line is no JSON: "),
        (b"\xef\xbb\xbf" + json.dumps(ROW).encode(), 1, "This line is no JSON: Unexpected UTF-8 BOM"),
        (json.dumps(ROW).encode() + b"\n\n", 2, "This line is no JSON: "),
        (b"[" * 100_000, 1, "This line is nested too deeply."),
        (b'{"major": ' + b"[" * 500 + b"]" * 500 + b"}", 1, "is not of type 'integer'"),
        (b'{"major": ' + b"1" * 5000 + b"}", 1, "This line holds a number of too many digits."),
        (b'{"major": NaN}', 1, "This line is no JSON: NaN is no number."),
        (b'{"major": 11, "major": 12}', 1, "This line gives one field twice."),
        (b"[]", 1, "[] is not of type 'object'."),
        (json.dumps({**ROW, "min_driver": "450.80.x"}).encode(), 1, "min_driver: '450.80.x' does not match "),
        (
            json.dumps({**ROW, "min_driver": "450.80\n"}).encode(),
            1,
            "The row holds a control character, in '450.80\\n'.",
        ),
        (json.dumps({**ROW, "colour": "red"}).encode(), 1, "('colour' was unexpected)."),
        (json.dumps({"major": 11, "min_driver": "450"}).encode(), 1, "'source' is a required property."),
        (json.dumps({**ROW, "source": " "}).encode(), 1, "The row names no source."),
        (json.dumps({**ROW, "source": "\x1b[31m"}).encode(), 1, "The row holds a control character, in '\\x1b[31m'."),
        ((json.dumps(ROW) + "\n" + json.dumps(ROW)).encode(), 2, "It has the same major as line 1."),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value,
)
def test_a_line_that_is_no_row_is_named(raw: bytes, line: int | None, sentence: str) -> None:
    _, problems = read_rows("minor_versions", "a file", raw)
    assert [(one.file, one.line) for one in problems] == [("a file", line)]
    assert sentence in problems[0].message
    assert len(problems[0].message) < 300


def test_no_image_has_two_requirements() -> None:
    rows = image_requirements()
    images = [(row.cuda, os, architecture) for row in rows for os in row.os for architecture in row.architectures]
    assert len(images) == len(set(images))


def test_a_framework_names_cuda_versions_and_compute_capabilities_that_exist() -> None:
    for row in framework_releases():
        assert all(resolve_cuda(cuda).unknown is None for cuda in row.cudas), row
        codes = [code for cuda in row.cudas for code in row.codes(cuda)]
        held = [(code.lowest, *(name.rstrip("af") for name in (*code.kernels, *code.ptx))) for code in codes]
        assert {capability for each in held for capability in each} <= set(tables.architectures()), row
        assert dict(row.aarch64).keys() <= set(row.cudas), row
        assert {row.default, *row.experimental} - {None} <= set(row.cudas), row


def test_the_releases_and_builds_of_a_framework_ascend() -> None:
    for framework in {row.framework for row in framework_releases()}:
        releases = [row for row in framework_releases() if row.framework == framework]
        versions = [parts(row.version.removeprefix("cu")) for row in releases]
        assert versions == sorted(set(versions)), framework
        for row in releases:
            builds = [parse_cuda(cuda) for cuda in row.cudas]
            assert builds == sorted(set(builds)), row


def test_what_is_built_like_a_release_is_newer_and_of_its_minor_version() -> None:
    for row in framework_releases():
        if row.until:
            assert parts(row.version) < parts(row.until), row
            assert row.version.split(".")[:2] == row.until.split(".")[:2], row
            # One that has got a row of its own since is that.
            assert release_covering(row.until, releases_of(row.framework)) is not None, row


def test_the_frameworks_of_the_reference_are_all_there() -> None:
    begun = {
        "pytorch": 50,
        "tensorflow": 39,
        "tensorflow-gpu": 28,
        "jax": 56,
        "jaxlib": 7,
        "onnxruntime-gpu": 27,
        "ngc": 51,
        "ngc-trtllm": 28,
        "ufoym/deepo": 5,
    }
    assert Counter(row.framework for row in framework_releases()) >= Counter(begun)

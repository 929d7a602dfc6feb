"""The tables as they are, their newest rows, and the tables as a later day has them: a newer row of everything.

`python tests/newer.py FOLDER` makes a copy of this checkout that has them, in which the tests pass as here.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data"
Row = dict[str, Any]
LATER = {"source": "a page of a later day"}


def rows_of(table: str) -> list[Row]:
    """The rows of one of gpuctl's own tables."""
    return [json.loads(line) for line in (DATA / f"{table}.jsonl").read_text().splitlines()]


def text_of(rows: list[Row]) -> str:
    """The rows as a table's file has them."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def after(version: str) -> str:
    """The version that follows: its second number one higher, as wide as it was, and the third 0."""
    major, minor, *rest = version.split(".")
    return ".".join((major, str(int(minor) + 1).zfill(len(minor)), *("0" for _ in rest)))


_NEWEST_DAY = max(date.fromisoformat(row["as_of"]) for row in rows_of("tables"))
DAY, NEXT_DAY = str(_NEWEST_DAY + timedelta(60)), str(_NEWEST_DAY + timedelta(61))
"""Days later than that of any table."""
NEWEST_CUDA: str = rows_of("cuda_rows")[-1]["cuda"]
NEWEST_BRANCH: str = rows_of("driver_branches")[-1]["branch"]
NEWEST_DRIVER: str = rows_of("driver_branches")[-1]["newest_version"]
NEXT_CUDA = after(NEWEST_CUDA)
NEXT_BRANCH = str(int(NEWEST_BRANCH) + 5)
NEXT_DRIVER = f"{NEXT_BRANCH}.10.01"
FAMILY, WORDS = "brand-new-failure", "a failure that nobody has seen before"


def with_next_cuda() -> dict[str, list[Row]]:
    """The three tables that know of a CUDA version, and of the driver's branch that comes with it."""
    cuda, toolkits, branches = (rows_of(table) for table in ("cuda_rows", "toolkits", "driver_branches"))
    branch = {"branch": NEXT_BRANCH, "max_cuda": NEXT_CUDA, "newest_version": NEXT_DRIVER}
    release = {"release": f"{NEXT_CUDA}.0", "cuda": NEXT_CUDA, "branch": NEXT_BRANCH}
    return {
        "cuda_rows": [*cuda, {**cuda[-1], "cuda": NEXT_CUDA, "driver": f">= {NEXT_BRANCH}", **LATER}],
        "toolkits": [*toolkits, {**toolkits[-1], **release, **LATER}],
        "driver_branches": [*branches, {**branches[-1], **branch, **LATER}],
    }


def with_next_framework() -> dict[str, list[Row]]:
    """Every framework that counts its releases has one more, the newest for the next CUDA version."""
    rows = rows_of("frameworks")
    newest = {row["framework"]: row for row in rows if row["version"].replace(".", "").isdigit()}
    for row in newest.values():
        builds = {NEXT_CUDA: "7.5"} if row["framework"] == "pytorch" else row["builds"]
        later = {**row, "version": after(row["version"]), "builds": builds, **LATER}
        rows.insert(
            rows.index(row) + 1, {field: value for field, value in later.items() if field not in ("default", "until")}
        )
    return {"frameworks": rows}


def with_next_family() -> dict[str, list[Row]]:
    """A failure of which nobody has known, the first of its layer."""
    failures, checks = rows_of("failures"), rows_of("family_checks")
    remedy = {"text": "Read what it says.", "commands": [["gpuctl", "doctor"]]}
    told = {"title": "Something new", "layer": "image", "cause": "It is new.", "cores": [WORDS]}
    place = next(place for place, row in enumerate(failures) if row["layer"] == told["layer"])
    seen = {"seen_in": "run", "why": "only the failing command shows it"}
    return {
        "failures": [*failures[:place], {"id": FAMILY, **told, "remedies": [remedy], **LATER}, *failures[place:]],
        "family_checks": [{"family": FAMILY, **seen, **LATER}, *checks],
        "family_words": [*rows_of("family_words"), {"family": FAMILY, "told_as": ["it has never been seen"], **LATER}],
        "printed_lines": [
            *rows_of("printed_lines"),
            {"lines": ["nobody has seen this"], "families": [FAMILY], **LATER},
        ],
        "symptoms": [
            *rows_of("symptoms"),
            {"symptom": "it is new", "shown_by": [FAMILY], "causes": ["disk-full", "image-not-found"], **LATER},
        ],
    }


def with_next_of_the_rest() -> dict[str, list[Row]]:
    """A release of the toolkit, an image, packages, a product, a device and an Xid more."""
    toolkits, images, packages = rows_of("toolkit_releases"), rows_of("images"), rows_of("forward_compat")
    products, devices, xids = rows_of("gpus"), rows_of("pci_ids"), rows_of("xids")
    latest = [row for row in packages if row["cuda"] == packages[-1]["cuda"]]
    named = {"cuda": NEXT_CUDA, "package": f"cuda-compat-{NEXT_CUDA.replace('.', '-')}", **LATER}
    return {
        "toolkit_releases": [*toolkits, {**toolkits[-1], "version": after(toolkits[-1]["version"]), **LATER}],
        "images": [*images, {**images[-1], "cuda": f"{NEXT_CUDA}.0", **LATER}],
        "forward_compat": [*packages, *({**row, **named} for row in latest)],
        "gpus": [*products, {**products[-1], "product": "Brand New 1", "aliases": ["BN1"], **LATER}],
        "pci_ids": [*devices, {**devices[-1], "device": "ff00", "product": "Brand New 1", **LATER}],
        "xids": [*xids, {**xids[-1], "xid": xids[-1]["xid"] + 1, **LATER}],
    }


def newer() -> dict[str, list[Row]]:
    """All tables that a later day changes, whole."""
    return {**with_next_cuda(), **with_next_framework(), **with_next_family(), **with_next_of_the_rest()}


def write(folder: Path, day: str = DAY, **tables: list[Row]) -> Path:
    """Makes a folder of these tables and of the catalogue, which gives them a day. Returns it."""
    folder.mkdir(exist_ok=True)
    catalogue = [{**row, "as_of": day} for row in rows_of("tables") if row["table"] in tables]
    for table, rows in {**tables, "tables": catalogue}.items():
        (folder / f"{table}.jsonl").write_text(text_of(rows))
    return folder


def newer_checkout(folder: Path) -> Path:
    """Makes a copy of this checkout in which all that a later day knows is its rows. Returns it."""
    made = shutil.ignore_patterns(".git", ".venv", ".hypothesis", "*_cache", "__pycache__", "build", "dist")
    shutil.copytree(ROOT, folder, ignore=made, dirs_exist_ok=True)
    tables = newer()
    catalogue = [{**row, "as_of": DAY} if row["table"] in tables else row for row in rows_of("tables")]
    for table, rows in {**tables, "tables": catalogue}.items():
        (folder / "data" / f"{table}.jsonl").write_text(text_of(rows))
    tests = folder / "tests" / "data"
    with (tests / "canonical.jsonl").open("a") as canonical, (tests / "released_ids.txt").open("a") as ids:
        canonical.write(text_of([{"family": FAMILY, "text": WORDS}]))
        ids.write(f"family {FAMILY}\n")
    for writer in ("data/build_family_terms.py", "docs/failures.py", "completions/generate.py"):
        subprocess.run([sys.executable, folder / writer], env={"PYTHONPATH": str(folder)}, check=True)
    return folder


if __name__ == "__main__":
    print(newer_checkout(Path(sys.argv[1])))

"""Reads which torch the releases of packages require to the very version, for `pins` of indirect_packages.jsonl.

    python data/build_torch_pins.py torchvision xformers
    torchvision: "0.16.1":"2.1.1","0.16.2":"2.1.2",… until 0.29.2

A wheel's METADATA has it, of which nothing else is read, by ranges. Releases that require the same are told once, by
the first of them; "" is a release that leaves the version open. Not part of any test: it asks PyPI.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterator
from email import message_from_bytes

from build_framework_code import Ranges, opened
from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

_INDEX = "https://pypi.org/simple"
_FORMAT = {"Accept": "application/vnd.pypi.simple.v1+json"}
_BLOCK = 1 << 16


def wheels(package: str) -> dict[Version, str]:
    """Returns the address of a wheel for Linux, or for any system, of each release, oldest first."""
    with opened(f"{_INDEX}/{package}/", "GET", _FORMAT) as answer:
        files = json.load(answer)["files"]
    found: dict[Version, str] = {}
    for file in files:
        try:
            _, version, _, tags = parse_wheel_filename(file["filename"])
        except InvalidWheelFilename:
            continue
        platforms = {tag.platform for tag in tags}
        if not version.is_prerelease and any(one == "any" or ("linux" in one and "x86_64" in one) for one in platforms):
            found[version] = file["url"]
    return dict(sorted(found.items()))


def pin(address: str) -> str:
    """Returns the very version of torch that a wheel requires: "2.1.2" of torch==2.1.2; "" where it requires none."""
    with zipfile.ZipFile(io.BufferedReader(Ranges(address), _BLOCK)) as wheel:
        (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        said = message_from_bytes(wheel.read(metadata)).get_all("Requires-Dist", [])
    needed = [one for one in map(Requirement, said) if one.name == "torch" and "extra" not in str(one.marker)]
    exact = (clause.version for one in needed for clause in one.specifier if clause.operator == "==")
    return next((version.partition("+")[0] for version in exact), "")


def changes(wheels: dict[Version, str]) -> Iterator[tuple[Version, str]]:
    """Yields the releases with which another torch is required, each with what it requires."""
    before = None
    for version, address in wheels.items():
        required = pin(address)
        if required != before:
            yield version, required
        before = required


def main() -> None:
    for package in sys.argv[1:]:
        found = wheels(package)
        told = ",".join(f'"{version}":"{required}"' for version, required in changes(found))
        print(f"{package}: {told} until {max(found, default='none')}", flush=True)


if __name__ == "__main__":
    main()

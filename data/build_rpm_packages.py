"""Writes into data/library_packages.jsonl which RPM packages hold what applications need.

    python data/build_rpm_packages.py CLONE

CLONE is a clone of https://github.com/xcp-ng/xcpng-bitbake-proto, which holds the metadata of AlmaLinux 10.0's
repositories as recipes of Yocto: in one commit what each package provides and requires, in a later one which package
libdnf takes for each requirement. Packages with an epoch are told by the later one alone. AlmaLinux and Rocky Linux
build Red Hat's packages under Red Hat's names. Not part of any test: what it reads is not bundled.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from build_library_packages import LIBRARIES, replace

SYSTEM, ENABLED = "rockylinux10", ("BaseOS", "AppStream")
"""The repositories that are enabled in its images; CRB is not."""
SOURCE = "xcp-ng/xcpng-bitbake-proto"
ENTRIES, RESOLVED = "2a12fc6", "d77dbfb"
_LIBRARY = re.compile(r"(\S+\.so[^\s()]*)\(\)\(64bit\)(?=\s|$)")
"""Not `libmpi.so.40()(64bit)(openmpi-x86_64)`, which lies where no program finds it by itself."""


def main(clone: Path) -> None:
    """Writes the rows of each library that one package alone holds: what several hold dnf chooses among."""
    entries, resolved = _recipes(clone, ENTRIES), _recipes(clone, RESOLVED)
    places = dict(re.findall(r'^URI_(\S+) = "\S+/10\.0/(\w+)/', entries + resolved, re.MULTILINE))
    provided = _by_library(entries, "RPROVIDES")
    required = _by_library(entries, "RDEPENDS")
    taken = {name: set(deps.split()) for name, deps in _lists(resolved, "RDEPENDS")}
    with_epoch = _with_epoch(resolved)
    found: dict[tuple[str, str], dict[str, set[str]]] = {}
    for library in LIBRARIES:
        packages, commit, how = provided[library], ENTRIES, "AlmaLinux 10.0"
        if not packages:
            sets = [taken[name] & with_epoch for name in required[library] if name in taken]
            packages, commit, how = set.intersection(*sets) if sets else set(), RESOLVED, "libdnf on AlmaLinux 10.0"
        if len(packages) == 1 and places[(package := packages.pop())] in ENABLED:
            found[library, package] = {f"{SOURCE}@{commit} ({how})": {SYSTEM}}
    replace(found)


def _recipes(clone: Path, commit: str) -> str:
    def git(*words: str, given: str = "") -> str:
        argv = ("git", "-C", str(clone), *words)
        return subprocess.run(argv, input=given, capture_output=True, text=True, check=True).stdout

    paths = [path for path in git("ls-tree", "-r", "--name-only", commit).splitlines() if path.endswith(".bb")]
    return git("cat-file", "--batch", given="".join(f"{commit}:{path}\n" for path in paths))


def _lists(recipes: str, variable: str) -> list[tuple[str, str]]:
    """RPROVIDES:numactl-libs = "libnuma.so.1()(64bit) ( ) …": the package, and what stands behind it."""
    return re.findall(rf'^{variable}:(\S+) = "([^"]*)"', recipes.replace("\\\n", ""), re.MULTILINE)


def _by_library(recipes: str, variable: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for package, entries in _lists(recipes, variable):
        for library in _LIBRARY.findall(entries):
            found[library].add(package)
    return found


def _with_epoch(recipes: str) -> set[str]:
    epochs = re.findall(r'^PE = "(\d+)".*?^PACKAGES = "([^"]*)"', recipes, re.MULTILINE | re.DOTALL)
    return {package for epoch, packages in epochs for package in packages.split() if epoch != "0"}


if __name__ == "__main__":
    main(Path(sys.argv[1]))

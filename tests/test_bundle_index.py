"""What the indices of repositories say, in the forms that NVIDIA's have, and that others have."""

from __future__ import annotations

import gzip
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuctl.provision.bundle import deb, rpm
from gpuctl.provision.bundle.index import Digest, IndexedPackage, IndexProblem, check_sum, toolkits

TOOLKIT = (
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
    "libnvidia-container-tools",
    "libnvidia-container1",
)
S256, S512 = "ab" * 32, "cd" * 64
RELEASE = f"""Architectures: amd64
Label: NVIDIA CORPORATION <cudatools@nvidia.com>
Version: 1.0
SHA512:
 {S512}            90397 Packages
 {S512}            14820 ./Packages.xz
"""
STANZA = f"""Package: libnvidia-container-tools
Architecture: amd64
Version: 1.14.0-1
Installed-Size: 63
Depends: libc6 (>= 2.8), libcap2 (>= 1:2.10), libnvidia-container1 (>= 1.14.0) | other
Filename: ./libnvidia-container-tools_1.14.0-1_amd64.deb
Size: 19304
MD5sum: 6c1ce214cc249949d6c8c59aef1f97f7
SHA256: {S256}
SHA512: {S512}
Description: NVIDIA container runtime library (command-line tools)
 The nvidia-container library provides an interface to configure GNU/Linux
"""
REPOMD = f"""<?xml version="1.0" encoding="UTF-8"?>
<repomd xmlns="http://linux.duke.edu/metadata/repo" xmlns:rpm="http://linux.duke.edu/metadata/rpm">
  <revision>1.0</revision>
  <data type="primary">
    <checksum type="sha512">{S512}</checksum>
    <location href="repodata/{S512}-primary.xml.gz"/>
    <size>16914</size>
  </data>
  <data type="other_db">
    <checksum type="sha256">{S256}</checksum>
    <location href="repodata/other.sqlite.xz"/>
  </data>
</repomd>
"""
PRIMARY = f"""<?xml version="1.0"?>
<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="2">
  <package type="rpm"><name>libnvidia-container-tools</name><arch>aarch64</arch>
    <version epoch="0" ver="1.18.0" rel="1"/><checksum type="sha512" pkgid="YES">{S512}</checksum>
    <size package="39" installed="1" archive="2"/><location href="pool/libnvidia-container-tools-1.18.0-1.aarch64.rpm"/>
    <format><rpm:requires><rpm:entry name="libnvidia-container1(aarch-64)"/><rpm:entry name="libnvidia-container1"/>
    </rpm:requires></format></package>
  <package type="rpm"><name>old</name><arch>aarch64</arch><version epoch="0" ver="1" rel="1"/>
    <checksum type="md5">x</checksum><size package="1"/><location href="old.rpm"/></package>
</metadata>
"""


def test_a_release_file_gives_the_sums_of_the_better_kind() -> None:
    both = RELEASE + f"SHA256:\n {S256} 1 Packages\nMD5Sum:\n {'0' * 32} 1 Packages\n"
    for text in (RELEASE, both):
        sums = deb.release_sums(text)
        assert sums == {"Packages": (90397, Digest("sha512", S512)), "Packages.xz": (14820, Digest("sha512", S512))}
    assert deb.release_sums(f"A: b\nSHA256:\n {S256} 7 Packages.gz\nX: y\n {S256} 8 No\n") == {
        "Packages.gz": (7, Digest("sha256", S256))
    }
    assert deb.release_sums(f"A: b\nMD5Sum:\n {'0' * 32} 7 Packages\n") == {}


def test_a_stanza_gives_a_package() -> None:
    (one,) = deb.parse_packages(STANZA + "\nPackage: broken\nVersion: 1\n")
    assert (one.name, one.version, one.path) == (
        "libnvidia-container-tools",
        "1.14.0-1",
        "libnvidia-container-tools_1.14.0-1_amd64.deb",
    )
    assert (one.size, one.digest) == (19304, Digest("sha512", S512))
    assert one.needs == ("libc6", "libcap2", "libnvidia-container1", "other")


def test_repomd_and_primary_give_lists_and_packages_by_either_sum() -> None:
    primary, database = rpm.parse_lists(REPOMD.encode())
    assert (primary.kind, primary.size, primary.digest) == ("primary", 16914, Digest("sha512", S512))
    assert (database.size, database.digest) == (None, Digest("sha256", S256))
    (one,) = rpm.parse_packages(PRIMARY.encode())
    assert one.path == "pool/libnvidia-container-tools-1.18.0-1.aarch64.rpm"
    assert (one.version, one.architecture, one.needs[-1]) == ("1.18.0-1", "aarch64", "libnvidia-container1")
    index = {rpm.LIST: REPOMD.encode(), primary.path: gzip.compress(PRIMARY.encode())}
    assert rpm.packages(index) == (one,)


def package(name: str, *needs: str, version: str = "1.18.0-1", architecture: str = "amd64") -> IndexedPackage:
    return IndexedPackage(name, version, architecture, f"{name}.deb", 1, Digest("sha256", S256), needs)


def test_only_whole_toolkits_count_and_each_package_follows_what_it_needs() -> None:
    whole = [package("nvidia-container-toolkit", "libnvidia-container-tools", "nvidia-container-toolkit-base")]
    whole += [package("libnvidia-container-tools", "libnvidia-container1", "libc6"), package(TOOLKIT[1])]
    whole += [package("libnvidia-container1", "libc6")]
    others = [package(TOOLKIT[0], version="1.19.0-1"), package(TOOLKIT[0], architecture="arm64"), package("libc6")]
    found = toolkits([*others, *whole], "amd64")
    assert {version: [one.name for one in parts] for version, parts in found.items()} == {
        "1.18.0-1": [TOOLKIT[3], TOOLKIT[1], TOOLKIT[2], TOOLKIT[0]]
    }
    circle = [package(TOOLKIT[1], TOOLKIT[0]), package(TOOLKIT[0], TOOLKIT[1]), *whole[1:2], *whole[3:]]
    with pytest.raises(IndexProblem, match="in a circle"):
        toolkits(circle, "amd64")


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_file_is_the_one_of_its_size_and_sum(algorithm: str) -> None:
    digest = Digest(algorithm, hashlib.new(algorithm, b"x").hexdigest())
    check_sum("x", b"x", 1, digest)
    check_sum("x", b"x", None, digest)
    for raw, size in ((b"y", 1), (b"x", 2)):
        with pytest.raises(IndexProblem):
            check_sum("x", raw, size, digest)


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ({}, "no repodata/repomd.xml"),
        ({rpm.LIST: b"<a"}, "is not XML"),
        ({rpm.LIST: b"<repomd/>"}, "no list of packages"),
        ({rpm.LIST: REPOMD.encode()}, "no list of packages"),
        ({rpm.LIST: REPOMD.replace(".gz", ".zst").encode(), f"repodata/{S512}-primary.xml.zst": b""}, "packed by gzip"),
        ({rpm.LIST: REPOMD.encode(), f"repodata/{S512}-primary.xml.gz": b"x"}, "cannot be opened"),
        ({rpm.LIST: REPOMD.replace("sha512", "md5").encode()}, "without a path, or a sum"),
    ],
)
def test_an_index_that_is_none_is_a_clause(index: dict[str, bytes], words: str) -> None:
    with pytest.raises(IndexProblem, match=words):
        rpm.packages(index)
    with pytest.raises(IndexProblem, match="no list of packages"):
        deb.packages(index)


@pytest.mark.slow
@given(st.text(max_size=400))
def test_any_text_is_an_index_or_a_clause(text: str) -> None:
    deb.release_sums(text)
    deb.parse_packages(STANZA + text)
    for parse in (rpm.parse_lists, rpm.parse_packages):
        try:
            parse(text.encode("utf-8", "replace"))
        except IndexProblem as problem:
            assert str(problem)

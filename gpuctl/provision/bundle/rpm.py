"""A repository of rpm packages: repomd.xml, which is signed and names the lists, of which `primary` names the packages.

Source: https://createrepo.baseurl.org/ and https://github.com/rpm-software-management/createrepo_c
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree

from gpuctl.bounds import unpacked
from gpuctl.frozen import dataclass
from gpuctl.provision.bundle.index import (
    LIST_LIMIT,
    Digest,
    Fetch,
    IndexedPackage,
    IndexProblem,
    Verify,
    check_sum,
    digest_of,
)

LIST, SIGNATURE = "repodata/repomd.xml", "repodata/repomd.xml.asc"
ARCHITECTURES: Mapping[str, str] = {"amd64": "x86_64", "arm64": "aarch64"}
_REPO = "{http://linux.duke.edu/metadata/repo}"
_COMMON = "{http://linux.duke.edu/metadata/common}"
_RPM = "{http://linux.duke.edu/metadata/rpm}"
_SIZE = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True)
class RepositoryList:
    """A list that repomd.xml names: its path, its size in bytes where that is told, and its sum."""

    kind: str
    path: str
    size: int | None
    digest: Digest


def signed_index(fetch: Fetch, verify: Verify) -> dict[str, bytes]:
    """Returns repomd.xml, its signature, and the lists that it names, but for databases, which nobody needs besides."""
    listed, signature = fetch(LIST), fetch(SIGNATURE)
    index = {LIST: listed, SIGNATURE: signature}
    for one in parse_lists(verify(listed, signature)):
        if not one.kind.endswith("_db"):
            index[one.path] = fetch(one.path)
            check_sum(one.path, index[one.path], one.size, one.digest)
    return index


def parse_lists(raw: bytes) -> tuple[RepositoryList, ...]:
    """Returns the lists that a repomd.xml names. Raises IndexProblem.

    <repomd xmlns="http://linux.duke.edu/metadata/repo"><data type="primary">
      <checksum type="sha256">2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824</checksum>
      <location href="repodata/2cf24dba-primary.xml.gz"/><size>1024</size>
    </data></repomd>
    """
    return tuple(_list(element) for element in _root(LIST, raw).iter(f"{_REPO}data"))


def _list(element: ElementTree.Element) -> RepositoryList:
    path, digest = _href(element, _REPO), _digest(element, _REPO)
    if not path or digest is None:
        raise IndexProblem(f"its {LIST} names a list without a path, or a sum by SHA-256 or SHA-512")
    size = (element.findtext(f"{_REPO}size") or "").strip()
    return RepositoryList(element.get("type") or "", path, int(size) if _SIZE.fullmatch(size) else None, digest)


def packages(index: Mapping[str, bytes]) -> tuple[IndexedPackage, ...]:
    """Returns the packages of the list `primary`."""
    if LIST not in index:
        raise IndexProblem(f"it has no {LIST}")
    primary = next((one for one in parse_lists(index[LIST]) if one.kind == "primary"), None)
    if primary is None or primary.path not in index:
        raise IndexProblem("it has no list of packages")
    if not primary.path.endswith(".xml.gz"):
        raise IndexProblem(
            f"its list of packages, {primary.path}, is not packed by gzip, which is all that gpuctl opens"
        )
    try:
        raw = unpacked(index[primary.path], LIST_LIMIT)
    except OSError as error:
        raise IndexProblem(f"its {primary.path} cannot be opened: {error.strerror}") from None
    return parse_packages(raw)


def parse_packages(raw: bytes) -> tuple[IndexedPackage, ...]:
    """Returns the packages of a primary.xml that have all that is needed of them. Raises IndexProblem.

    <metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm">
      <package type="rpm"><name>libnvidia-container1</name><arch>x86_64</arch>
        <version epoch="0" ver="1.18.0" rel="1"/><size package="21190"/>
        <checksum type="sha256">2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824</checksum>
        <location href="libnvidia-container1-1.18.0-1.x86_64.rpm"/>
        <format><rpm:requires><rpm:entry name="libc.so.6()(64bit)"/></rpm:requires></format>
      </package>
    </metadata>
    """
    found = (_package(element) for element in _root("list of packages", raw).iter(f"{_COMMON}package"))
    return tuple(one for one in found if one is not None)


def _package(element: ElementTree.Element) -> IndexedPackage | None:
    name, path = element.findtext(f"{_COMMON}name"), _href(element, _COMMON)
    version, size = (element.find(f"{_COMMON}{tag}") for tag in ("version", "size"))
    digest, length = _digest(element, _COMMON), (size.get("package") if size is not None else None) or ""
    if version is None or digest is None or not (name and path and _SIZE.fullmatch(length)):
        return None
    requires = element.iterfind(f"{_COMMON}format/{_RPM}requires/{_RPM}entry")
    return IndexedPackage(
        name=name,
        version=f"{version.get('ver')}-{version.get('rel')}",
        architecture=element.findtext(f"{_COMMON}arch") or "",
        path=path,
        size=int(length),
        digest=digest,
        needs=tuple(entry.get("name") or "" for entry in requires),
    )


def _digest(element: ElementTree.Element, space: str) -> Digest | None:
    told = element.find(f"{space}checksum")
    return digest_of(told.get("type") or "", (told.text or "").strip()) if told is not None else None


def _href(element: ElementTree.Element, space: str) -> str:
    location = element.find(f"{space}location")
    return (location.get("href") or "") if location is not None else ""


def _root(name: str, raw: bytes) -> ElementTree.Element:
    """The root of a document whose signature was verified before: whom to trust with it is decided by then."""
    try:
        return ElementTree.fromstring(raw)  # noqa: S314
    except ElementTree.ParseError as error:
        raise IndexProblem(f"its {name} is not XML: {error}") from None

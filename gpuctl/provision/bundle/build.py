"""Making a bundle where there is a network: what goes in is what the repository's signature vouches for."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping

from gpuctl import __version__
from gpuctl.compat.knowledge.install_commands import package_repositories
from gpuctl.facts.machine.system import FAMILIES
from gpuctl.frozen import dataclass
from gpuctl.host.act.download import SIGNED, DownloadProblem, download
from gpuctl.provision.bundle.archive import (
    KEYS,
    LIMIT,
    ZIPAPP,
    Bundle,
    BundledPackage,
    BundleProblem,
    Manifest,
    content_of,
    path_of,
)
from gpuctl.provision.bundle.index import IndexedPackage, IndexProblem, check_sum, toolkits
from gpuctl.provision.bundle.openpgp import fingerprints
from gpuctl.provision.bundle.signature import signed
from gpuctl.provision.bundle.use import INDEXES, kind_of
from gpuctl.provision.packages.key import is_armoured, signing_key
from gpuctl.provision.packages.packages import checked_repo_url, is_version, newest, shown_versions
from gpuctl.provision.result import Refused

_OS = re.compile(r"([A-Za-z][A-Za-z-]*?)-?([0-9]{1,4}(?:\.[0-9]{1,2})?)")
_DEADLINE = 600.0
"""Seconds for one file."""
_PROGRAMS = (b"#!", b"PK")
"""How a Python program in one file begins: zipapp in Python's library."""
_ABOUT_LIMIT = 1 << 16
"""Bytes of gpuctl/__init__.py, which has the version."""
_VERSION = re.compile(rb'^__version__ = "([^"\n]{1,40})"', re.MULTILINE)


@dataclass(frozen=True)
class BundleWish:
    """What the person asked for. Without `toolkit`: the newest version."""

    os: str
    architecture: str
    toolkit: str | None = None
    repo_url: str | None = None
    key_file: str | None = None
    zipapp: bytes | None = None


def manager_of(os: str) -> str:
    """Returns the package manager of an operating system, as ubuntu22.04. Raises ValueError for one not known."""
    found = _OS.fullmatch(os)
    managers = FAMILIES.get(found[1], ()) if found else ()
    known = [manager for manager in managers if manager in package_repositories()]
    if not known:
        names = ", ".join(name for name, of in FAMILIES.items() if of[0] in package_repositories())
        raise ValueError(f"{os!r} is no distribution with its version, as ubuntu22.04, of {names}")
    return known[0]


def check_zipapp(raw: bytes) -> None:
    """Raises ValueError for a file that is not gpuctl of this version as a single file."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            archive.getinfo("__main__.py")
            about = archive.getinfo("gpuctl/__init__.py")
            if not raw.startswith(_PROGRAMS) or about.file_size > _ABOUT_LIMIT:
                raise zipfile.BadZipFile
            told = _VERSION.search(archive.read(about))
    except (zipfile.BadZipFile, zlib.error, KeyError, OSError, EOFError, NotImplementedError, RuntimeError):
        raise ValueError("it is not gpuctl as a single file") from None
    version = told[1].decode("utf-8", "replace") if told else "another"
    if version != __version__:
        raise ValueError(f"it is gpuctl {version}, and this is {__version__}: take the one of the same release")


def build_bundle(wish: BundleWish) -> Bundle:
    """Returns the bundle. Raises Refused where the repository cannot be reached, or is not what its key has signed."""
    manager = manager_of(wish.os)
    known = package_repositories()[manager]
    kind = kind_of(manager)
    family, architecture = INDEXES[kind], INDEXES[kind].ARCHITECTURES[wish.architecture]
    url = checked_repo_url(wish.repo_url, manager) if wish.repo_url else known.url
    url = url.replace("$(ARCH)", architecture).replace("$basearch", architecture)
    key = signing_key(wish.key_file, known.key)
    fingerprint = _fingerprint(key, wish.key_file or known.key, None if wish.key_file else known.fingerprint)
    fetch = _from(url)
    try:
        index = family.signed_index(fetch, lambda text, signature: signed(url, key, text, signature))
        version, parts = _chosen(url, toolkits(family.packages(index), architecture), wish.toolkit)
        files = {one.path: _package(fetch, one) for one in parts}
    except IndexProblem as problem:
        raise Refused(f"{url} cannot be used: {problem}.") from None
    own = {
        **({ZIPAPP: wish.zipapp} if wish.zipapp is not None else {}),
        (KEYS[0] if is_armoured(key) else KEYS[1]): key,
    }
    content, members = content_of(own, {**index, **files})
    packages = tuple(BundledPackage(one.name, one.version, path_of(one.path)) for one in parts)
    manifest = Manifest(
        os=wish.os,
        kind=kind,
        architecture=wish.architecture,
        toolkit=version,
        repository=url,
        fingerprint=fingerprint,
        packages=packages,
        files=members,
    )
    return Bundle(manifest, content)


def _fingerprint(key: bytes, place: str, wanted: str | None) -> str:
    """That of the one key. Raises Refused where it is not the one that gpuctl knows."""
    try:
        found = fingerprints(key)
    except ValueError as error:
        raise Refused(f"{place} is no OpenPGP public key: {error}.") from None
    if len(found) > 1:
        raise Refused(f"{place} holds {len(found)} keys. Name a file of the one that signs the repository.")
    if wanted is not None and found[0] != wanted:
        raise Refused(
            f"The key at {place} has the fingerprint {found[0]}, and gpuctl knows {wanted}. Where NVIDIA has changed"
            " its key, name a file of the new one with --key-file."
        )
    return found[0]


def _from(url: str) -> Callable[[str], bytes]:
    def fetch(path: str) -> bytes:
        try:
            return download(f"{url.rstrip('/')}/{path}", LIMIT, _DEADLINE, schemes=SIGNED)
        except DownloadProblem as problem:
            raise Refused(f"{path} cannot be fetched: {problem}") from None

    return fetch


def _chosen(
    url: str, offered: Mapping[str, tuple[IndexedPackage, ...]], wished: str | None
) -> tuple[str, tuple[IndexedPackage, ...]]:
    fitting = [version for version in offered if is_version(version, wished)]
    if not offered:
        raise Refused(f"{url} has no whole NVIDIA Container Toolkit.")
    if not fitting:
        raise Refused(f"{url} has no version {wished} of the toolkit. It has {shown_versions(offered)}.")
    version = newest(fitting)
    return version, offered[version]


def _package(fetch: Callable[[str], bytes], one: IndexedPackage) -> bytes:
    raw = fetch(one.path)
    check_sum(one.path, raw, one.size, one.digest)
    return raw


__all__ = ["BundleProblem", "BundleWish", "build_bundle", "check_zipapp", "manager_of"]

"""A bundle that somebody brought: whether it is for this host, and whether its packages are the publisher's.

What its manifest says is taken for nothing here. The key counts by its fingerprint, which gpuctl knows, or because the
person named it; the index by the key, as the package manager verifies it; the packages by the index.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from gpuctl.compat.knowledge.install_commands import package_repositories
from gpuctl.facts.machine.distribution import Distribution
from gpuctl.frozen import dataclass
from gpuctl.host.write.files import pieces_named
from gpuctl.host.write.output import write_whole
from gpuctl.host.write.publish import create_public
from gpuctl.host.write.scratch import scratch
from gpuctl.model import ExitCode
from gpuctl.provision.bundle import deb, rpm
from gpuctl.provision.bundle.archive import LIMIT, Bundle, unpack
from gpuctl.provision.bundle.index import IndexFamily, IndexProblem, toolkits
from gpuctl.provision.bundle.openpgp import fingerprints
from gpuctl.provision.packages.key import signing_key
from gpuctl.provision.packages.plan import Repository
from gpuctl.provision.packages.runs import KEPT
from gpuctl.provision.result import Refused

INDEXES: Mapping[str, IndexFamily] = {"deb": deb, "rpm": rpm}


@dataclass(frozen=True)
class GivenBundle:
    """A bundle, and the file from which it was read."""

    path: str
    bundle: Bundle


def kind_of(manager: str) -> str:
    """Returns which kind of packages a package manager installs."""
    return "deb" if manager == "apt" else "rpm"


def read_bundle(path: str) -> GivenBundle:
    """Returns the bundle in a file. Raises FileProblem, and BundleProblem where it is none, or not whole."""
    return GivenBundle(path, unpack(b"".join(pieces_named(path, LIMIT))))


def check_host(given: GivenBundle, distribution: Distribution | None, architecture: str, manager: str) -> None:
    """Raises Refused where the bundle is for another operating system, architecture or package manager."""
    manifest = given.bundle.manifest
    here = f"{distribution.id}{distribution.version}" if distribution else "unknown"
    fits = here == manifest.os or here.startswith(f"{manifest.os}.")
    if not (fits and architecture == manifest.architecture and kind_of(manager) == manifest.kind):
        raise Refused(
            f"{given.path} is for {manifest.os} on {manifest.architecture}, and this host is {here} on {architecture}."
        )


def trusted_key(given: GivenBundle, key_file: str | None, manager: str) -> bytes:
    """Returns the key by which the bundle counts: the person's, else its own if that is NVIDIA's. Raises Refused."""
    if key_file:
        return signing_key(key_file, "")
    known = package_repositories()[manager].fingerprint
    try:
        found = fingerprints(given.bundle.key)
    except ValueError as error:
        raise Refused(f"The key in {given.path} cannot be read: {error}.", ExitCode.USAGE) from None
    if found != (known,):
        raise Refused(
            f"The key in {given.path} is not NVIDIA's, but {', '.join(found)}. If you know it as a mirror's, name a"
            " file of that key with --key-file.",
            ExitCode.USAGE,
        )
    return given.bundle.key


@contextmanager
def unpacked(given: GivenBundle, manager: str, key: bytes) -> Iterator[Repository]:
    """Gives the repository that is in the bundle, as files of a folder that is gone afterwards. Raises FileProblem."""
    with scratch(given.bundle.repository) as folder:
        yield Repository(manager, f"file://{folder}", key, given.bundle.manifest.architecture)


def store(given: GivenBundle) -> None:
    """Keeps the packages where an undo looks for them: once a later bundle has replaced them nobody else has them.

    Raises FileProblem.
    """
    create_public(KEPT)
    packages = {one.file for one in given.bundle.manifest.packages}
    for file in given.bundle.manifest.files:
        if file.path in packages:
            write_whole(f"{KEPT}/{file.place.rpartition('/')[2]}", given.bundle.files[file.path], 0o644)


def check_packages(given: GivenBundle) -> None:
    """Raises Refused where a package is not the one that the index names. Call it once the index is verified."""
    bundle, manifest = given.bundle, given.bundle.manifest
    family = INDEXES[manifest.kind]
    try:
        offered = toolkits(family.packages(bundle.repository), family.ARCHITECTURES[manifest.architecture])
    except IndexProblem as problem:
        raise Refused(f"{given.path} cannot be used: {problem}.", ExitCode.USAGE) from None
    for one in offered.get(manifest.toolkit, ()):
        raw = bundle.repository.get(one.path)
        if raw is None or len(raw) != one.size or not one.digest.fits(raw):
            raise Refused(f"{one.path} in {given.path} is not the package that NVIDIA's list names.", ExitCode.USAGE)
    if manifest.toolkit not in offered:
        raise Refused(f"{given.path} has no whole toolkit {manifest.toolkit} in its list.", ExitCode.USAGE)

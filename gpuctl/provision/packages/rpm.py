"""The toolkit by dnf, yum or zypper, and rpm."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

from gpuctl.facts.packages.packages import TOOLKIT, Packages
from gpuctl.facts.packages.sources import RPM_FOLDERS
from gpuctl.host.look.reading import Host
from gpuctl.host.write.publish import create_public
from gpuctl.host.write.scratch import discard, scratch
from gpuctl.provision.change_set import Edit
from gpuctl.provision.packages.files import rpm_repository, written
from gpuctl.provision.packages.plan import Before, PackageProblem, Repository, Upgrade
from gpuctl.provision.packages.runs import BY_HAND, KEPT, must, reason, run_manager
from gpuctl.provision.packages.states import check_versions, needed, versions
from gpuctl.regex import regex

NAME = "nvidia-container-toolkit"
_KEY = "/etc/pki/rpm-gpg/RPM-GPG-KEY-nvidia-container-toolkit"
_ALONE = ("--disablerepo=*", f"--enablerepo={NAME}")
"""So that nobody else's repository matters, broken or not, and none puts its own packages in their place."""
_FILES = RPM_FOLDERS["zypper"].lstrip("/")
"""Where the repository's file lies in a root that has nothing else."""
_UNSIGNED = regex(r"(?i)(gpg signature verification|signature verification failed|bad gpg signature)[^\n]*")
_LISTED = regex(r"^(?P<name>[\w-]+)\.\w+ +(?:\d+:)?(?P<version>\S+)", re.MULTILINE)
_SEARCHED = regex(r"^[^|\n]*\| *(?P<name>[\w-]+) *\|[^|\n]*\| *(?P<version>[^ |\n]+) *\|", re.MULTILINE)


@contextmanager
def _alone(repository: Repository) -> Iterator[tuple[str, str]]:
    """Gives a root with nothing but the repository's file, and a folder with its key that caches may be written to."""
    with scratch({"key": repository.key, "cache/": b""}) as folder:
        text = rpm_repository(NAME, repository.url, f"{folder}/key").encode()
        with scratch({f"{_FILES}/{NAME}.repo": text}) as root:
            yield root, folder


def offered(repository: Repository) -> frozenset[str]:
    """Returns the versions of the whole toolkit there, read into folders that nothing else looks into."""
    with _alone(repository) as (root, folder):
        if repository.manager == "zypper":
            _trust(f"{folder}/key", "--root", root)
            said = run_manager(_zypper_search(root))
        else:
            said = run_manager(_dnf_list(repository.manager, root, folder))
    unsigned = _UNSIGNED.search(said.text)
    if unsigned:
        raise PackageProblem(f"{repository.url} is not signed by this key ({repository.manager} says: {unsigned[0]}).")
    if not said.ok:
        raise PackageProblem(f"The list of {repository.url} cannot be read: {reason(said)}")
    return parse_versions(said.text)


def _trust(key: str, *options: str) -> None:
    """For zypper, whose --gpg-auto-import-keys would trust the very key that a repository brings along."""
    must("rpm --import", run_manager(("rpm", *options, "--import", key)))


def _dnf_list(manager: str, root: str, folder: str) -> tuple[str, ...]:
    return (manager, "-y", *_dnf_alone(root, folder), "list", "--showduplicates", *TOOLKIT)


def _dnf_alone(root: str, folder: str) -> tuple[str, ...]:
    return (f"--setopt=reposdir={root}/{_FILES}", *_cache(f"{folder}/cache"), *_ALONE)


def _zypper_alone(root: str, folder: str) -> tuple[str, ...]:
    return ("--non-interactive", "--reposd-dir", f"{root}/{_FILES}", "--cache-dir", f"{folder}/cache")


def _zypper_search(root: str) -> tuple[str, ...]:
    return (
        "zypper",
        "--non-interactive",
        "--root",
        root,
        "search",
        "--details",
        "--match-exact",
        "--type",
        "package",
        *TOOLKIT,
    )


def _cache(folder: str) -> tuple[str, ...]:
    """Dnf 5 has another name for it, where root runs it: dnf5.conf(5)."""
    return f"--setopt=cachedir={folder}", f"--setopt=system_cachedir={folder}"


def parse_versions(text: str) -> frozenset[str]:
    """Returns the versions in which all packages of the toolkit are listed, by dnf and yum or by zypper.

    nvidia-container-toolkit.x86_64        1.18.0-1        nvidia-container-toolkit
      | nvidia-container-toolkit | package | 1.18.0-1 | x86_64 | nvidia-container-toolkit
    """
    rows = [*_LISTED.finditer(text), *_SEARCHED.finditer(text)]
    each = [frozenset(row["version"] for row in rows if row["name"] == package) for package in TOOLKIT]
    return frozenset.intersection(*each)


def edits(repository: Repository, packages: Packages) -> tuple[Edit, ...]:
    """Returns the key and the repository. Others of the same do no harm here: _ALONE."""
    file = f"{RPM_FOLDERS[repository.manager]}/{NAME}.repo"
    return written(_KEY, repository.key), written(file, rpm_repository(NAME, repository.url, _KEY))


def keep(host: Host, repository: Repository, upgrade: Upgrade, packages: Packages) -> None:
    """Fetches the packages from the repositories that the host has now."""
    create_public(KEPT)
    for name, version in upgrade.lost.items():
        tries = (run_manager(way) for way in _fetch(repository.manager, f"{name}-{version}"))
        if not any(_kept(host, name, version) for _ in chain(("before",), tries)):
            raise PackageProblem(f"{name} {version} can be had nowhere, so that it could not be put back. {BY_HAND}")


def _fetch(manager: str, package: str) -> tuple[tuple[str, ...], ...]:
    """The ways to have an installed package as a file; dnf's first leaves one of a file:// repository where it is."""
    if manager == "zypper":
        settings = ("--non-interactive", "--pkg-cache-dir", KEPT)
        return ((manager, *settings, "install", "--download-only", "--force", package),)
    reinstall = (manager, "-y", *_cache(KEPT), "reinstall", "--downloadonly", package)
    return reinstall, (manager, "-y", "download", f"--destdir={KEPT}", package)


def _kept(host: Host, name: str, version: str) -> str | None:
    begin = f"{name}-{version}."
    return next((file for file in _below(host, KEPT) if file.rpartition("/")[2].startswith(begin)), None)


def _below(host: Host, folder: str, depth: int = 3) -> Iterator[str]:
    """The packages somewhere in a folder: each manager has its own order in there."""
    for name in host.list(folder).text.splitlines() if depth else ():
        path = f"{folder}/{name}"
        yield from (path,) if name.endswith(".rpm") else _below(host, path, depth - 1)


def install(host: Host, repository: Repository, upgrade: Upgrade) -> None:
    """Installs just these versions, and removes by rpm, which refuses where something else needs it."""
    if repository.manager == "zypper":
        _trust(_KEY)
    _install(
        host, upgrade, repository.manager, ("--non-interactive",) if repository.manager == "zypper" else ("-y", *_ALONE)
    )


def install_alone(host: Host, repository: Repository, upgrade: Upgrade) -> None:
    """Installs just these versions; what they need besides has to be there."""
    with _alone(repository) as (root, folder):
        if repository.manager == "zypper":
            _trust(f"{folder}/key")
            _install(host, upgrade, repository.manager, _zypper_alone(root, folder))
        else:
            _install(host, upgrade, repository.manager, ("-y", *_dnf_alone(root, folder)))


def _install(host: Host, upgrade: Upgrade, manager: str, settings: tuple[str, ...]) -> None:
    packages = tuple(f"{name}-{upgrade.version}" for name in upgrade.install)
    wished = ("--no-recommends", "--oldpackage", "--from", NAME) if manager == "zypper" else ()
    must(f"{manager} install", run_manager((manager, *settings, "install", *wished, *packages)))
    if upgrade.remove:
        must("rpm --erase", run_manager(("rpm", "--erase", *upgrade.remove)))
    check_versions(host, "dnf", {**dict.fromkeys(upgrade.install, upgrade.version), **dict.fromkeys(upgrade.remove)})


def undo(host: Host, before: Before) -> None:
    """Uses rpm alone, which needs no list and no network."""
    now = versions(host, "dnf")
    new = [name for name, old in before.items() if old is None and name in now]
    files = [needed(_kept(host, name, old), name, old) for name, old in before.items() if old and now.get(name) != old]
    if new:
        must("rpm --erase", run_manager(("rpm", "--erase", "--allmatches", "--nodeps", *new)))
    if files:
        must("rpm --upgrade", run_manager(("rpm", "--upgrade", "--oldpackage", "--replacepkgs", *files)))
    check_versions(host, "dnf", before)
    if not any(before.values()):  # else the undo of an earlier change may need what is in there
        discard(KEPT)

"""The packages of the NVIDIA Container Toolkit, brought in when it is asked for, and back to what they were.

The driver is never among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from gpuctl.command import command, operands
from gpuctl.compat.knowledge.install_commands import PackageRepository, package_repositories
from gpuctl.compat.knowledge.releases import docker_features
from gpuctl.compat.versions import docker_version
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.gather import Facts, Missing
from gpuctl.facts.machine.system import DOCKER_ARCHITECTURES, System
from gpuctl.facts.own.journal_entries import Installation
from gpuctl.facts.packages.packages import NAMES, REPLACED, TOOLKIT, Package, Packages
from gpuctl.facts.packages.sources import contradictions
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host
from gpuctl.model import CannotTell, Disturbs, ExitCode, Remedy, Step
from gpuctl.provision.packages import apt, rpm
from gpuctl.provision.packages.key import signing_key
from gpuctl.provision.packages.plan import PackageFamily, PackagePlan, PackageProblem, Repository, Upgrade
from gpuctl.provision.result import Refused
from gpuctl.regex import regex

if TYPE_CHECKING:
    from gpuctl.provision.bundle.use import GivenBundle

FAMILIES: Mapping[str, PackageFamily] = MappingProxyType({"apt": apt, "dnf": rpm, "yum": rpm, "zypper": rpm})
ARCHITECTURES = ("amd64", "arm64")
_ADDRESS = regex(r"(https?://([A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(:[0-9]+)?|file://)/[!-?A-Z^-~]*")
_PASSWORDS = {"apt": "Put them into a file of /etc/apt/auth.conf.d: apt_auth.conf(5)."}
_SHOWN_VERSIONS = 8


@dataclass(frozen=True)
class PackageWish:
    """What the person asked for. Without `version`: what is there if it is whole, else the newest.

    With a `bundle` it is the bundle's version, and nothing comes from elsewhere.
    """

    version: str | None = None
    repo_url: str | None = None
    key_file: str | None = None
    bundle: GivenBundle | None = None


def check_repo_url(url: str) -> str:
    """Returns the address. Raises ValueError, without naming what may be a password, for one that is none."""
    if "@" in url:
        raise ValueError("the address names a user or a password, which gpuctl writes into no file")
    if not _ADDRESS.fullmatch(url.rstrip("/") + "/"):
        raise ValueError("not an address of packages: give https://…, http://… or file:///…")
    return url.rstrip("/")


def plan_packages(host: Host, facts: Facts, wish: PackageWish) -> PackagePlan:
    """Returns what --install has to do; the repository is asked what it has, and nothing on the host changes.

    `facts` must have System, Docker and Packages. Raises Refused.
    """
    try:
        return _plan(host, facts.known(System), facts.known(Packages), _old_docker(facts.get(Docker)), wish)
    except CannotTell as reason:
        raise Refused(f"The packages could not be looked at: {reason}.", ExitCode.UNDETERMINED) from None


def undo_packages(host: Host, installation: Installation) -> None:
    """Brings the packages back to what they were, whatever became of the installing. Raises PackageProblem."""
    FAMILIES[installation.manager].undo(host, installation.before)


def _plan(host: Host, system: System, packages: Packages, old_docker: str | None, wish: PackageWish) -> PackagePlan:
    manager = packages.manager.get() or ""
    installed = packages.installed.get() or {}
    notes = _notes(old_docker)
    if wish.bundle:
        # What reads archives and indices is loaded only where it is used.
        from gpuctl.provision.bundle.use import check_host

        check_host(wish.bundle, system.distribution.get(), _architecture(system), manager)
    version = wish.bundle.bundle.manifest.toolkit if wish.bundle else wish.version
    if _is_there(installed, version):
        return PackagePlan(manager, notes=notes)
    known = _known_repository(manager, system)
    if wish.bundle:
        return replace(_by_bundle(host, manager, wish.bundle, wish.key_file, packages, old_docker), notes=notes)
    url = checked_repo_url(wish.repo_url, manager) if wish.repo_url else known.url
    repository = Repository(manager, url, signing_key(wish.key_file, known.key), _architecture(system))
    _check_ready(packages)
    _check_sources(packages, repository)
    family = FAMILIES[manager]
    upgrade = _upgrade(installed, _chosen(family, repository, version), old_docker)
    _check_held(installed, upgrade, manager)
    return PackagePlan(
        manager=manager,
        keeping=_keeping(upgrade),
        edits=family.edits(repository, packages),
        steps=_steps(f"{manager} from {url}", upgrade),
        before=upgrade.before,
        keep=lambda: family.keep(host, repository, upgrade, packages),
        install=lambda: family.install(host, repository, upgrade),
        notes=notes,
    )


def _by_bundle(
    host: Host, manager: str, given: GivenBundle, key_file: str | None, packages: Packages, old_docker: str | None
) -> PackagePlan:
    """What is to be done with a bundle, all of which is verified before. Raises Refused."""
    from gpuctl.provision.bundle.use import check_packages, store, trusted_key, unpacked

    family, key, version = FAMILIES[manager], trusted_key(given, key_file, manager), given.bundle.manifest.toolkit
    _check_ready(packages)
    with unpacked(given, manager, key) as repository:
        try:
            offered = family.offered(repository)
        except PackageProblem as problem:
            words = str(problem).replace(repository.url, given.path)
            raise Refused(words, ExitCode.USAGE) from None
    check_packages(given)
    if version not in offered:
        raise Refused(f"{given.path} has no toolkit {version} that {manager} finds in it.", ExitCode.USAGE)
    installed = packages.installed.get() or {}
    upgrade = _upgrade(installed, version, old_docker)
    _check_held(installed, upgrade, manager)

    def keep() -> None:
        family.keep(host, repository, upgrade, packages)
        store(given)

    def install() -> None:
        with unpacked(given, manager, key) as repository:
            family.install_alone(host, repository, upgrade)

    return PackagePlan(
        manager=manager,
        keeping=_keeping(upgrade),
        steps=_steps(f"{manager} from the bundle {given.path}", upgrade),
        before=upgrade.before,
        keep=keep,
        install=install,
    )


def _old_docker(docker: Docker | Missing) -> str | None:
    """The version of a Docker that has no --gpus; None for any other, and for one that could not be looked at."""
    daemon = docker.daemon.value if docker else None
    try:
        old = daemon and docker_version(daemon.version) < docker_version(docker_features()["gpus-flag"].since)
    except ValueError:
        old = None
    return daemon.version if daemon and old else None


def _notes(old_docker: str | None) -> tuple[str, ...]:
    if old_docker is None:
        return ()
    return (
        f"Docker {old_docker} has no --gpus. Give containers the GPUs with --runtime=nvidia, as nvidia-docker2 did:"
        " the toolkit brings that runtime. nvidia-docker2 itself ended with 2.14.0, which only asks for the toolkit.",
    )


def _is_there(installed: Mapping[str, Package], version: str | None) -> bool:
    parts = [installed.get(name) for name in TOOLKIT]
    return all(part and part.version and part.whole and is_version(part.version, version) for part in parts)


def is_version(version: str, wished: str | None) -> bool:
    """Returns whether a package's version is the wished one, with or without the packager's number at its end."""
    return wished is None or wished in (version, version.rpartition("-")[0])


def _architecture(system: System) -> str:
    """As Debian and Docker call it; what they have no name for, as the kernel does."""
    told = system.architecture.get() or ""
    return DOCKER_ARCHITECTURES.get(told, told)


def _known_repository(manager: str, system: System) -> PackageRepository:
    """NVIDIA's, where this host can have packages of it. Raises Refused."""
    known = package_repositories().get(manager)
    if known is None or manager not in FAMILIES:
        name = manager or "of this host"
        raise Refused(f"NVIDIA has no packages for the package manager {name}. Install the toolkit as it has it.")
    if _architecture(system) not in ARCHITECTURES:
        raise Refused(
            f"NVIDIA has no packages of the toolkit for {_architecture(system)}: only for x86_64 and aarch64."
        )
    if system.euid.get() != 0:
        raise Refused("Only root can install packages. Run gpuctl as root.")
    return known


def checked_repo_url(url: str, manager: str) -> str:
    """Returns the address that a person gave. Raises Refused for one that is none, or names a password."""
    try:
        return check_repo_url(url)
    except ValueError as error:
        hint = _PASSWORDS.get(manager, "Leave them out.") if "@" in url else ""
        raise Refused(f"--repo-url: {error}. {hint}".rstrip(), ExitCode.USAGE) from None


def _check_ready(packages: Packages) -> None:
    left = packages.interrupted.get()
    if left:
        remedy = Remedy("Let dpkg end what it began.", (command("dpkg", "--configure", "-a"),), Disturbs.HOST)
        raise Refused("dpkg was interrupted, and apt installs nothing until that is mended.", remedy=remedy)


def _check_sources(packages: Packages, repository: Repository) -> None:
    if repository.manager != "apt":
        return
    for one, other in contradictions(packages.sources.get() or (), repository.architecture):
        if not apt.is_of_toolkit(one, repository):
            raise Refused(
                f"apt refuses to do anything: {one.uri} has one Signed-By in {one.file} and another in {other.file}."
                " Remove one of the two."
            )


def _chosen(family: PackageFamily, repository: Repository, wished: str | None) -> str:
    try:
        offered = family.offered(repository)
    except PackageProblem as problem:
        raise Refused(str(problem)) from None
    fitting = [version for version in offered if is_version(version, wished)]
    if not offered:
        raise Refused(f"{repository.url} has no whole NVIDIA Container Toolkit.")
    if not fitting:
        raise Refused(f"{repository.url} has no version {wished} of the toolkit. It has {shown_versions(offered)}.")
    return newest(fitting)


def newest(versions: Iterable[str]) -> str:
    """Returns the newest of some versions of packages; a release candidate only where there is no release."""
    return max(versions, key=lambda version: ("~" not in version, docker_version(version), version))


def shown_versions(versions: Iterable[str]) -> str:
    """Returns versions of packages for a sentence, the newest first."""
    names = sorted((version.rpartition("-")[0] for version in versions), key=docker_version, reverse=True)
    more = f" and {len(names) - _SHOWN_VERSIONS} older" if len(names) > _SHOWN_VERSIONS else ""
    return ", ".join(names[:_SHOWN_VERSIONS]) + more


def _upgrade(installed: Mapping[str, Package], version: str, old_docker: str | None) -> Upgrade:
    # Where Docker has no --gpus, people still type nvidia-docker run.
    replaced = () if old_docker else tuple(name for name in REPLACED if name in installed and installed[name].version)
    before = {name: installed[name].version if name in installed else None for name in NAMES}
    return Upgrade(version, TOOLKIT, replaced, before)


def _check_held(installed: Mapping[str, Package], upgrade: Upgrade, manager: str) -> None:
    changed = (*(name for name in upgrade.install if upgrade.before[name] != upgrade.version), *upgrade.remove)
    held = [name for name in changed if name in installed and installed[name].held]
    if held:
        commands = (command("apt-mark", "unhold", *operands(*held)),) if manager == "apt" else ()
        names = ", ".join(f"{name} {installed[name].version}" for name in held)
        remedy = Remedy("Release what is held, if it may change, and run gpuctl again.", commands)
        raise Refused(f"{names} is held as it is, and gpuctl respects that.", remedy=remedy)


def _keeping(upgrade: Upgrade) -> tuple[Step, ...]:
    if not upgrade.lost:
        return ()
    names = ", ".join(f"{name} {version}" for name, version in upgrade.lost.items())
    return (Step(f"fetch what an undo needs, as it is now: {names}", Disturbs.NOTHING),)


def _steps(way: str, upgrade: Upgrade) -> tuple[Step, ...]:
    there = any(upgrade.before[name] for name in (*upgrade.install, *upgrade.remove))
    goes = f", in the place of {', '.join(f'{name} {upgrade.before[name]}' for name in upgrade.remove)}"
    text = f"install {', '.join(upgrade.install)} {upgrade.version} with {way}"
    disturbs = Disturbs.NEW_CONTAINERS if there else Disturbs.NOTHING
    return (Step(text + (goes if upgrade.remove else ""), disturbs),)

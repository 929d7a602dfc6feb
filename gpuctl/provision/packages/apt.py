"""The toolkit by apt and dpkg."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain

from gpuctl.facts.packages.packages import TOOLKIT, Packages
from gpuctl.facts.packages.sources import APT_FOLDER, Source
from gpuctl.host.look.reading import Host, Reading
from gpuctl.host.write.publish import create_public
from gpuctl.host.write.scratch import discard, scratch
from gpuctl.provision.change_set import Edit
from gpuctl.provision.packages.files import apt_source, silenced, written
from gpuctl.provision.packages.key import is_armoured
from gpuctl.provision.packages.plan import Before, PackageProblem, Repository, Upgrade
from gpuctl.provision.packages.runs import BY_HAND, KEPT, must, reason, run_manager
from gpuctl.provision.packages.states import check_versions, needed, versions
from gpuctl.regex import regex

SOURCE = f"{APT_FOLDER}/nvidia-container-toolkit.sources"
_KEYRING = "/etc/apt/keyrings/nvidia-container-toolkit"
_NVIDIA = regex(r"//nvidia\.github\.io/(libnvidia-container|nvidia-container-runtime|nvidia-docker)(/|$)")
_OPTIONS = (
    *("-o", "DPkg::Lock::Timeout=60"),
    *("-o", "Dpkg::Use-Pty=0"),
    *("-o", "Dpkg::Options::=--force-confdef"),
    *("-o", "Dpkg::Options::=--force-confold"),
)
_KEEP_SETTINGS = ("--force-confdef", "--force-confold")
_UNSIGNED = regex(r"NO_PUBKEY \S+|BADSIG \S+|EXPKEYSIG \S+|is not signed")


@contextmanager
def _alone(repository: Repository) -> Iterator[tuple[str, ...]]:
    """Gives options by which apt knows this repository alone, in a folder of its own: its lists stay as they are.

    Raises PackageProblem where it cannot be read, or is not signed by the key.
    """
    files = {
        "nvidia.sources": f"Types: deb\nURIs: {repository.url}\nSuites: /\n".encode(),
        f"keys/nvidia{_suffix(repository.key)}": repository.key,
        "lists/partial/": b"",
        "cache/archives/partial/": b"",
    }
    with scratch(files) as folder:
        options = _options(
            **{
                "Dir::Etc::sourcelist": f"{folder}/nvidia.sources",
                "Dir::Etc::sourceparts": "/dev/null",
                "Dir::Etc::trusted": "/dev/null",
                "Dir::Etc::trustedparts": f"{folder}/keys/",
                "Dir::State::lists": f"{folder}/lists/",
                "Dir::Cache": f"{folder}/cache/",
                "APT::Update::Error-Mode": "any",
            }
        )
        said = run_manager(("apt-get", *options, "update"))
        unsigned = _UNSIGNED.search(said.text)
        if unsigned:
            raise PackageProblem(f"{repository.url} is not signed by this key (apt says: {unsigned[0]}).")
        if not said.ok:
            raise PackageProblem(f"The list of {repository.url} cannot be read: {reason(said)}")
        yield options


def offered(repository: Repository) -> frozenset[str]:
    """Returns the versions of the whole toolkit there."""
    with _alone(repository) as options:
        return parse_madison(must("apt-cache", run_manager(("apt-cache", *options, "madison", *TOOLKIT))).text)


def parse_madison(text: str) -> frozenset[str]:
    """Returns the versions in which all packages of the toolkit are there.

    nvidia-container-toolkit |   1.18.0-1 | https://nvidia.github.io/libnvidia-container/stable/deb/amd64  Packages
    """
    rows = [[part.strip() for part in line.split("|")] for line in text.splitlines() if line.count("|") == 2]
    each = [frozenset(version for name, version, _ in rows if name == package) for package in TOOLKIT]
    return frozenset.intersection(*each)


def edits(repository: Repository, packages: Packages) -> tuple[Edit, ...]:
    """Returns the key, the source, and every other source of the same: two with another Signed-By stop apt."""
    keyring = f"{_KEYRING}{_suffix(repository.key)}"

    def unwanted(source: Source) -> bool:
        return source.file != SOURCE and is_of_toolkit(source, repository)

    others = dict.fromkeys(source.file for source in packages.sources.get() or () if unwanted(source))
    return (
        written(keyring, repository.key),
        *(silenced(file, unwanted) for file in others),
        written(SOURCE, apt_source(repository.url, keyring)),
    )


def is_of_toolkit(source: Source, repository: Repository) -> bool:
    """Returns whether a source is the repository, or one of those in which NVIDIA has kept the toolkit."""
    here = expanded(source.uri, repository.architecture)
    return here == expanded(repository.url.rstrip("/"), repository.architecture) or bool(_NVIDIA.search(here))


def expanded(uri: str, architecture: str) -> str:
    """Returns an address as apt reads it."""
    return uri.replace("$(ARCH)", architecture)


def _suffix(key: bytes) -> str:
    return ".asc" if is_armoured(key) else ".gpg"


def _options(**values: str) -> tuple[str, ...]:
    return tuple(word for name, value in values.items() for word in ("-o", f"{name}={value}"))


def _only(file: str) -> tuple[str, ...]:
    """Options by which nobody else's source matters, broken or not, and its list stays."""
    return _options(
        **{
            "Dir::Etc::sourcelist": file,
            "Dir::Etc::sourceparts": "/dev/null",
            "APT::Get::List-Cleanup": "0",
            "APT::Update::Error-Mode": "any",
        }
    )


def keep(host: Host, repository: Repository, upgrade: Upgrade, packages: Packages) -> None:
    """Fetches the packages: by all sources, else by one file alone, where sources contradict each other."""
    create_public(KEPT)
    files = dict.fromkeys(one.file for one in packages.sources.get() or () if is_of_toolkit(one, repository))
    for name, version in upgrade.lost.items():
        tries = _fetch(f"{name}={version}", files)
        if not any(_kept(host, name, version) for _ in chain(("before",), tries)):
            raise PackageProblem(f"{name} {version} can be had nowhere, so that it could not be put back. {BY_HAND}")


def _fetch(package: str, files: Iterable[str]) -> Iterator[Reading]:
    yield run_manager(("apt-get", "download", package), KEPT)
    for file in files:
        run_manager(("apt-get", *_only(file), "update"))
        yield run_manager(("apt-get", *_only(file), "download", package), KEPT)


def _kept(host: Host, name: str, version: str) -> str | None:
    """The file of a package, as apt names it."""
    begin = f"{name}_{version.replace(':', '%3a')}_"
    return next((f"{KEPT}/{file}" for file in host.list(KEPT).text.splitlines() if file.startswith(begin)), None)


def install(host: Host, repository: Repository, upgrade: Upgrade) -> None:
    """Installs just these versions: so no pin and no other repository puts another in their place."""
    must("apt-get update", run_manager(("apt-get", *_only(SOURCE), "update")))
    _install(host, (), upgrade)


def install_alone(host: Host, repository: Repository, upgrade: Upgrade) -> None:
    """Installs just these versions; what they need besides has to be there."""
    with _alone(repository) as options:
        _install(host, options, upgrade)


def _install(host: Host, options: tuple[str, ...], upgrade: Upgrade) -> None:
    wishes = (*(f"{name}={upgrade.version}" for name in upgrade.install), *(f"{name}-" for name in upgrade.remove))
    argv = ("apt-get", *options, *_OPTIONS, "install", "-y", "--no-install-recommends", "--allow-downgrades", *wishes)
    others = sorted(
        set(_removals(must("apt-get install", run_manager((*argv, "--simulate"))).text)) - {*upgrade.remove}
    )
    if others:
        raise PackageProblem(f"apt would remove {', '.join(others)} for it, which gpuctl does not do.")
    must("apt-get install", run_manager(argv))
    check_versions(host, "apt", {**dict.fromkeys(upgrade.install, upgrade.version), **dict.fromkeys(upgrade.remove)})


def _removals(text: str) -> Iterator[str]:
    # Remv nvidia-docker2 [2.13.0-1]
    return (match[1] for match in re.finditer(r"^(?:Remv|Purg) ([^\s:]+)", text, re.MULTILINE))


def undo(host: Host, before: Before) -> None:
    """Uses dpkg alone, which needs no list and no network."""
    configure = ("dpkg", *_KEEP_SETTINGS, "--configure", "-a")
    run_manager(configure)  # waits for who is at work, and ends what was begun; what fails in it is put right below
    now = versions(host, "apt")
    new = [name for name, old in before.items() if not old and now.get(name, old) != old]
    files = [needed(_kept(host, name, old), name, old) for name, old in before.items() if old and now.get(name) != old]
    if new:  # first: packages that come back may have the same files. What they share in /etc stays for those then
        verb = "--remove" if files or "" in before.values() else "--purge"
        must(f"dpkg {verb}", run_manager(("dpkg", "--force-depends", "--force-remove-reinstreq", verb, *new)))
    if files:
        must("dpkg --install", run_manager(("dpkg", *_KEEP_SETTINGS, "--auto-deconfigure", "--install", *files)))
    must("dpkg --configure", run_manager(configure))
    check_versions(host, "apt", before)
    if not any(before.values()):  # else the undo of an earlier change may need what is in there
        discard(KEPT)

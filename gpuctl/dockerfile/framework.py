"""A framework in a new image: the newest release and build that all hosts run, and a base on which pip has wheels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from gpuctl.compat.answer.tags import RUNS, Image, Wanted
from gpuctl.compat.ask.asks import release_ask
from gpuctl.compat.ask.framework_images import image_ask
from gpuctl.compat.ask.frameworks import PACKAGES, pinned_version, requirement_of
from gpuctl.compat.ask.question import Machine
from gpuctl.compat.judge.judge import verdict_of
from gpuctl.compat.judge.rulings import worst
from gpuctl.compat.knowledge.base_systems import BaseSystem
from gpuctl.compat.knowledge.framework_installs import FrameworkInstall, install_of
from gpuctl.compat.knowledge.frameworks import FrameworkRelease, cuda_of_tag, releases_of
from gpuctl.compat.knowledge.libraries import BasePackage
from gpuctl.dockerfile.app.wants import Wants
from gpuctl.dockerfile.base import FLAVOURS, ChosenBase, NeededPackage, NoBase, PackageOf, choose_base, needed_flavour
from gpuctl.frozen import dataclass
from gpuctl.model import Verdict

_IN_CATALOGUE = "pytorch"
_PYTHON = {"apt": ("python3", "python3-venv"), "dnf": ("python3",), "yum": ("python3",)}
"""The packages with Python and its venv, by package manager."""


@dataclass(frozen=True)
class FrameworkWish:
    """A framework by its name in the tables, which releases of it, and for which CUDA (None: any that runs)."""

    framework: str
    text: str
    releases: tuple[FrameworkRelease, ...]
    cuda: str | None


@dataclass(frozen=True)
class ChosenFramework:
    """A release in its build for a CUDA version, and how pip installs it."""

    release: FrameworkRelease
    cuda: str
    install: FrameworkInstall

    @property
    def name(self) -> str:
        """Release and build for people."""
        return f"{self.release.framework} {self.release.version} for CUDA {self.cuda}"

    @property
    def pip_words(self) -> tuple[str, ...]:
        """What stands behind `pip install`."""
        return self.install.pip_words(self.release.version, self.cuda)


def framework_wish(text: str) -> FrameworkWish:
    """Returns what a person asks for by pip's words: "torch", "torch>=2.4", "torch==2.4.0+cu121", "jax[cuda12]".

    Raises ValueError for what no table knows, and for a build that asks for no CUDA.
    """
    from packaging.version import Version

    requirement = requirement_of(text)
    name = requirement.name.lower().replace("_", "-")
    known = [one for one in releases_of(*PACKAGES.get(name, ())) if install_of(one.framework, one.version)]
    if not known:
        names = ", ".join(name for name, of in PACKAGES.items() if install_of(of[0], releases_of(*of)[-1].version))
        raise ValueError(f"how {name[:60]!r} is installed gpuctl does not know: it knows {names}")
    pinned = pinned_version(requirement)
    exact = Version(pinned.public) if pinned else None
    releases = [
        one
        for one in known
        if (Version(one.version) == exact if exact else requirement.specifier.contains(one.version, prereleases=True))
    ]
    asked = f"{name}{requirement.specifier}"  # not as typed: an address may hold a password
    if not releases:
        reach = f"{known[0].version} to {known[-1].version}"
        raise ValueError(f"{asked} is none of the releases of which gpuctl knows how they are installed: {reach}")
    extras = (cuda for extra in sorted(requirement.extras) if (cuda := cuda_of_tag(extra)))
    build = pinned.local if pinned else None
    cuda = cuda_of_tag(build) if build else next(extras, None)
    if build and cuda is None:
        raise ValueError(f"the build {build!r} of {name} is not known here: known are tags such as cu121")
    return FrameworkWish(known[-1].framework, asked, tuple(releases), cuda)


def choose_framework(
    wish: FrameworkWish,
    wanted: Wanted,
    flavour: str | None,
    machines: Sequence[Machine],
    machine: str,
    wants: Wants | None,
    package_of: PackageOf,
) -> tuple[ChosenBase, ChosenFramework]:
    """Returns the newest release, in its newest build, that all machines run, with the base for it.

    `machine` is their processor ("x86_64"). Raises NoBase.
    """
    for chosen in _candidates(wish, wanted.cuda, machines, machine):
        own = replace(wanted, cuda=chosen.cuda)
        least = max(chosen.install.flavour, needed_flavour(wants), key=FLAVOURS.index)
        try:
            base = choose_base(own, flavour or least, machines, wants, package_of, _fitting(chosen.install))
        except (NoBase, ValueError):  # no tag of this CUDA, or none with this Python
            continue
        python = tuple(
            NeededPackage(BasePackage(name), "python3", (chosen.release.framework,))
            for name in _PYTHON[base.system.manager]
        )
        return replace(base, installs=(*base.installs, *python)), chosen
    kind = f" for CUDA {wanted.cuda}" if wanted.cuda else ""
    where = f" on {wanted.os}" if wanted.os else ""
    raise NoBase(
        f"No release of {wish.text}{kind} runs on all of these hosts, with a tag of nvidia/cuda{where} whose Python it"
        " has wheels for."
    )


def own_image_notes(wish: FrameworkWish, machines: Sequence[Machine]) -> Iterator[str]:
    """Tells of NVIDIA's own image of a framework of which any release is wanted: the newest whose CUDA all run.

    https://docs.nvidia.com/deeplearning/frameworks/pytorch-release-notes/
    """
    if wish.framework != _IN_CATALOGUE or len(wish.releases) == 1:
        return
    asks = [image_ask(f"nvcr.io/nvidia/pytorch:{release.version}-py3") for release in reversed(releases_of("ngc"))]
    verdicts = [worst(verdict_of(ask, one.driver or "", one.gpus, one.open_module) for one in machines) for ask in asks]
    running = [(verdict, ask) for verdict, ask in zip(verdicts, asks, strict=True) if verdict in RUNS]
    if running:
        _, ask = min(running, key=lambda one: RUNS.index(one[0]))
        yield (
            f"{ask.by} is NVIDIA's own PyTorch, tested with its cuDNN and NCCL, on CUDA {ask.cuda}, which runs on the"
            " hosts too; for which GPUs it has code, its release notes say."
        )


def _candidates(
    wish: FrameworkWish, cuda: str | None, machines: Sequence[Machine], processor: str
) -> Iterator[ChosenFramework]:
    """Yields the builds that all machines run: of the newest release first, without limits before with limits."""
    for release in reversed(wish.releases):
        install = install_of(release.framework, release.version)
        if install is None:
            continue
        builds = [build for build in reversed(release.cudas) if _is_meant(release, build, (cuda, wish.cuda), processor)]
        verdicts = {build: _worst(release, build, machines) for build in builds}
        running = [build for build in builds if verdicts[build] in RUNS]
        for build in sorted(running, key=lambda build: RUNS.index(verdicts[build])):
            yield ChosenFramework(release, build, install)


def _is_meant(release: FrameworkRelease, build: str, wished: Sequence[str | None], processor: str) -> bool:
    if build in release.experimental or (processor == "aarch64" and build not in dict(release.aarch64)):
        return False
    return all(one is None or _is_of(build, one) for one in wished)


def _worst(release: FrameworkRelease, build: str, machines: Sequence[Machine]) -> Verdict:
    ask = release_ask(release, build)
    return worst(verdict_of(ask, one.driver or "", one.gpus, one.open_module) for one in machines)


def _is_of(build: str, wished: str) -> bool:
    """Whether a build is for a CUDA version that is wished: each has as many parts as its writer cared for."""
    return all(one == other for one, other in zip(build.split("."), wished.split("."), strict=False))


def _fitting(install: FrameworkInstall) -> Callable[[Image, BaseSystem], bool]:
    """What tells whether a framework finds its Python in an image, and its cuDNN."""
    return lambda image, system: (
        install.runs_on(system.python) and (install.cudnn is None or image.tag.cudnn == install.cudnn)
    )

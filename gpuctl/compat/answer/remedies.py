"""What would change a verdict: another build or release, driver, image, kernel module, the cuda-compat package.

Each is judged by the rules that judged the request, on the same host, before it is told: what would not better the
verdict is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuctl.command import command, operands
from gpuctl.compat.answer.driver_choice import DriverChoice, choice_remedy, choose_driver, elsewhere
from gpuctl.compat.ask.asks import Ask, release_ask
from gpuctl.compat.ask.question import Machine
from gpuctl.compat.judge.by_code import beside_arm, gpu_and_code
from gpuctl.compat.judge.by_gpu import gpu_and_toolkit, serving_modules
from gpuctl.compat.judge.by_jetpack import on_jetson_linux
from gpuctl.compat.judge.judge import asked_cuda, verdict_of
from gpuctl.compat.judge.rulings import SEVERITY, Cuda, worst
from gpuctl.compat.knowledge.windows import is_windows
from gpuctl.compat.tables.loader import cuda_versions
from gpuctl.compat.versions import parts
from gpuctl.frozen import dataclass
from gpuctl.model import Disturbs, Remedy, Verdict

if TYPE_CHECKING:
    from gpuctl.compat.judge.gate.gate import Requirement
    from gpuctl.compat.knowledge.frameworks import FrameworkRelease


def remedies(asks: Iterable[Ask], machine: Machine) -> tuple[Remedy, ...]:
    """Returns what would make something that asks run better on a host that has a driver.

    None where it runs, where nothing can be known, and where one of those that fare worst fares no better by any. Of a
    GPU whose chip is not known it is said for which chip each is.
    """
    return tuple(_by_chip(tuple(asks), machine)) if machine.of_several else _remedies(asks, machine)


def _by_chip(asks: Sequence[Ask], machine: Machine) -> Iterator[Remedy]:
    by_chip = [(gpu, remedies(asks, having)) for gpu, having in machine.by_chip]
    if len({found for _, found in by_chip}) == 1:
        yield from by_chip[0][1]
        return
    for gpu, found in by_chip:
        for one in found:
            yield replace(one, text=f"If it is {gpu.name}: {one.text[0].lower()}{one.text[1:]}")


def _remedies(asks: Iterable[Ask], machine: Machine) -> tuple[Remedy, ...]:
    cases = [_Case(ask, machine, _verdict(ask, machine)) for ask in asks if ask.cuda]
    ways = [_ways(case) for case in cases if case.verdict not in (Verdict.COMPATIBLE, Verdict.UNKNOWN)]
    if not ways or any(not way for way in ways if way.verdict is worst(one.verdict for one in ways)):
        return ()
    # What the newest of them needs serves the others too: a newer driver runs every older CUDA version.
    choices = sorted((choice for way in ways for choice in way.drivers), key=lambda one: parts(one.lowest or ""))
    driver = [_driver_remedy(choices[-1], machine)] if choices else []
    beside = [way.beside_driver for way in ways if way.beside_driver]
    if driver and beside:
        driver = [replace(driver[0], text=_together(dict.fromkeys(beside), driver[0].text))]
    here = (one for way in ways for one in way.here)
    return tuple(dict.fromkeys((*here, *driver, *(one for way in ways for one in way.images))))


def _together(instead: Iterable[str], driver: str) -> str:
    return f"Use {', '.join(instead)}, and {driver[0].lower()}{driver[1:]}"


def gate_remedies(requirement: Requirement, asked: Set[Verdict]) -> tuple[Remedy, ...]:
    """Returns what opens the container's gate. `asked`: what came of the CUDA versions; their remedies name drivers."""
    if not requirement.failed:
        return ()
    branch, found = requirement.branch, []
    if branch and asked <= {Verdict.COMPATIBLE}:
        text = f"Install a driver of branch {branch.branch}, {branch.newest_version or 'any version'}."
        found.append(Remedy(text, disturbs=Disturbs.HOST))
    if asked and asked <= {Verdict.COMPATIBLE, Verdict.LIMITED} and requirement.enforced is not False:
        text = "Start the container without the check, with -e NVIDIA_DISABLE_REQUIRE=1: its CUDA runs on this driver."
        found.append(Remedy(text, disturbs=Disturbs.NEW_CONTAINERS))
    return tuple(found)


def reading_remedy(reference: str) -> Remedy:
    """Returns what tells an image's CUDA where its tag does not."""
    asked = command("gpuctl", "check", "--image", *operands(reference))
    return Remedy("The image tells what its tag does not. Where it lies, or its registry can be reached:", (asked,))


@dataclass(frozen=True)
class _Case:
    """What asks, where, and what came of it."""

    ask: Ask
    machine: Machine
    verdict: Verdict

    def cudas(self, release: FrameworkRelease) -> tuple[str, ...]:
        """Returns the CUDA versions of the builds that a release has here but for the one at hand, oldest first.

        On Arm they are those known to be there, where anything is known of it. One that pip finds without CUDA is not
        the one of the same CUDA version that is published elsewhere.
        """
        told = release.aarch64 or release.on_arm
        there = tuple(dict(release.aarch64)) if told and any(map(beside_arm, self.machine.gpus)) else release.cudas
        at_hand = release == self.ask.release and not self.ask.on_arm
        return tuple(cuda for cuda in there if not (at_hand and cuda == self.ask.cuda))

    def build(self, release: FrameworkRelease, cuda: str) -> Ask:
        """Returns what a release's build asks for, installed with the same packages."""
        asked = release_ask(release, cuda)
        return replace(asked, beside=self.ask.beside, beside_unjudged=self.ask.beside_unjudged)

    def bettered(self, verdict: Verdict) -> bool:
        """Whether a verdict is better than the present one. What is not known is not."""
        return verdict is not Verdict.UNKNOWN and SEVERITY.index(verdict) < SEVERITY.index(self.verdict)


@dataclass(frozen=True)
class _Ways:
    """What would better one case: `here` with the driver as it is, `drivers`, `images`.

    Where none of them does alone, `beside_driver` is what to use with one of the drivers.
    """

    verdict: Verdict
    here: tuple[Remedy, ...] = ()
    drivers: tuple[DriverChoice, ...] = ()
    images: tuple[Remedy, ...] = ()
    beside_driver: str = ""

    def __bool__(self) -> bool:
        return bool(self.here or self.drivers or self.images)


def _ways(case: _Case) -> _Ways:
    here = (*_builds(case), *_module(case), *_package(case))
    found = _Ways(case.verdict, here, tuple(_bettering(case, case.ask)), tuple(_images(case)))
    return found or _with_another_driver(case)


def _verdict(ask: Ask, machine: Machine) -> Verdict:
    return verdict_of(ask, machine.driver or "", machine.gpus, machine.open_module)


def _builds(case: _Case) -> Iterator[Remedy]:
    """Yields the build of the same release that runs best here, or else the nearest release with one that runs."""
    release = case.ask.release
    if release is None:
        return
    same = _best_build(case, release)
    if same is None:
        yield from _releases(case, release)
        return
    text = f"Use the build of {release.framework} {release.version} for CUDA {same[0]}: it is {same[1].value} here."
    yield Remedy(text, disturbs=Disturbs.NEW_CONTAINERS)
    admitted, others = _others(case, release)
    yield from _nearest(replace(case, verdict=same[1]), admitted if case.ask.constraint else others)


def _best_build(case: _Case, release: FrameworkRelease) -> tuple[str, Verdict] | None:
    """Returns the newest of a release's builds that fare best here and better than the one at hand."""
    asks = [case.build(release, cuda) for cuda in case.cudas(release)]
    ranks = [(ask.cuda, _verdict(ask, case.machine)) for ask in reversed(asks)]
    return min(
        (rank for rank in ranks if case.bettered(rank[1])), key=lambda rank: SEVERITY.index(rank[1]), default=None
    )


def _releases(case: _Case, present: FrameworkRelease) -> Iterator[Remedy]:
    """Yields the nearest release that runs here without limits, or else with some.

    One that the person's own constraint admits goes before all others.
    """
    admitted, others = _others(case, present)
    yield from _nearest(case, admitted) or _nearest(case, others)


def _others(case: _Case, present: FrameworkRelease) -> tuple[list[_Other], list[_Other]]:
    """Returns the other releases that what asks admits, and those it does not: newer ones, then older, nearest first.

    A version that is pinned admits no other, and says of none that it is outside.
    """
    from gpuctl.compat.knowledge.frameworks import releases_of

    known = releases_of(present.framework)
    place = known.index(present)
    newer, older = known[place + 1 :], known[:place]
    several = [*(_Other(one, "first") for one in newer), *(_Other(one, "last") for one in reversed(older))]
    if not case.ask.constraint:
        return [], several
    from packaging.specifiers import SpecifierSet

    admits = SpecifierSet(case.ask.constraint)
    outside = [replace(one, outside=case.ask.constraint) for one in several if one.release.version not in admits]
    return [one for one in several if one.release.version in admits], outside


@dataclass(frozen=True)
class _Other:
    """Another release than the one at hand. `which` it is of those that run here; `outside` which constraint it is."""

    release: FrameworkRelease
    which: str
    outside: str = ""

    def build(self, cuda: str) -> str:
        """The build for a CUDA version, for people."""
        return f"{self.release.framework} {self.release.version} in its build for CUDA {cuda}"

    @property
    def end(self) -> str:
        """What is to be said of the constraint, and the full stop."""
        return f" ({self.outside} does not admit it)." if self.outside else "."


def _nearest(case: _Case, several: Iterable[_Other]) -> tuple[Remedy, ...]:
    """Returns the first of the releases that runs here without limits, or else with some, or with a package.

    Where the code at hand is known, one whose code is not may well hold no more for this GPU: it is passed over.
    """
    found: dict[Verdict, Remedy] = {}
    for one in several:
        best = _best_build(case, one.release)
        if best is None or (case.ask.codes and not one.release.codes(best[0])):
            continue
        cuda, verdict = best
        how = "without limits" if verdict is Verdict.COMPATIBLE else f"at all: it is {verdict.value}"
        text = f"Use {one.build(cuda)}, the {one.which} that runs here {how}{one.end}"
        found.setdefault(verdict, Remedy(text, disturbs=Disturbs.NEW_CONTAINERS))
        if verdict is Verdict.COMPATIBLE:
            break
    return tuple(found[verdict] for verdict in sorted(found, key=SEVERITY.index)[:1])


def _with_another_driver(case: _Case) -> _Ways:
    """Returns what runs here with another driver, where no other build and no other driver would help alone."""
    ways = [(text, choice) for text, ask in _instead(case) for choice in _bettering(case, ask)]
    if not ways:
        return _Ways(case.verdict)
    text, choice = next((way for way in ways if not way[1].limited), ways[0])
    return _Ways(case.verdict, drivers=(choice,), beside_driver=text)


def _instead(case: _Case) -> Iterator[tuple[str, Ask]]:
    """Yields what could be asked for instead, in words: the builds of the same release, then of others, or images."""
    present = case.ask.release
    if present is None:
        for minor in () if case.ask.wheel else reversed(cuda_versions()):
            yield f"an image for CUDA {minor} instead", replace(case.ask, cuda=minor)
        return
    for cuda in reversed(case.cudas(present)):
        yield f"the build of {present.framework} {present.version} for CUDA {cuda}", case.build(present, cuda)
    for one in (several for group in _others(case, present) for several in group):
        for cuda in reversed(case.cudas(one.release)):
            if one.release.codes(cuda) or not case.ask.codes:
                yield f"{one.build(cuda)}{one.end[:-1]}", case.build(one.release, cuda)


def _module(case: _Case) -> Iterator[Remedy]:
    flavour = _wrong_module(case.machine)
    if flavour and case.bettered(_verdict(case.ask, replace(case.machine, open_module=flavour == "open"))):
        text = f"Install the {flavour} flavour of the kernel module for driver {case.machine.driver}."
        yield Remedy(text, disturbs=Disturbs.HOST)


def _wrong_module(machine: Machine) -> str | None:
    """Returns the flavour of the kernel module that drives all GPUs, where the other one is loaded."""
    serving = serving_modules(machine.gpus)
    loaded = {True: "open", False: "proprietary"}.get(machine.open_module) if machine.open_module is not None else None
    return serving[0] if loaded and serving and loaded not in serving else None


def _package(case: _Case) -> Iterator[Remedy]:
    if case.verdict is not Verdict.NEEDS_PACKAGE:
        return
    minor = asked_cuda(case.ask, case.machine.driver or "", case.machine.gpus, case.machine.open_module).minor
    name = f"cuda-compat-{minor.replace('.', '-')}"
    if any(on_jetson_linux(case.machine.driver or "", gpu) for gpu in case.machine.gpus):
        yield Remedy(f"Install {name}, NVIDIA's upgrade of CUDA for Jetson.", disturbs=Disturbs.NEW_CONTAINERS)
        return
    text = (
        f"Install {name} where it runs, and put /usr/local/cuda-{minor}/compat first into LD_LIBRARY_PATH."
        if case.ask.wheel
        else f"Use an image that carries {name}, as the nvidia/cuda images do, or install {name} in yours."
    )
    yield Remedy(text, disturbs=Disturbs.NEW_CONTAINERS)


def _bettering(case: _Case, ask: Ask) -> Iterator[DriverChoice]:
    """Yields the drivers that run what asks, where the lowest of them betters what is at hand."""
    cuda = asked_cuda(ask, case.machine.driver or "", case.machine.gpus, case.machine.open_module)
    choice = choose_driver(cuda, case.machine.gpus, present=case.machine.driver)
    if choice and choice.lowest and case.bettered(_with_driver(ask, cuda, choice.lowest, case.machine)):
        yield choice


def _with_driver(ask: Ask, cuda: Cuda, driver: str, machine: Machine) -> Verdict:
    """The verdict with another driver, by which what asks runs as far as a driver is concerned."""
    gpus = elsewhere(machine.gpus)
    if not is_windows(machine.driver or ""):
        return verdict_of(ask, driver, gpus)
    # Some floors of Windows' drivers are branches, which have the same numbers as Linux'.
    rulings = (one for gpu in gpus for one in (*gpu_and_toolkit(cuda, gpu), *gpu_and_code(ask, gpu)))
    return worst([Verdict.COMPATIBLE, *(one.verdict for one in rulings)])


def _driver_remedy(choice: DriverChoice, machine: Machine) -> Remedy:
    remedy = choice_remedy(choice, machine.driver)
    flavour = _wrong_module(machine)
    return replace(remedy, text=f"{remedy.text} Take its {flavour} kernel module.") if flavour else remedy


def _images(case: _Case) -> Iterator[Remedy]:
    """Yields the image for the newest CUDA version that runs here without limits.

    A wheel brings its own CUDA, and of an image that holds a framework's build that is what has to be another.
    """
    if case.ask.wheel or case.ask.release:
        return
    runs = (
        minor
        for minor in reversed(cuda_versions())
        if _verdict(replace(case.ask, cuda=minor), case.machine) is Verdict.COMPATIBLE
    )
    newest = next(runs, None)
    if newest:
        what = f"the newest that driver {case.machine.driver} runs here without limits"
        text = f"Use an image for CUDA {newest} instead: {what}."
        yield Remedy(text, disturbs=Disturbs.NEW_CONTAINERS)

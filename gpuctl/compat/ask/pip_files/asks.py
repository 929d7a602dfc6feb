"""From a requirements file or a lock file to the CUDA versions that its packages ask for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import replace

from gpuctl.compat.ask.asks import Ask, cpu_ask, unknown_ask
from gpuctl.compat.ask.framework_images import is_image
from gpuctl.compat.ask.frameworks import framework_asks, requirement_of
from gpuctl.compat.ask.pip_files.components import asks_by_name, component_asks
from gpuctl.compat.ask.pip_files.conda import (
    apart,
    conda_asks,
    conda_packages,
    for_the_cpu,
    has_torch,
    is_condas,
    own_code,
    pip_lines,
    unjudged_packages,
)
from gpuctl.compat.ask.pip_files.framework_pins import pinned_frameworks, without_cuda
from gpuctl.compat.ask.pip_files.markers import ANYWHERE, BY_EXTRA, Environment, Installed, contradiction, installed
from gpuctl.compat.ask.pip_files.merged import merged
from gpuctl.compat.ask.pip_files.own_code import Before, indirect_asks, with_own_code
from gpuctl.compat.ask.pip_files.pins import Pin, decoded, read_pins
from gpuctl.compat.ask.pip_files.siblings import parted, with_required
from gpuctl.compat.knowledge.frameworks import ForCpu, NoCuda, NotKnown
from gpuctl.compat.knowledge.indirect import indirect_packages
from gpuctl.compat.versions import parts


def file_asks(content: bytes, name: str, environment: Environment = ANYWHERE) -> tuple[Ask, ...]:
    """Returns what a requirements or lock file asks for. Raises ValueError as requirements_asks, and for one of which
    nothing tells that it asks for CUDA or for no GPU.
    """
    text = decoded(content, name)
    try:
        asks = requirements_asks(text, name, environment)
    except NotKnown as why:
        return (unknown_ask(name, f"{why}."),)
    if asks:
        return asks
    without = _without_cuda(text, name, environment)
    for_others = [why for why in without if not isinstance(why, ForCpu)]
    if for_others:
        raise for_others[0]
    if without:
        return (cpu_ask(name, f"{without[0]}: nothing here asks for a GPU."),)
    empty = "is empty" if not text.strip() else "names nothing that gpuctl knows to ask for CUDA"
    raise ValueError(f"{name} {empty}: give what pip freeze prints where it is installed, or ask with --cuda")


def named_asks(text: str) -> tuple[Ask, ...]:
    """Returns what a framework, an image or a package asks for, as a person names it; what no table knows is an ask
    that nobody can answer. Raises ValueError as `framework_asks` does, and NoCuda for another maker's build.
    """
    named = text.strip()
    try:
        if is_image(named):
            return framework_asks(named)
        requirement = requirement_of(named)
        # Not as typed: an address may hold a password.
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        named = f"{requirement.name}{extras}{requirement.specifier}"
        pin = Pin(requirement, (), named)
        return _asked_by(pin) if pin.name in indirect_packages() else framework_asks(text)
    except NotKnown as why:
        return (unknown_ask(named, f"{why}."),)
    except ForCpu as why:
        return (cpu_ask(named, f"{named} asks for no GPU: {str(why).removeprefix(f'{named}: ')}."),)


def _asked_by(pin: Pin) -> tuple[Ask, ...]:
    found = with_required([pin])
    asks = with_own_code(merged(_asks_of(found), "", {}), found, frozenset())
    if not asks:
        raise without_cuda(pin) or NoCuda(f"{pin.label} asks for no CUDA")
    return asks


def requirements_asks(text: str, name: str, environment: Environment = ANYWHERE) -> tuple[Ask, ...]:
    """Returns the CUDA versions that the packages of a requirements or lock file ask for; none: they ask for no CUDA.

    `name` is the file's, `environment` where it is installed. A bare major ("12") is what a package asks that runs with
    any minor version; it is left out where another package asks for one of them.

    Raises ValueError, naming file and line, for text that is no such file, and for a framework not known here, unless
    pinned CUDA packages tell in its stead.
    """
    if is_condas(text):
        return _of_conda(text, name, environment)
    found = _found(text, name, environment)
    twice = contradiction(found.pins)
    if twice:
        one, other = twice
        raise ValueError(f"{other.where} pins {other.label}, and {one.where} {one.label}: pip installs neither")
    where = f"{name} (for {environment.machine})" if found.elsewhere else name
    asks = _with_others(merged(_asks_of(found.pins), where, found.alternatives, found.optional), found.pins)
    asks = with_own_code(asks, found.pins, found.alternatives.keys() | found.optional)
    said = tuple(parted(found.pins))
    return tuple(replace(ask, parted=said) if ask is asks[0] else ask for ask in asks)


def _found(text: str, name: str, environment: Environment, beside_torch: bool = False) -> Installed:
    """Returns what is installed; where conda has put torch there already, an open one is that."""
    found = installed(read_pins(text, name), environment)
    if not beside_torch:
        return replace(found, pins=with_required(found.pins))
    return replace(found, pins=tuple(pin for pin in found.pins if pin.name != "torch" or pin.version))


def _without_cuda(text: str, name: str, environment: Environment) -> list[NoCuda]:
    """Returns what a file's builds without CUDA say, each with its line."""
    if is_condas(text):
        return [ForCpu(f"{name} names {one.name}") for one in for_the_cpu(conda_packages(text))]
    return [why for pin in _found(text, name, environment).pins if (why := without_cuda(pin))]


def _asks_of(pins: Sequence[Pin], there: Set[str] = frozenset()) -> tuple[Ask, ...]:
    """Returns what packages ask for. `there`: others that are installed before them."""
    told = (*pinned_frameworks(pins), *component_asks(pins), *asks_by_name(pins))
    return (*told, *indirect_asks(pins, bool(told or there), there))


def _of_conda(text: str, name: str, environment: Environment) -> tuple[Ask, ...]:
    """Returns what a file of conda's kind asks for, with what it has pip install."""
    found = [one for one in conda_packages(text) if environment.machine in (None, one.machine) or not one.machine]
    contradicting = apart(found)
    if contradicting:
        raise ValueError(f"{name}: {contradicting}")
    by_pip = _found(pip_lines(text), name, environment, has_torch(found))
    versions = Counter(one.name for one in found)
    alternatives = by_pip.alternatives | dict.fromkeys((each for each, n in versions.items() if n > 1), BY_EXTRA)
    certain = [one for one in found if versions[one.name] == 1]
    there = frozenset(["torch"] if has_torch(found) else [])
    before = Before(there, own_code(certain), unjudged_packages(found))
    asks = merged((*conda_asks(found), *_asks_of(by_pip.pins, there)), name, alternatives)
    return with_own_code(asks, by_pip.pins, alternatives.keys() | by_pip.optional, before)


def pinned_ask(requirements: Iterable[str], name: str) -> Ask | None:
    """Returns what a package asks for by what its metadata requires, whatever the extra; None: that tells no CUDA.

    Of several majors the newest. Raises ValueError for what is no requirement.
    """
    pins = [Pin(requirement_of(text), (), name) for text in requirements]
    asks = merged((*component_asks(pins), *asks_by_name(pins)), name, {})
    return max(asks, key=lambda ask: parts(ask.cuda), default=None)


def _with_others(asks: tuple[Ask, ...], pins: Sequence[Pin]) -> tuple[Ask, ...]:
    """Returns what asks, and with it the builds without CUDA of which one may be installed in its place."""
    several = {ask.one_of for ask in asks if ask.one_of}
    without = {name: tuple(pin.label for pin in pins if pin.name == name and without_cuda(pin)) for name in several}
    return tuple(replace(ask, without_cuda=without[ask.one_of]) if ask.one_of else ask for ask in asks)

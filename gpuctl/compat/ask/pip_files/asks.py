"""From a requirements file or a lock file to the CUDA versions that its packages ask for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace

from gpuctl.compat.ask.asks import Ask, OwnCode, unknown_ask
from gpuctl.compat.ask.framework_images import is_image
from gpuctl.compat.ask.frameworks import (
    PACKAGES,
    TAG_SOURCE,
    framework_asks,
    package_ask,
    pinned_version,
    requirement_of,
)
from gpuctl.compat.ask.pip_files.conda import (
    conda_asks,
    conda_packages,
    has_torch,
    is_condas,
    own_code,
    pip_lines,
    unjudged_packages,
)
from gpuctl.compat.ask.pip_files.markers import (
    ANYWHERE,
    BY_EXTRA,
    Environment,
    Installed,
    contradiction,
    installed,
    meet,
)
from gpuctl.compat.ask.pip_files.pins import Pin, decoded, read_pins
from gpuctl.compat.ask.pip_files.siblings import parted, with_required
from gpuctl.compat.knowledge.frameworks import NoCuda, NotKnown, cuda_of_tag, spelt_out
from gpuctl.compat.knowledge.indirect import indirect_packages
from gpuctl.compat.knowledge.package_code import ReleaseCode, is_of_every_release, release_code
from gpuctl.compat.versions import leading, parts
from gpuctl.frozen import dataclass

# Packages whose version begins with that of CUDA, the most telling first: the runtime is what the driver must run,
# while old releases of torch leave nvjitlink open, so that a newer one gets locked beside an older runtime.
# cublas, cudnn, cufft, cusparse, nccl and the like have versions of their own: cublas 13.1.0.3 is in CUDA 13.0.2.
# Source: the component versions in NVIDIA's release notes; what cuda-toolkit 12.8.1 and 13.0.2 on PyPI require.
_COMPONENTS = (
    "cuda-toolkit",
    "nvidia-cuda-runtime",
    "nvidia-cuda-nvrtc",
    "nvidia-cuda-nvcc",
    "nvidia-cuda-cupti",
    "nvidia-nvtx",
    "nvidia-nvjitlink",
)
_COMPONENT_SOURCE = "https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/ (component versions)"
_FIRST_WITHOUT_SUFFIX = 13  # until CUDA 12 the packages were called nvidia-...-cu12
_FIRST_YEAR = 99  # 2022.4.25: once the versions were dates
_CUDA_IN_NAME = re.compile(r"-cu(?:da)?([0-9]{2,3})x?(?=-|$)")
_JAX_PLUGIN = re.compile(r"jax-(cuda[0-9]+)-(?:plugin|pjrt)")
_INDEX_TAG = re.compile(r"/(cu[0-9]{2,3}|cpu|rocm[0-9.]*|xpu)(?:/|$)")
_CUDA_EXTRA = re.compile(r"cu(?:da)?-?([0-9]{2,3})x?")
_FROM_ADDRESS = "comes from an address that names no version: give what pip freeze prints where it is installed"
_NAMED_AT_MOST = 3
_KINDS = 30
"""Pins with so many different markers are held against each other. No person's file has more."""


def file_asks(content: bytes, name: str, environment: Environment = ANYWHERE) -> tuple[Ask, ...]:
    """Returns what a requirements or lock file asks for. Raises ValueError as requirements_asks, and for no CUDA."""
    try:
        asks = requirements_asks(decoded(content, name), name, environment)
    except NotKnown as why:
        return (unknown_ask(name, f"{why}."),)
    if not asks:
        raise ValueError(_why_none(decoded(content, name), name, environment))
    return asks


def named_asks(text: str) -> tuple[Ask, ...]:
    """Returns what a framework, an image or a package asks for, as a person names it; what no table knows is an ask
    that nobody can answer. Raises ValueError as `framework_asks` does, and NoCuda.
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


def _asked_by(pin: Pin) -> tuple[Ask, ...]:
    found = with_required([pin])
    asks = _with_own_code(_merged(_asks_of(found), "", {}), found, frozenset())
    if not asks:
        raise NoCuda(_why_no_cuda(pin))
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
        raise ValueError(f"{other.where} pins {_label(other)}, and {one.where} {_label(one)}: pip installs neither")
    where = f"{name} (for {environment.machine})" if found.elsewhere else name
    asks = _with_others(_merged(_asks_of(found.pins), where, found.alternatives, found.optional), found.pins)
    asks = _with_own_code(asks, found.pins, found.alternatives.keys() | found.optional)
    said = tuple(parted(found.pins))
    return tuple(replace(ask, parted=said) if ask is asks[0] else ask for ask in asks)


def _found(text: str, name: str, environment: Environment, beside_torch: bool = False) -> Installed:
    """Returns what is installed; where conda has put torch there already, an open one is that."""
    found = installed(read_pins(text, name), environment)
    if not beside_torch:
        return replace(found, pins=with_required(found.pins))
    return replace(found, pins=tuple(pin for pin in found.pins if pin.name != "torch" or pin.version))


def _why_none(text: str, name: str, environment: Environment) -> str:
    """Returns why a file asks for no CUDA, and what would tell: a sentence without its full stop."""
    pins = () if is_condas(text) else _found(text, name, environment).pins
    why = next((why for why in map(_why_no_cuda, pins) if why), "")
    if why:
        return why
    empty = "is empty" if not text.strip() else "names nothing that gpuctl knows to ask for CUDA"
    return f"{name} {empty}: give what pip freeze prints where it is installed, or ask with --cuda"


def _why_no_cuda(pin: Pin) -> str:
    """Returns that a pin is a build for something else; "" for one that says nothing of that."""
    version = pinned_version(pin.requirement)
    try:
        if pin.name in PACKAGES:
            _framework_ask(pin, ())
        cuda_of_tag((version.local or "") if version else "")
    except NoCuda as why:
        return f"{pin.where}: {why}"
    except ValueError:
        pass
    return ""


def _asks_of(pins: Sequence[Pin], there: Set[str] = frozenset()) -> tuple[Ask, ...]:
    """Returns what packages ask for. `there`: others that are installed before them."""
    told = (*_framework_asks(pins), *_component_asks(pins), *_named_asks(pins))
    return (*told, *_indirect_asks(pins, bool(told or there), there))


def _of_conda(text: str, name: str, environment: Environment) -> tuple[Ask, ...]:
    """Returns what a file of conda's kind asks for, with what it has pip install."""
    found = [one for one in conda_packages(text) if environment.machine in (None, one.machine) or not one.machine]
    by_pip = _found(pip_lines(text), name, environment, has_torch(found))
    versions = Counter(one.name for one in found)
    alternatives = by_pip.alternatives | dict.fromkeys((each for each, n in versions.items() if n > 1), BY_EXTRA)
    there = frozenset(["torch"] if has_torch(found) else [])
    asks = _merged((*conda_asks(found), *_asks_of(by_pip.pins, there)), name, alternatives)
    by_choice = alternatives.keys() | by_pip.optional
    certain = [one for one in found if versions[one.name] == 1]
    return _with_own_code(asks, by_pip.pins, by_choice, there, unjudged_packages(found), own_code(certain))


def pinned_ask(requirements: Iterable[str], name: str) -> Ask | None:
    """Returns what a package asks for by what its metadata requires, whatever the extra; None: that tells no CUDA.

    Of several majors the newest. Raises ValueError for what is no requirement.
    """
    pins = [Pin(requirement_of(text), (), name) for text in requirements]
    asks = _merged((*_component_asks(pins), *_named_asks(pins)), name, {})
    return max(asks, key=lambda ask: parts(ask.cuda), default=None)


@dataclass(frozen=True)
class _Component:
    rank: int
    cuda: str
    by: str

    @property
    def major(self) -> str:
        return self.cuda.partition(".")[0]


def _component_asks(pins: Iterable[Pin]) -> Iterator[Ask]:
    """Yields what the CUDA packages themselves say: of each major version only the most telling ones."""
    found = [component for component in map(_component, pins) if component]
    best = {component.major: component.rank for component in sorted(found, key=lambda each: -each.rank)}
    for component in found:
        if component.rank == best[component.major]:
            yield Ask(component.cuda, component.by, _COMPONENT_SOURCE, wheel=True)


def _component(pin: Pin) -> _Component | None:
    name = pin.name
    suffix = _CUDA_IN_NAME.search(name)
    base = name[: suffix.start()] if suffix else name
    fixed = _fixed(pin)
    if base not in _COMPONENTS or len(fixed) < 2 or fixed[0] > _FIRST_YEAR or fixed[1] > 99:
        return None
    if suffix and (cuda_of_tag(suffix[0]) or "").partition(".")[0] != str(fixed[0]):
        return None  # 2022.4.25: once they had dates
    if not suffix and base != "cuda-toolkit" and fixed[0] < _FIRST_WITHOUT_SUFFIX:
        return None  # 0.0.1: a placeholder
    return _Component(_COMPONENTS.index(base), f"{fixed[0]}.{fixed[1]}", _label(pin))


def _lowest_minor(pin: Pin) -> str:
    """Returns the lowest CUDA version that a CUDA package's open requirement admits: "12.1" of >=12.1.105; or ""."""
    base = _CUDA_IN_NAME.sub("", pin.name)
    bounds = [clause.version for clause in pin.requirement.specifier if clause.operator in (">=", ">", "~=", "==")]
    numbers = [leading(bound).split(".")[:2] for bound in bounds if base in _COMPONENTS]
    lowest = next((found for found in numbers if found[0].isdigit() and int(found[0]) < _FIRST_YEAR), [])
    if not lowest or (base == pin.name != "cuda-toolkit" and int(lowest[0]) < _FIRST_WITHOUT_SUFFIX):
        return ""
    return ".".join([*lowest, "0"][:2])


def _framework_asks(pins: Sequence[Pin]) -> Iterator[Ask]:
    beside = _pinned_beside(pins)
    for pin in pins:
        plugin = _JAX_PLUGIN.fullmatch(pin.name)
        if not plugin and pin.name not in PACKAGES:
            continue
        pinned = beside[pin.markers]
        try:
            yield _plugin_ask(pin, plugin[1]) if plugin else _framework_ask(pin, pinned)
        except NoCuda:
            continue
        except ValueError as error:
            if not pinned and not plugin:
                raise type(error)(f"{pin.where}: {error}") from None


def _pinned_beside(pins: Sequence[Pin]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Returns by a pin's markers the CUDA versions that are pinned where it is installed; of very many, all of them."""
    fixed = [pin for pin in pins if _component(pin)]
    kinds = {pin.markers for pin in pins}
    if len(kinds) > _KINDS:
        return dict.fromkeys(kinds, tuple(ask.cuda for ask in _component_asks(fixed)))
    beside = {kind: [pin for pin in fixed if meet(pin.markers, kind)] for kind in kinds}
    return {kind: tuple(ask.cuda for ask in _component_asks(found)) for kind, found in beside.items()}


def _framework_ask(pin: Pin, pinned: Sequence[str]) -> Ask:
    if pin.requirement.url:
        return unknown_ask(pin.name, f"{pin.name} {_FROM_ADDRESS}.")
    ask = package_ask(pin.requirement, _served(pin) if pin.name in ("torch", "pytorch") else "", pinned)
    # It is no release for which another could be taken: what requires it is built for it.
    return replace(ask, by=f"{ask.by} of {pin.required_by}", release=None) if pin.required_by else ask


def _served(pin: Pin) -> str:
    """Returns the tag of the index that a package comes from: "cu121"; "" where no index says."""
    tags = [match[1] for match in map(_INDEX_TAG.search, pin.indexes) if match]
    return max(tags, key=lambda tag: (tag.startswith("cu"), len(tag), tag), default="")


def _plugin_ask(pin: Pin, extra: str) -> Ask:
    return replace(package_ask(requirement_of(f"jax[{extra}]{pin.requirement.specifier}")), by=_label(pin))


def _named_asks(pins: Iterable[Pin]) -> Iterator[Ask]:
    """Yields what packages' names say ("cupy-cuda12x"), and the tags of their builds ("xformers 0.0.27+cu118")."""
    for pin in pins:
        name, version = pin.name, pinned_version(pin.requirement)
        in_name = None if name in PACKAGES else _CUDA_IN_NAME.search(name)
        lowest = _lowest_minor(pin)
        cuda = str(cuda_of_tag(in_name[0])) if in_name else lowest.partition(".")[0]
        if cuda and _component(pin) is None:
            from_minor = lowest if lowest.partition(".")[0] == cuda else ""
            yield Ask(cuda, _label(pin), f"https://pypi.org/project/{name}/", wheel=True, from_minor=from_minor)
            continue
        extras = [match[1] for match in map(_CUDA_EXTRA.fullmatch, sorted(pin.requirement.extras)) if match]
        if extras and name not in PACKAGES:
            by = f"{name}[{','.join(sorted(pin.requirement.extras))}]"
            yield Ask(spelt_out(extras[-1]), by, f"https://pypi.org/project/{name}/ (its extras)", wheel=True)
        elif version and version.local and name not in PACKAGES:
            try:
                tagged = cuda_of_tag(version.local)
            except NoCuda:
                continue
            if tagged:
                yield Ask(tagged, _label(pin), TAG_SOURCE, wheel=True)


def _indirect_asks(pins: Sequence[Pin], is_told: bool, beside: Set[str] = frozenset()) -> Iterator[Ask]:
    """Yields those that ask through what they pull in, where neither that is there beside them nor a tag of theirs.

    `is_told`: others tell a CUDA version, which is that of what makes its code where it runs. One that alone brings
    what it pulls in may not run where nothing is known of its own code.
    """
    there = {pin.name for pin in pins} | beside
    brought = {pin.required_by for pin in pins if not pin.named}
    for pin in pins:
        row, version = indirect_packages().get(pin.name), pinned_version(pin.requirement)
        if not row or (version and version.local) or (is_told and row.own_code and not row.pulls):
            continue
        if there & set(row.pulls):
            own = _own_code(pin)
            if f"{pin.name} {version}" in brought and row.own_code and not (own and own.is_read):
                why = row.why_partly_known(row.pinned(str(version)).replace("==", " "))
                yield unknown_ask(_label(pin), f"{_label(pin)} {why}.", row.source)
            continue
        told = row.cuda_of_post(version) if version else None
        if not told and not row.pulls and _served(pin).startswith("cu"):
            told = cuda_of_tag(_served(pin))
        if told:
            yield Ask(told, _label(pin), row.source, wheel=True)
        else:
            yield unknown_ask(_label(pin), f"{_label(pin)} {row.why_unknown}.", row.source)


def _with_others(asks: tuple[Ask, ...], pins: Sequence[Pin]) -> tuple[Ask, ...]:
    """Returns what asks, and with it the builds without CUDA of which one may be installed in its place."""
    several = {ask.one_of for ask in asks if ask.one_of}
    without = {name: tuple(_label(pin) for pin in pins if pin.name == name and _why_no_cuda(pin)) for name in several}
    return tuple(replace(ask, without_cuda=without[ask.one_of]) if ask.one_of else ask for ask in asks)


def _with_own_code(
    asks: tuple[Ask, ...],
    pins: Sequence[Pin],
    by_choice: Set[str],
    there: Set[str] = frozenset(),
    unjudged: tuple[str, ...] = (),
    own: tuple[OwnCode, ...] = (),
) -> tuple[Ask, ...]:
    """Returns what asks, and with it what packages need of a GPU for code of their own: with torch, or with the first.

    Those of which that is not known are named, but for those that are unknown altogether; so are those of `by_choice`,
    which may not be installed. `there`, `unjudged` and `own` are packages that are installed before them, those of
    these whose code is not known, and the code of the others.
    """
    torch = next((ask for ask in asks if ask.release and ask.release.framework == "pytorch"), None)
    bearer = torch or next((ask for ask in asks if ask.cuda), next(iter(asks), None))
    known = {pin: code for pin in pins if pin.name not in by_choice and (code := _own_code(pin))}
    own += tuple(OwnCode(_label(pin), code) for pin, code in known.items())
    unknown = {ask.by for ask in _indirect_asks(pins, bool(bearer and bearer.cuda), there) if ask.unknown}
    # Of one from an address without a version the code that it has for newer GPUs is as little known.
    judged = {pin for pin in known if pin.version or not pin.requirement.url}
    others = (pin for pin in pins if bearer and pin not in judged and _has_own_code(pin))
    named = dict.fromkeys(_label(pin) for pin in others if _label(pin) not in unknown)
    unjudged = (*(unjudged if bearer and bearer.cuda else ()), *named)
    unjudged += tuple(_label(pin) for pin in pins if bearer and bearer.cuda and _is_unlisted(pin))
    return tuple(
        replace(ask, beside=own, unjudged=(*ask.unjudged, *unjudged)) if ask is bearer else ask for ask in asks
    )


def _is_unlisted(pin: Pin) -> bool:
    """Returns whether a framework's release or build is one that the table lacks."""
    if pin.name not in PACKAGES:
        return False
    try:
        _framework_ask(pin, ())
    except NoCuda:
        return False
    except ValueError:
        return True
    return False


def _has_own_code(pin: Pin) -> bool:
    """Returns whether a package has kernels of its own; of one that no table has a tag for CUDA says that it does."""
    row = indirect_packages().get(_CUDA_IN_NAME.sub("", pin.name))
    if row or pin.name in PACKAGES:
        return bool(row and row.own_code)
    try:
        return bool(cuda_of_tag(pin.version.partition("+")[2]))
    except NoCuda:
        return False


def _own_code(pin: Pin) -> ReleaseCode | None:
    """Returns the code that a package has of its own; None where that or its release is not known."""
    at_least = all(clause.operator in (">", ">=", "!=") for clause in pin.requirement.specifier)
    package = _CUDA_IN_NAME.sub("", pin.name)
    is_told = pin.version or is_of_every_release(package) or (pin.is_newest if pin.requirement.url else at_least)
    if not is_told:
        return None
    is_wheel = not pin.requirement.url and "+" not in pin.version
    return release_code(package, pin.version or None, is_wheel)


def _merged(
    asks: Sequence[Ask], name: str, alternatives: Mapping[str, str], optional: Set[str] = frozenset()
) -> tuple[Ask, ...]:
    minors = {ask.cuda.partition(".")[0]: ask.cuda for ask in asks if "." in ask.cuda}
    # Of one that runs with any minor version what counts there is its own code, beside what says which one it is.
    placed = [replace(ask, cuda=minors[ask.cuda]) if ask.cuda in minors and _has_say(ask) else ask for ask in asks]
    kept = [ask for ask in placed if "." in ask.cuda or ask.cuda not in minors]
    return tuple(
        _one([ask for ask in kept if ask.cuda == cuda], name, alternatives, optional)
        for cuda in dict.fromkeys(ask.cuda for ask in kept)
    )


def _has_say(ask: Ask) -> bool:
    """Whether it is known for which GPUs its build is."""
    return bool(ask.codes or ask.on_arm)


def _one(same: Sequence[Ask], name: str, alternatives: Mapping[str, str], optional: Set[str]) -> Ask:
    """Returns the ask of all who ask for the same CUDA version; the code of each has to serve."""
    named = list(dict.fromkeys(ask.by for ask in same))
    more = f" and {len(named) - _NAMED_AT_MOST} more" if len(named) > _NAMED_AT_MOST else ""
    choices = alternatives.keys() & {_package(ask) for ask in same}
    one_of = min(choices, key=lambda one: (one not in PACKAGES, one), default="")
    return Ask(
        same[0].cuda,
        f"{', '.join(named[:_NAMED_AT_MOST])}{more}{f' in {name}' if name else ''}",
        "; ".join(dict.fromkeys(ask.source for ask in same)),
        next((ask.release for ask in same if ask.release), None),
        tuple(dict.fromkeys(code for ask in same for code in ask.codes)),
        wheel=True,
        from_minor=max((ask.from_minor for ask in same), key=lambda minor: parts(minor or "0")),
        one_of=one_of,
        unjudged=tuple(dict.fromkeys(named for ask in same for named in ask.unjudged)),
        decided_by=alternatives.get(one_of, ""),
        on_arm=next((ask.on_arm for ask in same if ask.on_arm), None),
        unknown=same[0].unknown,
        optional={_package(ask) for ask in same} <= optional,
        constraint=next((ask.constraint for ask in same if ask.release), ""),
    )


def _package(ask: Ask) -> str:
    return ask.by.split(" ")[0].partition("[")[0]


def _label(pin: Pin) -> str:
    return f"{pin.name} {str(pin.requirement.specifier).removeprefix('==')}".strip()


def _fixed(pin: Pin) -> tuple[int, ...]:
    """Returns the leading numbers of a version that a requirement fixes: of ==12.8.90, ==12.8.* and ~=12.8.0."""
    version = pinned_version(pin.requirement)
    if version:
        return version.release
    clauses = list(pin.requirement.specifier)
    wildcard = len(clauses) == 1 and (clauses[0].operator == "~=" or clauses[0].version.endswith(".*"))
    if not wildcard or clauses[0].operator not in ("==", "~="):
        return ()
    numbers = [int(number) for number in re.findall(r"[0-9]+", clauses[0].version.removesuffix(".*"))]
    return tuple(numbers[:-1] if clauses[0].operator == "~=" else numbers)

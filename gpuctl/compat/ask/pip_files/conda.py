"""What files of conda's kind name: environment.yml, `conda list --export`, explicit lists, conda-lock.yml, pixi.lock.

They are read line by line, without YAML: a lock names each package by its address, and an environment is a list.
Nothing is solved: what a file leaves open, conda decides by the host that it runs on.

    - nvidia::pytorch-cuda=12.1
    cudatoolkit=11.3.1=h2bc3f7f_2
    https://conda.anaconda.org/conda-forge/linux-64/cuda-cudart-12.6.77-h5888daf_0.conda

Sources: https://docs.conda.io/projects/conda/en/stable/user-guide/concepts/pkg-specs.html (how packages are named),
https://pixi.sh/latest/workspace/lockfile/ and https://conda.github.io/conda-lock/output/
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from gpuctl.compat.ask.asks import Ask, OwnCode, unknown_ask
from gpuctl.compat.knowledge.indirect import indirect_packages
from gpuctl.compat.knowledge.package_code import ReleaseCode, release_code
from gpuctl.frozen import dataclass

_BOUND = "cuda-version"
"""It holds nothing, and bounds those that go by it: of NVIDIA's own channel until CUDA 12 none does."""
_TELLING = ("cudatoolkit", "cuda-cudart", "pytorch-cuda", "cuda-runtime", "cuda-toolkit", _BOUND)
"""Packages whose version begins with that of CUDA, the most telling first."""
_FRAMEWORKS = ("pytorch", "pytorch-gpu", "tensorflow", "tensorflow-gpu", "jaxlib", "cupy", "onnxruntime")
"""Of these conda has builds for the CPU and for several CUDA versions."""
_WITH_CODE = ("pytorch", "pytorch-gpu", "tensorflow", "tensorflow-gpu", "jaxlib", "onnxruntime")
"""Those of them that hold code for GPUs. CuPy makes it where it runs, for those that its toolkit knows."""
_FOR_THE_CPU = ("cpuonly", "pytorch-cpu", "tensorflow-cpu")
_SOURCE = "https://conda-forge.org/docs/maintainer/knowledge_base/#cuda-builds"
_MACHINES = {"linux-64": "x86_64", "linux-aarch64": "aarch64", "noarch": None}
_ADDRESS = re.compile(r"/([a-z]+(?:-[a-z0-9]+)?)/([^/\s\"']+)-([^-/\s]+)-([^-/\s]+)\.(?:conda|tar\.bz2)\b")
_WHEEL = re.compile(r"https?://[^\s\"'<>]+/([^\s\"'<>/-]+)-[^\s\"'<>/]+\.whl\b")
_SPEC = re.compile(
    r"(?:[\w./-]+::)?([A-Za-z0-9_][\w.-]*)(?:\[.*\])?"
    r"\s*((?:[=<>!~]=?|\s)\s*[^=\s\[,|]+(?:\s*[,|]\s*[=<>!~]{0,2}\s*[^=\s\[,|]+)*)?"
    r"(?:[=\s]+([^=\s\[]+))?(?:\s*\[.*\])?"
)
_VERSION = re.compile(r"(>=|~=|={0,2})\s*([0-9]+)(?:\.([0-9]+))?")
_PINNED = re.compile(r"={1,2}\s*([0-9]+(?:\.[0-9]+)*)")
_BUILT_FOR = re.compile(r"cuda_?([0-9]{2})\.?([0-9])(?![0-9])")
_OF_PYTORCHS_CHANNEL = re.compile(r"_cuda([0-9]+\.[0-9]+)_cudnn")
"""Builds that require this very CUDA, py3.11_cuda12.4_cudnn9.1.0_0. Source: https://github.com/pytorch/builder/tree/main/conda"""
_EXPORTED = re.compile(
    r"^# (?:This file may be used to create an environment|platform: linux-)|^@EXPLICIT", re.MULTILINE
)
_YAML = re.compile(r"^(?:dependencies|package|packages|environments):\s*$", re.MULTILINE)
_COMMENT = re.compile(r"(?:^|\s)#.*")


@dataclass(frozen=True)
class CondaPackage:
    """A package as a file names it: its version's bounds and its build, "" where it leaves them open.

    `machine` as `uname -m` has it; None: any.
    """

    name: str
    version: str = ""
    build: str = ""
    machine: str | None = None


def is_condas(text: str) -> bool:
    """Returns whether a text is a file of conda's kind."""
    return bool(_EXPORTED.search(text) or (_YAML.search(text) and "[[" not in text))


def conda_packages(text: str) -> tuple[CondaPackage, ...]:
    """Returns what a file names of conda's packages for Linux."""
    locked = [match.groups() for match in _ADDRESS.finditer(text)]
    if locked:
        named = [(name, f"={version}", build, platform) for platform, name, version, build in locked]
        return tuple(
            dict.fromkeys(
                CondaPackage(name, version, build, _MACHINES[platform])
                for name, version, build, platform in named
                if platform in _MACHINES
            )
        )
    return tuple(filter(None, map(_package, _specs(text))))


def pip_lines(text: str) -> str:
    """Returns what a file has pip install, as the lines of a requirements file."""
    wheels = dict.fromkeys(filter(None, map(_of_wheel, _WHEEL.finditer(text))))
    return "\n".join(wheels or (said for said in _items(text, of_pip=True)))


def conda_asks(packages: Sequence[CondaPackage]) -> Iterator[Ask]:
    """Yields what packages ask for: of each CUDA major what the most telling say, or else the builds of others."""
    all_told = [(package, ask) for package in packages for ask in _told(package)]
    told = [one for one in all_told if one[0].name != _BOUND] or all_told
    ranks = {ask.cuda.partition(".")[0]: _TELLING.index(package.name) for package, ask in reversed(_by_rank(told))}
    yield from (ask for package, ask in told if ranks[ask.cuda.partition(".")[0]] == _TELLING.index(package.name))
    built = [ask for package in packages for ask in _built(package) if ask.cuda.partition(".")[0] not in ranks]
    yield from built
    if not told and not built and not {package.name for package in packages} & {*_FOR_THE_CPU}:
        yield from _open(packages)


def unjudged_packages(packages: Sequence[CondaPackage]) -> tuple[str, ...]:
    """Returns the packages, with what a file tells of them, that hold code for GPUs: for which, no table has of conda's
    builds, which are not those of PyPI.
    """
    return tuple(dict.fromkeys(_label(one) for one in _holding_code(packages) if not _floor(one)))


def own_code(packages: Sequence[CondaPackage]) -> tuple[OwnCode, ...]:
    """Returns the lowest compute capability of those packages of which a document says it of every build."""
    known = {_label(one): code for one in _holding_code(packages) if (code := _floor(one))}
    return tuple(OwnCode(label, code) for label, code in known.items())


def _holding_code(packages: Sequence[CondaPackage]) -> Iterator[CondaPackage]:
    if not {package.name for package in packages} & {*_FOR_THE_CPU}:
        holding = (one for one in packages if one.name in _WITH_CODE or _has_own_code(one.name))
        yield from (one for one in holding if "cpu" not in one.build)


def _floor(package: CondaPackage) -> ReleaseCode | None:
    """Returns what a release needs at least, whoever built it; None where the file leaves the release open."""
    pinned = _PINNED.match(package.version)
    return release_code(package.name.replace("_", "-"), pinned[1], is_wheel=False) if pinned else None


def apart(packages: Sequence[CondaPackage]) -> str | None:
    """Returns that a file names a build of PyTorch for one CUDA version, and another version: a clause, or None."""
    times = Counter(one.name for one in packages)
    once = [one for one in packages if times[one.name] == 1]
    built = [(one, match[1]) for one in once if (match := _OF_PYTORCHS_CHANNEL.search(one.build))]
    told = [(one, ask.cuda) for one in once if one.name in ("pytorch-cuda", "cudatoolkit") for ask in _told(one)]
    for one, cuda in built:
        for other, named in told:
            if "." in named and named != cuda:
                return f"{_label(one)} is built for CUDA {cuda}, and {_label(other)} is named: conda installs neither"
    return None


def for_the_cpu(packages: Sequence[CondaPackage]) -> tuple[CondaPackage, ...]:
    """Returns the packages that are there so that others are for the CPU."""
    return tuple(one for one in packages if one.name in _FOR_THE_CPU)


def has_torch(packages: Sequence[CondaPackage]) -> bool:
    """Returns whether conda installs torch, which it calls otherwise than pip."""
    return any(package.name in ("pytorch", "pytorch-gpu", "pytorch-cpu") for package in packages)


def _has_own_code(name: str) -> bool:
    row = indirect_packages().get(name.replace("_", "-"))
    return bool(row and row.own_code)


def _by_rank(told: Iterable[tuple[CondaPackage, Ask]]) -> list[tuple[CondaPackage, Ask]]:
    return sorted(told, key=lambda one: _TELLING.index(one[0].name))


def _told(package: CondaPackage) -> Iterator[Ask]:
    bounds = _VERSION.match(package.version.strip()) if package.name in _TELLING else None
    if bounds is None:
        return
    sign, major, minor = bounds.groups()
    exact = minor is not None and sign not in (">=", "~=")
    from_minor = f"{major}.{minor}" if minor and not exact else ""
    yield Ask(f"{major}.{minor}" if exact else major, _label(package), _SOURCE, wheel=True, from_minor=from_minor)


def _built(package: CondaPackage) -> Iterator[Ask]:
    found = _BUILT_FOR.search(package.build)
    if found:
        yield Ask(f"{found[1]}.{found[2]}", _label(package), _SOURCE, wheel=True)


def _open(packages: Iterable[CondaPackage]) -> Iterator[Ask]:
    for package in packages:
        if package.name in (*_FRAMEWORKS, *_TELLING) and not package.build:
            why = "has builds for several CUDA versions, of which conda chooses one where it is installed"
            told = "give what conda list --export prints there"
            yield unknown_ask(_label(package), f"{_label(package)} {why}: {told}.", _SOURCE)


def _label(package: CondaPackage) -> str:
    version = package.version.strip().lstrip("=")
    return " ".join(part for part in (package.name, version, package.build) if part)


def _specs(text: str) -> Iterator[str]:
    if _YAML.search(text):
        return _items(text, of_pip=False)
    return (said for line in text.splitlines() if (said := _COMMENT.sub("", line).strip()))


def _items(text: str, of_pip: bool) -> Iterator[str]:
    """Yields the items of an environment's dependencies: those of its list for pip, or the others."""
    inside, pip_at = False, -1
    for line in text.splitlines():
        said = _COMMENT.sub("", line).rstrip()
        item = said.lstrip()
        depth = len(said) - len(item)
        if item and not item.startswith("- "):
            inside = (inside and depth > 0) or said == "dependencies:"
        elif item and inside:
            pip_at = depth if item == "- pip:" else pip_at if depth > pip_at else -1
            if item != "- pip:" and (0 <= pip_at < depth) is of_pip:
                yield item[2:].strip().strip("\"'")


def _package(spec: str) -> CondaPackage | None:
    match = _SPEC.fullmatch(spec)
    return CondaPackage(match[1].lower(), (match[2] or "").strip(), match[3] or "") if match else None


def _of_wheel(address: re.Match[str]) -> str | None:
    """Returns the line of a wheel for Linux; None for another system's."""
    if re.search(r"-(?:macosx|win)[^-]*\.whl$", address[0]):
        return None
    machine = next((f" ; platform_machine == '{one}'" for one in ("x86_64", "aarch64") if one in address[0]), "")
    return f"{address[1]} @ {address[0]}{machine}"

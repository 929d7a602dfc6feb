"""Which CUDA version packages and wheels are for, and whether they are for one and the same."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpuctl.compat.versions import minor_of
from gpuctl.dockerfile.bases import cuda_of_label
from gpuctl.dockerfile.packages import NamedPackage
from gpuctl.dockerfile.rules.engine import Found, Subject, base, rule
from gpuctl.dockerfile.source import shown
from gpuctl.dockerfile.stages import Stage
from gpuctl.regex import regex

_TOOLKIT = regex(
    r"(?:cuda-(?!compat|drivers|keyring|repo)[a-z-]+|(?:lib)?(?:cublas|cufft|cufile|curand|cusolver|cusparse|npp|nvjpeg"
    r"|nvjitlink|nvfatbin|nvvm)(?:-dev|-devel)?)-([0-9]{1,2})-([0-9]{1,2})"
)
_BUILT_FOR = regex(r".*\+cuda([0-9]{1,2})\.([0-9]{1,2})")
_INDEX = regex(r"download\.pytorch\.org/whl/(?:(?:nightly|test)/)?cu([0-9]{2,3})")
_LOCAL = regex(r"(?:.*\+|.*%2[Bb])cu([0-9]{2,3})(?![0-9])")
_EXTRA = regex(r"jax(?:lib)?\[.*\bcuda([0-9]{2})(?:[_a-z].*)?\]")
_OWN_LIBRARIES = regex(r"torch(?:vision|audio|text)?|xformers|jax.*|https?://download\.pytorch\.org/.*", re.IGNORECASE)
_NAMED = regex(r"(?:cupy-cuda|mxnet-cu|dgl-cu|onnxruntime-gpu-cu|chainer-cuda|spconv-cu)([0-9]{2,3})(x?)(?:mkl)?")
_SUFFIX = regex(r"(.*)-cu(?:da)?([0-9]{2,3})x?")
_CONDA = ("pytorch-cuda", "cudatoolkit", "cuda-version", "cuda-toolkit")


def cuda_of_install(one: NamedPackage) -> str | None:
    """Returns the CUDA version of a framework's build, or of the toolkit, that is installed; None for another."""
    if one.manager == "pip":
        return _of_pip(one)
    if one.manager == "conda":
        found = re.match(r"[0-9]{1,2}\.[0-9]{1,2}", one.version.lstrip("=")) if one.name in _CONDA else None
        return found[0] if found else None
    toolkit = _TOOLKIT.fullmatch(one.name)
    return f"{toolkit[1]}.{toolkit[2]}" if toolkit else None


def _of_pip(one: NamedPackage) -> str | None:
    label = _INDEX.search(one.name) or _LOCAL.match(one.version) or _LOCAL.match(one.name)
    if label is None and _OWN_LIBRARIES.fullmatch(one.name):
        label = next((found for word in one.indexes if (found := _INDEX.search(word.value))), None)
    return cuda_of_label(label[1]) if label else None


@rule("dockerfile.cuda-mismatch")
def cuda_mismatch(subject: Subject) -> Iterator[Found]:
    """Finds packages of the toolkit, or built for one, of another CUDA version than the base has."""
    for stage in subject.dockerfile.stages:
        minor = base(stage).minor
        for step in stage.steps if minor else ():
            found = [one for one in step.installs if one.manager in ("apt", "rpm") and minor and _differs(one, minor)]
            if found:
                first, more = found[0].word, len(found) - 1
                what = shown(first.value) + (f" and {more} more" if more else "")
                message = f"{what} is not of CUDA {'.'.join(map(str, minor or ()))}, which the base has."
                yield Found(first.start, first.end, message)


def _differs(one: NamedPackage, minor: tuple[int, int]) -> bool:
    toolkit, built = _TOOLKIT.fullmatch(one.name), _BUILT_FOR.fullmatch(one.version)
    found = toolkit or built
    if not found:
        return False
    version = (int(found[1]), int(found[2]))
    # A library that lies beside the toolkit is built for a major version; up to 10 it was for each minor one.
    return version != minor if toolkit or minor[0] < 11 else version[0] != minor[0]


@rule("dockerfile.wheel-cuda")
def wheel_cuda(subject: Subject) -> Iterator[Found]:
    """Finds frameworks' wheels and conda builds for another CUDA than the base's.

    One that brings its own libraries differs by its major version, one that uses the base's by the minor one, too.
    """
    for stage in subject.dockerfile.stages:
        one = base(stage)
        for step in stage.steps if one.cuda else ():
            told = set()
            for install in step.installs:
                said = _other_cuda(install, one.minor or ())
                if said and said not in told:
                    told.add(said)
                    word = _deciding(install)
                    message = f"{shown(install.name)[:60]} is for CUDA {said}, and the base has {one.cuda}."
                    yield Found(word[0], word[1], message)


def _deciding(one: NamedPackage) -> tuple[int, int]:
    index = next((word for word in one.indexes if _INDEX.search(word.value)), None)
    word = index if index and not _LOCAL.match(one.version) else one.word
    return word.start, word.end


def _other_cuda(one: NamedPackage, minor: tuple[int, ...]) -> str | None:
    if one.manager not in ("pip", "conda"):
        return None
    named = _NAMED.fullmatch(one.name.partition("[")[0])
    if named and one.manager == "pip":
        if named[2]:  # for every minor version
            return None if int(named[1]) == minor[0] else f"{named[1]}.x"
        cuda = cuda_of_label(named[1])
        return None if cuda is None or minor_of(cuda) == minor else cuda
    extra = _EXTRA.fullmatch(one.name)
    if extra:
        return None if int(extra[1]) == minor[0] else f"{extra[1]}.x"
    built = cuda_of_install(one)
    return built if built and int(built.partition(".")[0]) != minor[0] else None


@rule("dockerfile.wheels-clash")
def wheels_clash(subject: Subject) -> Iterator[Found]:
    """Finds wheels of one library for two CUDA versions, in a stage and those that it goes on from."""
    for stage in subject.dockerfile.shipped:
        yield from _clashes(stage)


def _clashes(stage: Stage) -> Iterator[Found]:
    seen: dict[str, str] = {}
    for step in stage.all_steps:
        for one in step.installs:
            name = re.sub(r"[-_.]+", "-", one.name.partition("[")[0].lower())
            found = _SUFFIX.fullmatch(name) if one.manager == "pip" else None
            if not found:
                continue
            library = found[1]
            if seen.setdefault(library, found[2]) != found[2]:
                message = f"{shown(one.name)} and {library}-cu{seen[library]} write the same files."
                yield Found(one.word.start, one.word.end, message)

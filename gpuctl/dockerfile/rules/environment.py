"""Variables: values that Docker reads otherwise than they look, and what the toolkit goes by."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gpuctl.compat.knowledge.driver_parts import driver_part
from gpuctl.dockerfile.bases import base_of
from gpuctl.dockerfile.rules.driver import brings_driver, names_installer
from gpuctl.dockerfile.rules.engine import Found, Subject, base, rule, unresolved, variables_after
from gpuctl.dockerfile.rules.versions import cuda_of_install
from gpuctl.dockerfile.shell import ShellCommand
from gpuctl.dockerfile.source import shown
from gpuctl.dockerfile.stages import Stage, StageStep
from gpuctl.dockerfile.words import Pair, names_unknown, names_variable
from gpuctl.engines.spans import Span, newline
from gpuctl.regex import regex

VISIBLE, CAPABILITIES = "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"
DEFAULT_CAPABILITIES = "compute,utility"
_SECOND = regex(r"(,)?[ \t]+(?P<pair>(?P<name>[A-Za-z_][A-Za-z0-9_]*)=\S*)")
_SIMPLE = regex(r"[^\s\"'=,]+(?:,?[ \t]+[A-Z_][A-Z0-9_]*=[^\s\"',]+)+")
_KEPT = {"LD_LIBRARY_PATH": regex(r"/usr/local/nvidia"), "PATH": regex(r"/usr/local/cuda[^:]*/bin")}
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "video": (
        *("--enable-nvenc", "--enable-nvdec", "--enable-cuvid", "h264_nvenc", "hevc_nvenc", "av1_nvenc", "h264_cuvid"),
        *("hevc_cuvid", "nv-codec-headers", "pynvvideocodec", "-DWITH_NVCUVID=ON"),
    ),
    "graphics": (
        *("vulkan-tools", "libvulkan1", "vulkan-utils", "libglvnd0", "libglvnd-dev", "virtualgl", "libegl1-mesa-dev"),
        *("egl_probe", "10_nvidia.json", "nvidia_icd.json"),
    ),
    "utility": ("nvidia-smi", "nvidia-ml-py", "nvidia-ml-py3", "pynvml", "py3nvml", "gpustat", "nvitop"),
}
"""By capability the packages, options and files that show that a program needs it."""
_ALL = ("all",)
_CUDA_PACKAGE = regex(r"cuda-(?!keyring|repo).*|libcudnn[0-9].*|libcublas.*|libnccl.*|cudatoolkit|cuda")
_GPU_WHEEL = regex(
    r"tensorflow-gpu|onnxruntime-gpu|cupy-cuda.*|mxnet-cu.*|paddlepaddle-gpu|jax\[cuda.*|nvidia-.*-cu1[0-9]"
)


@rule("dockerfile.env-swallowed")
def env_swallowed(subject: Subject) -> Iterator[Found]:
    """Finds `ENV K V, K2=V2`, where K2 was meant to be a variable."""
    for stage in subject.dockerfile.stages:
        for step in stage.steps:
            pair = step.pairs[0] if step.name == "ENV" and step.pairs else None
            if pair and pair.legacy:
                yield from _swallowed(pair, step)


def _swallowed(pair: Pair, step: StageStep) -> Iterator[Found]:
    value = pair.value or ""
    if value.startswith(("'", '"')):
        return
    for found in _SECOND.finditer(value):
        if found[1] or found["name"].isupper():
            message = f"{shown(found['name'])[:40]} is never set: it is in the value of {shown(pair.name)[:40]}."
            whole = step.instruction.body
            start = whole.at(whole.text.rindex(value) + found.start("pair"))
            yield Found(start, start + len(found["pair"]), message, _parted(pair))
            return


def _parted(pair: Pair) -> tuple[Span, ...]:
    """The edits that make pairs of it, where each of them is a plain NAME=VALUE on one line."""
    value = pair.value or ""
    if not _SIMPLE.fullmatch(value) or pair.end - pair.start != len(value):
        return ()
    commas = [(found.start(), found.end(), " ") for found in re.finditer(r",(?=[ \t])[ \t]+", value)]
    edits = [(pair.start + start, pair.start + end, new) for start, end, new in commas]
    return ((pair.start - 1, pair.start, "="), *edits)


@rule("dockerfile.path-lost")
def path_lost(subject: Subject) -> Iterator[Found]:
    """Finds an ENV of LD_LIBRARY_PATH or PATH that leaves out the value which a CUDA base has set."""
    escape = subject.dockerfile.source.escape
    for stage in subject.dockerfile.shipping:
        for step in stage.steps if base(stage).sets_paths else ():
            for pair in step.pairs if step.name == "ENV" else ():
                if pair.name in _KEPT and not _keeps(pair, step, escape):
                    yield _lost(pair, escape)


def _keeps(pair: Pair, step: StageStep, escape: str) -> bool:
    value = pair.value or ""
    if names_variable(value, pair.name, escape):
        return True
    # Another variable, of which nothing is known, may hold the old value.
    whole = variables_after(step, escape)[pair.name]
    return bool(_KEPT[pair.name].search(whole)) or names_unknown(value, step.variables, escape)


def _lost(pair: Pair, escape: str) -> Found:
    value = pair.value or ""
    escaped = re.search(rf"{re.escape(escape)}\$(?:{pair.name}\b|\{{{pair.name}\}})", value)
    lost = "/usr/local/nvidia" if pair.name == "LD_LIBRARY_PATH" else "the folder of CUDA's programs"
    if escaped and pair.end - pair.start == len(value):
        start = pair.start + escaped.start()
        message = f"The {escape} keeps Docker from putting the old {pair.name} in: {lost} is lost."
        return Found(start, pair.start + escaped.end(), message, ((start, start + 1, ""),))
    end = pair.end - (len(value) > 1 and value[-1] == value[0] == '"')
    clean = bool(value) and "'" not in value and not value.endswith(escape) and value.count('"') in (0, 2)
    edits = ((end, end, f":${{{pair.name}}}"),) if clean and (value[0] == '"' or '"' not in value) else ()
    return Found(pair.start, pair.end, f"{pair.name} is set without its old value: {lost} is lost.", edits)


@rule("dockerfile.no-gpu-variables")
def no_gpu_variables(subject: Subject) -> Iterator[Found]:
    """Finds shipped stages on a base that is not for GPUs, which are for them and lack the toolkit's variables."""
    for stage in subject.dockerfile.shipped:
        root, first = base(stage), stage.line[0]
        if root.of_gpus or unresolved(first.image):
            continue
        if not (_has_cuda(stage, root.plain) or (root.plain and (_waits_for_driver(stage) or brings_driver(stage)))):
            continue
        missing = [name for name in (VISIBLE, CAPABILITIES) if name not in _set_in(stage)]
        if missing:
            message = f"{first.image} sets no {' and no '.join(missing)}, and neither does this file."
            yield Found(first.start, first.end, message, _insertion(subject, stage, missing))


def _waits_for_driver(stage: Stage) -> bool:
    """Whether it was made for a driver that nvidia-docker 1 mounts: by its label, or by the folder of the mount."""
    return any(
        "com.nvidia.volumes.needed" in step.instruction.body.text
        if step.name == "LABEL"
        else any("/usr/local/nvidia" in (pair.value or "") for pair in step.pairs)
        for step in stage.all_steps
    )


def _has_cuda(stage: Stage, plain: bool) -> bool:
    """Whether CUDA is put on a base that has none: one of which that is known, or one that is shown to have none."""
    steps = [step for step in stage.all_steps if step.name in ("RUN", "COPY", "ADD")]
    bare = plain or any(_brings_repository(step) for step in steps)
    return any(_puts_cuda(step, plain) for step in steps) if bare else False


def _brings_repository(step: StageStep) -> bool:
    """Whether NVIDIA's repository or CUDA's installer is fetched: whoever has CUDA needs neither."""
    return "developer.download.nvidia.com/compute/cuda" in step.instruction.body.text


def _puts_cuda(step: StageStep, plain: bool) -> bool:
    if step.name == "COPY" and any(re.match(r"/usr/local/cuda(?:[-/].*)?$", word.value) for word in step.words):
        return True
    for one in step.installs:
        if one.manager in ("apt", "rpm") and _CUDA_PACKAGE.fullmatch(one.name):
            return True
        if plain and (cuda_of_install(one) or (one.manager == "pip" and _GPU_WHEEL.fullmatch(one.name))):
            return True
    return any(_runs_installer(command) for command in step.commands if step.name == "RUN")


def _runs_installer(command: ShellCommand) -> bool:
    return any(re.fullmatch(r"(?:.*/)?cuda[_-][^/]*(?:linux|\.run)[^/]*", value) for value in command.values[:2])


def _set_in(stage: Stage) -> set[str]:
    return {pair.name for step in stage.all_steps if step.name == "ENV" for pair in step.pairs}


def _insertion(subject: Subject, stage: Stage, missing: list[str]) -> tuple[Span, ...]:
    """The edit that sets them behind the FROM of the shipped stage."""
    text = subject.dockerfile.source.text
    end = text.find("\n", stage.end)
    values = {VISIBLE: "all", CAPABILITIES: DEFAULT_CAPABILITIES}
    line = "ENV " + " ".join(f"{name}={values[name]}" for name in missing)
    if end < 0:
        return ((len(text), len(text), newline(text) + line),)
    if text[stage.end : end].rstrip("\r \t").endswith(subject.dockerfile.source.escape):
        return ()
    return ((end + 1, end + 1, line + newline(text)),)


@rule("dockerfile.capabilities")
def capabilities(subject: Subject) -> Iterator[Found]:
    """Finds driver capabilities that leave out what the shipped stage's own packages and programs need."""
    for stage in subject.dockerfile.shipped:
        setting = _last_set(stage, CAPABILITIES, subject.dockerfile.source.escape)
        if setting:
            pair, value = setting
            if not unresolved(value):
                yield from _lacking(stage, pair, value)
        elif base_of(stage.root).nvidia_cuda:
            yield from _unset(stage)


def _last_set(stage: Stage, name: str, escape: str) -> tuple[Pair, str] | None:
    found = [(pair, step) for step in stage.all_steps if step.name == "ENV" for pair in step.pairs if pair.name == name]
    if not found:
        return None
    pair, step = found[-1]
    return pair, variables_after(step, escape)[name]


def _lacking(stage: Stage, pair: Pair, value: str) -> Iterator[Found]:
    words = [word.strip() for word in value.split(",") if word.strip()]
    if set(words) & set(_ALL):
        return
    needed = {"compute": "CUDA's programs", **_needed(stage)} if _computes(stage) else _needed(stage)
    missing = {word: why for word, why in needed.items() if word not in words}
    if missing:
        said = " and ".join(f"{word} for {why}" for word, why in missing.items())
        message = f"{CAPABILITIES}={shown(value)[:60]} lacks {said}."
        raw = pair.value or ""
        exact = re.fullmatch(r"[a-z]+(?:,[a-z]+)*", raw) and pair.end - pair.start == len(raw)
        edits = ((pair.end, pair.end, "".join(f",{word}" for word in missing)),) if exact else ()
        yield Found(pair.start, pair.end, message, edits)


def _computes(stage: Stage) -> bool:
    """Whether CUDA's libraries are in the image, for programs that need libcuda."""
    one = base(stage)
    if one.tag is not None and one.tag.flavour != "base":
        return True
    if one.cuda and not one.nvidia_cuda:
        return True
    return any(_puts_cuda(step, True) for step in stage.all_steps)


def _unset(stage: Stage) -> Iterator[Found]:
    """What the base's own compute,utility lacks."""
    missing = {word: why for word, why in _needed(stage).items() if word != "utility"}
    first = stage.line[0]
    if missing:
        said = " and ".join(f"{word} for {why}" for word, why in missing.items())
        message = f"The base sets {CAPABILITIES}={DEFAULT_CAPABILITIES}, which lacks {said}."
        yield Found(first.start, first.end, message)


def _needed(stage: Stage) -> dict[str, str]:
    """The capabilities that a stage needs, each with the word that shows it."""
    needed: dict[str, str] = {}
    for step in stage.all_steps:
        values = [value for command in step.commands for value in command.values]
        values += [one.name for one in step.installs] + [word.value for word in step.words]
        for capability, signs in _NEEDS.items():
            shows = next((value for value in values if _last(value) in signs), None)
            if shows and step.name in ("RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK", "COPY"):
                needed.setdefault(capability, shown(shows)[:60])
    return needed


def _last(value: str) -> str:
    """The last part of a path or address, which is a package's or an option's whole."""
    return value.rstrip("/").rpartition("/")[2].removesuffix(".git")


@rule("dockerfile.require-disabled")
def require_disabled(subject: Subject) -> Iterator[Found]:
    """Finds NVIDIA_DISABLE_REQUIRE set to what the toolkit takes for true."""
    escape = subject.dockerfile.source.escape
    for stage in subject.dockerfile.shipping:
        for step in stage.steps:
            for pair in step.pairs if step.name == "ENV" else ():
                if pair.name == "NVIDIA_DISABLE_REQUIRE" and variables_after(step, escape)[pair.name] in _TRUE:
                    message = "The toolkit no longer checks whether the host's driver runs this image."
                    yield Found(pair.start, pair.end, message)


def gpu_stages(stages: tuple[Stage, ...]) -> frozenset[Stage]:
    """Returns the stages that have to do with GPUs: by their base, or by what they set, install or copy."""
    return frozenset(stage for stage in stages if _has_to_do_with_gpus(stage))


def _has_to_do_with_gpus(stage: Stage) -> bool:
    one = base(stage)
    if one.of_gpus or _has_cuda(stage, one.plain) or _waits_for_driver(stage):
        return True
    if brings_driver(stage) or names_installer(stage):
        return True
    if any(name.startswith(("NVIDIA_", "CUDA_")) for name in _set_in(stage)):
        return True
    return any(
        any(map(cuda_of_install, step.installs)) or any(driver_part(word.value) for word in step.words)
        for step in stage.all_steps
    )

"""A Dockerfile as its stages: their images, their steps with the variables in effect, and what is shipped."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence

from gpuctl.dockerfile.packages import NamedPackage, installs
from gpuctl.dockerfile.shell import PlacedWord, ShellCommand, commands
from gpuctl.dockerfile.source import BadDockerfile, DockerfileText, Instruction, read_source, shown
from gpuctl.dockerfile.words import Pair, expanded, pairs
from gpuctl.frozen import dataclass

_WITH_COMMANDS = ("RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK")
_SHELL = "/bin/sh"
MOST = 2000
"""Instructions of a Dockerfile, and variables that are followed: far more than any has, and few enough to be quick."""
_PLATFORM = {
    "TARGETPLATFORM": "linux/amd64",
    "TARGETOS": "linux",
    "TARGETARCH": "amd64",
    "BUILDPLATFORM": "linux/amd64",
    "BUILDOS": "linux",
    "BUILDARCH": "amd64",
}
"""What BuildKit sets, on the architecture that most images are built for."""


@dataclass(frozen=True)
class StageStep:
    """An instruction with its words, what it sets, the commands it runs, and the variables in effect before it.

    Two of them are equal where they are one and the same.
    """

    instruction: Instruction
    variables: Mapping[str, str]
    words: tuple[PlacedWord, ...] = ()
    pairs: tuple[Pair, ...] = ()
    commands: tuple[ShellCommand, ...] = ()
    installs: tuple[NamedPackage, ...] = ()
    __eq__, __hash__ = object.__eq__, object.__hash__

    @property
    def name(self) -> str:
        """The instruction's name."""
        return self.instruction.name


@dataclass(frozen=True)
class Stage:
    """A stage: the image that it begins with as FROM names it (`image`), and the stage that it goes on from, if any.

    `image` has its variables replaced; `literal`: it was written so, and lies at `start` to `end`. Two of them
    are equal where they are one and the same.
    """

    number: int
    name: str
    image: str
    literal: bool
    start: int
    end: int
    platform: str
    parent: Stage | None
    steps: tuple[StageStep, ...]
    __eq__, __hash__ = object.__eq__, object.__hash__

    @property
    def line(self) -> tuple[Stage, ...]:
        """The stages that it goes on from, the first one first, and itself."""
        stages, one = [self], self.parent
        while one:
            stages.append(one)
            one = one.parent
        return tuple(reversed(stages))

    @property
    def root(self) -> str:
        """The image that the first of these stages begins with."""
        return self.line[0].image

    @property
    def all_steps(self) -> tuple[StageStep, ...]:
        """The steps of these stages, in their order."""
        return tuple(step for stage in self.line for step in stage.steps)


@dataclass(frozen=True)
class Dockerfile:
    """A Dockerfile. `shipped` are the stages that become images.

    That is the last one, and those that no other makes use of and that say what to run: targets of their own. What else
    is not used is one of several that an ARG chooses from.
    """

    source: DockerfileText
    stages: tuple[Stage, ...]
    shipped: tuple[Stage, ...]

    @property
    def shipping(self) -> tuple[Stage, ...]:
        """The stages whose files and variables are in an image that is shipped, each once."""
        return tuple(dict.fromkeys(stage for last in self.shipped for stage in last.line))


def read_dockerfile(raw: bytes, build_args: Mapping[str, str] | None = None) -> Dockerfile:
    """Returns the stages of a Dockerfile, with `build_args` as `docker build --build-arg` gives them.

    Raises BadDockerfile.
    """
    source = read_source(raw)
    if len(source.instructions) > MOST:
        raise BadDockerfile(source.instructions[MOST].line, f"there are more than {MOST} instructions.")
    given = {**_PLATFORM, **(build_args or {})}
    stages = tuple(_stages(source, given))
    return Dockerfile(source, stages, tuple(_shipped(stages)))


def _stages(source: DockerfileText, given: Mapping[str, str]) -> Iterator[Stage]:
    # Variables of before the first FROM hold in FROM lines; a stage sees them where an ARG names them again.
    froms = [number for number, one in enumerate(source.instructions) if one.name == "FROM" and not one.onbuild]
    common = dict(given)
    for instruction in source.instructions[: froms[0]]:
        _take_args(instruction, given, common, source.escape)
    made: list[Stage] = []
    for begin, end in zip(froms, [*froms[1:], len(source.instructions)], strict=True):
        stage = _stage(made, source, source.instructions[begin:end], given, common)
        made.append(stage)
        yield stage


def _take_args(one: Instruction, given: Mapping[str, str], variables: dict[str, str], escape: str) -> None:
    for pair in pairs(one):
        if pair.name in given:
            variables[pair.name] = given[pair.name]
        elif pair.value is not None:
            variables[pair.name] = expanded(pair.value, variables, escape)


def _stage(
    before: Sequence[Stage],
    source: DockerfileText,
    own: Sequence[Instruction],
    given: Mapping[str, str],
    common: Mapping[str, str],
) -> Stage:
    first, body = own[0], own[0].body
    spans = first.words
    start, end = spans[0] if spans else (0, 0)
    written = body.text[start:end]
    image = shown(expanded(written, common, source.escape))
    alias = body.text[slice(*spans[2])] if len(spans) > 2 and body.text[slice(*spans[1])].lower() == "as" else ""
    parent = next((one for one in reversed(before) if one.name and one.name == image.lower()), None)
    variables = dict(parent.steps[-1].variables) if parent and parent.steps else {}
    inherited = {**variables, **(_set_by(parent.steps[-1], source.escape) if parent and parent.steps else {})}
    shell = _shell_of(parent)
    steps = tuple(_steps(source, own[1:], inherited, given, common, shell))
    flag = next((flag for flag in first.flags if flag.startswith("--platform=")), "")
    platform = expanded(flag.partition("=")[2], common, source.escape)
    last = body.at(end - 1) + 1 if end else first.end
    return Stage(len(before), alias.lower(), image, image == written, body.at(start), last, platform, parent, steps)


def _shell_of(stage: Stage | None) -> str:
    shells = [step.words for step in stage.all_steps if step.name == "SHELL"] if stage else []
    return shells[-1][0].value if shells and shells[-1] else _SHELL


def _steps(
    source: DockerfileText,
    own: Sequence[Instruction],
    inherited: Mapping[str, str],
    given: Mapping[str, str],
    common: Mapping[str, str],
    shell: str,
) -> Iterator[StageStep]:
    variables: Mapping[str, str] = inherited
    for instruction in own:
        if instruction.name in ("ENV", "ARG"):
            step = StageStep(instruction, variables, pairs=tuple(pairs(instruction))[:MOST])
            if len(variables) < MOST:
                variables = {**variables, **_set_by(step, source.escape, given, common)}
        elif instruction.name in _WITH_COMMANDS:
            run = tuple(commands(instruction, variables, shell))
            installed = tuple(one for command in run for one in installs(command)) if instruction.name == "RUN" else ()
            step = StageStep(instruction, variables, commands=run, installs=installed)
        else:
            step = StageStep(instruction, variables, _words(instruction, variables, source.escape))
        if instruction.name == "SHELL" and step.words:
            shell = step.words[0].value
        yield step


def _set_by(
    step: StageStep, escape: str, given: Mapping[str, str] | None = None, common: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What an ENV or ARG sets. An ARG does not change what ENV has set, and takes over what stands before FROM."""
    made: dict[str, str] = {}
    before = ChainMap(made, dict(step.variables))
    for pair in step.pairs:
        if step.name == "ENV":
            made[pair.name] = expanded(pair.value or "", step.variables, escape)
        elif given and pair.name in given:
            made[pair.name] = given[pair.name]
        elif pair.value is not None:
            made[pair.name] = expanded(pair.value, before, escape)
        elif common and pair.name in common:
            made[pair.name] = common[pair.name]
    return made


def _words(instruction: Instruction, variables: Mapping[str, str], escape: str) -> tuple[PlacedWord, ...]:
    """The words of an instruction such as COPY, those of its JSON form too."""
    body = instruction.body
    listed = body.text.startswith("[")
    words = []
    for start, end in instruction.words:
        text = body.text[start:end]
        skipped = len(text) - len(text.lstrip("[,")) if listed else 0
        inner = text.strip("[],") if listed else text
        if inner:
            begin = start + skipped
            words.append(
                PlacedWord(expanded(inner, variables, escape), body.at(begin), body.at(begin + len(inner) - 1) + 1)
            )
    return tuple(words)


def _shipped(stages: Sequence[Stage]) -> Iterator[Stage]:
    named = {stage.name: stage for stage in stages if stage.name} | {str(stage.number): stage for stage in stages}
    used = {stage.parent.number for stage in stages if stage.parent}
    for stage in stages:
        for step in stage.steps:
            for flag in step.instruction.flags:
                for part in flag.partition("=")[2].split(",") if flag.startswith("--mount") else [flag]:
                    name = part.rpartition("from=")[2] if "from=" in part else ""
                    if name.lower() in named:
                        used.add(named[name.lower()].number)
    return (
        stage
        for stage in stages
        if stage is stages[-1] or (stage.number not in used and any(map(_says_what_to_run, stage.steps)))
    )


def _says_what_to_run(step: StageStep) -> bool:
    return step.name in ("CMD", "ENTRYPOINT")

"""Repositories and package lists: old keys, another release's sources, lists that are older than the install."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gpuctl.compat.knowledge.lifetimes import Release, by_codename
from gpuctl.dockerfile.packages import manager
from gpuctl.dockerfile.rules.engine import Found, Subject, base, rule
from gpuctl.dockerfile.shell import PlacedWord, ShellCommand
from gpuctl.dockerfile.stages import Stage
from gpuctl.regex import regex

OLD_KEY, NEW_KEY = "7fa2af80.pub", "3bf863cc.pub"
_NETWORK_KEY = regex(
    r"developer\.download\.nvidia\.com/(?:compute/(cuda|machine-learning)|devtools)/\S*?(7fa2af80\.pub)"
)
_FINGERPRINT = regex(r"ae09fe4bbd223a84b2ccfce3f60f4b3d7fa2af80", re.IGNORECASE)
_RESIGNED = regex(r"compute/cuda/repos/(?:wsl-)?(?:ubuntu(?:16|18|20|22|24)04|debian1[0-9])/")
"""The repositories that have the new key under its name."""
_NVIDIA = "developer.download.nvidia.com"
_UBUNTU = regex(r"(?:archive|security|ports)\.ubuntu\.com/\S*\s+([a-z]+)(?=[-\s/]|$)")
_CUDA_REPOSITORY = regex(
    r"(?:compute/(?:cuda|machine-learning)/repos/|cuda-repo-)(ubuntu|debian|rhel|fedora|rocky)([0-9]{1,4})"
)


@rule("dockerfile.old-key")
def old_key(subject: Subject) -> Iterator[Found]:
    """Finds the key of NVIDIA's network repositories of before 2022, by its address or its fingerprint.

    That of a repository on disk (/var/cuda-repo-…) is in that repository, and right; so is apt-key del.
    """
    for stage in subject.dockerfile.stages:
        for step in stage.steps:
            for text in (step.instruction.body, *(document.body for document in step.instruction.heredocs)):
                found = _NETWORK_KEY.search(text.text) if OLD_KEY in text.text else None
                if found:
                    start, end = text.at(found.start(2)), text.at(found.end(2) - 1) + 1
                    # Who compares the fingerprint has more to change than the address.
                    alike = _RESIGNED.search(found[0]) and not _FINGERPRINT.search(subject.dockerfile.source.text)
                    edits = ((start, end, NEW_KEY),) if alike else ()
                    yield Found(start, end, f"apt refuses what {OLD_KEY} verifies: NVIDIA's key is {NEW_KEY}.", edits)
                    continue
                named = _FINGERPRINT.search(text.text) if step.name in ("RUN", "ENV", "ARG") else None
                if named:
                    start, end = text.at(named.start()), text.at(named.end() - 1) + 1
                    yield Found(start, end, "This is the fingerprint of the key that NVIDIA gave up in 2022.")


@rule("dockerfile.apt-key")
def apt_key(subject: Subject) -> Iterator[Found]:
    """Notes that NVIDIA's key goes through apt-key."""
    for _, step, command in subject.runs:
        if command.program == "apt-key" and "del" not in command.values:
            near = " ".join(command.values)
            if _NVIDIA in near or ("add" in command.values and _NVIDIA in step.instruction.body.text):
                word = command.words[0]
                yield Found(word.start, word.end, "apt-key is gone from newer releases.")


@rule("dockerfile.foreign-sources")
def foreign_sources(subject: Subject) -> Iterator[Found]:
    """Finds package sources, of Ubuntu and of CUDA, for another release than the base's."""
    for stage in subject.dockerfile.stages:
        release = base(stage).release
        for step in stage.steps if release and stage in subject.gpu else ():
            if step.name not in ("RUN", "ADD"):
                continue
            edited = [one for one in step.commands if not {"del", "sed"} & {one.program, *one.values[:2]}]
            words = [*step.words, *(word for command in edited for word in command.words)]
            yield from _foreign(words, release)


def _foreign(words: Sequence[PlacedWord], release: Release | None) -> Iterator[Found]:
    for word in words:
        named = _named(word.value)
        if release and named and named[0] == release.id and named[1] != release.version:
            message = f"This is for {named[0]} {named[1]}, and the base is {release.id} {release.version}."
            yield Found(word.start, word.end, message)
            return


def _named(text: str) -> tuple[str, str] | None:
    ubuntu = _UBUNTU.search(text) if ".ubuntu.com/" in text else None
    if ubuntu and ubuntu[1] in by_codename():
        row = by_codename()[ubuntu[1]]
        return row.id, row.version
    found = _CUDA_REPOSITORY.search(text) if "repo" in text else None
    if not found:
        return None
    id, digits = found.groups()
    return id, f"{digits[:2]}.{digits[2:]}" if id == "ubuntu" else digits


@rule("dockerfile.update-apart")
def update_apart(subject: Subject) -> Iterator[Found]:
    """Finds an apt install by lists that an earlier RUN has read, in what has to do with GPUs."""
    for stage in subject.dockerfile.stages:
        if stage in subject.gpu:
            yield from _apart(stage, subject.dockerfile.source.text)


def _apart(stage: Stage, text: str) -> Iterator[Found]:
    read = any(_updates(command) for one in stage.line[:-1] for step in one.steps for command in step.commands)
    for step in stage.steps:
        commands = step.commands if step.name == "RUN" else ()
        installs = [command for command in commands if _installs(command)]
        updates = [command for command in commands if _updates(command)]
        if installs and read and not (updates and updates[0].start < installs[0].start):
            first = installs[0]
            update = _updating(first, text[first.start : first.words[0].start])
            edits = () if first.alone or first.guarded else ((first.start, first.start, f"{update} && "),)
            message = "The package lists are of an earlier RUN, whose layer may be old."
            yield Found(first.words[0].start, first.words[0].end, message, edits)
        read = read or bool(updates)


def _updating(install: ShellCommand, before: str) -> str:
    """The command that reads the lists for an install, as root where that is; `before` is what stands before it."""
    return f"{before if before.startswith('sudo') else ''}{install.program} update"


def _updates(command: ShellCommand) -> bool:
    return manager(command) == ("apt", "update")


def _installs(command: ShellCommand) -> bool:
    kind, verb = manager(command)
    return kind == "apt" and verb == "install" and not any(value.endswith(".deb") for value in command.values)

"""The lint of Dockerfiles: all rules over one file, what its comments leave out, and what can be mended."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from importlib import import_module
from operator import attrgetter

from gpuctl.compat.knowledge.dockerfile_rules import DockerfileRule, Severity, dockerfile_rules
from gpuctl.dockerfile.rules.engine import RULES, Found, Subject, WhyNot
from gpuctl.dockerfile.rules.environment import gpu_stages
from gpuctl.dockerfile.source import DockerfileText, shown
from gpuctl.dockerfile.stages import read_dockerfile
from gpuctl.engines.spans import Span, replaced
from gpuctl.frozen import dataclass
from gpuctl.regex import regex

_SUBJECTS = ("driver", "bases", "versions", "environment", "build", "repositories")
_IGNORE = regex(r"\s*#\s*gpuctl\s+ignore=([a-z][a-z.,\s-]*)")
_ROUNDS = 5
"""How often what was mended is looked at again: an edit can make room for another, none undoes one."""


@dataclass(frozen=True)
class LintEdit:
    """A piece of the file, from line and column to line and column, from 1, and what is to stand in its place."""

    line: int
    column: int
    end_line: int
    end_column: int
    text: str


@dataclass(frozen=True)
class LintFinding:
    """A finding of a rule: where it is, from 1, and the edits that mend it: by offsets, and as people count."""

    rule: DockerfileRule
    line: int
    column: int
    end_line: int
    end_column: int
    message: str
    edits: tuple[Span, ...] = ()
    fix: tuple[LintEdit, ...] = ()

    @property
    def fixable(self) -> bool:
        """Whether --fix mends it."""
        return bool(self.edits)


@dataclass(frozen=True)
class Linted:
    """What was found in a file, first line first; `ignored` is what its comments leave out."""

    path: str
    faults: tuple[LintFinding, ...]
    ignored: int = 0
    fixed: int = 0

    @property
    def problem(self) -> bool:
        """Whether there is more than notes."""
        return any(fault.rule.severity != Severity.NOTE for fault in self.faults)


def lint(raw: bytes, path: str, build_args: Mapping[str, str] | None = None, why_not: WhyNot | None = None) -> Linted:
    """Returns what the rules find in a Dockerfile.

    Raises BadDockerfile for what is none.
    """
    for subject in _SUBJECTS:
        import_module(f"gpuctl.dockerfile.rules.{subject}")
    dockerfile = read_dockerfile(raw, build_args)
    handed = Subject(dockerfile, why_not, gpu_stages(dockerfile.stages))
    left_out = dict(_ignored(dockerfile.source))
    faults, ignored = set(), 0
    for id, row in dockerfile_rules().items():
        for found in RULES[id](handed):
            fault = _fault(row, found, dockerfile.source)
            line = fault.line if fault.line in left_out else _first_line(dockerfile.source, fault.line)
            if id in left_out.get(line, ()):
                ignored += 1
            else:
                faults.add(fault)
    told = sorted(faults, key=lambda one: (one.line, one.column, one.rule.id, one.message))
    return Linted(path, tuple(told), ignored)


def _fault(row: DockerfileRule, found: Found, source: DockerfileText) -> LintFinding:
    end = max(found.end, found.start + 1)
    fix = tuple(LintEdit(*source.place(start), *source.place(end), shown(text)) for start, end, text in found.edits)
    places = (*source.place(found.start), *source.place(min(end, len(source.text))))
    return LintFinding(row, *places, found.message, found.edits, fix)


def _ignored(source: DockerfileText) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yields the line behind each comment that leaves rules out, and these rules' ids."""
    for line, text in source.comments:
        found = _IGNORE.match(text)
        if found:
            yield line + 1, tuple(id.strip() for id in found[1].split(","))


def _first_line(source: DockerfileText, line: int) -> int:
    """Returns the line in which the instruction begins that a line belongs to."""
    before = bisect_right(source.instructions, line, key=attrgetter("line"))
    return source.instructions[before - 1].line if before else line


def mended(
    raw: bytes, path: str, build_args: Mapping[str, str] | None = None, why_not: WhyNot | None = None
) -> tuple[bytes, Linted]:
    """Returns a Dockerfile with what can be mended mended, and what is left; every byte outside of the edits stays.

    Raises BadDockerfile as `lint` does.
    """
    fixed, found = 0, lint(raw, path, build_args, why_not)
    for _ in range(_ROUNDS):
        chosen = list(_apart(found.faults))
        if not chosen:
            break
        edits = {edit for fault in chosen for edit in fault.edits}
        raw = replaced(raw.decode("latin-1"), edits).encode("latin-1")
        fixed += len(chosen)
        found = lint(raw, path, build_args, why_not)
    return raw, Linted(path, found.faults, found.ignored, fixed)


def _apart(faults: tuple[LintFinding, ...]) -> Iterator[LintFinding]:
    """Yields faults whose edits touch each other nowhere, in their order."""
    taken: list[Span] = []
    for fault in faults:
        if fault.fixable and not any(_touch(one, other) for one in fault.edits for other in taken):
            taken += fault.edits
            yield fault


def _touch(one: Span, other: Span) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]

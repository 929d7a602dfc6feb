"""What `gpuctl check` is asked: its options and files as a question."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from gpuctl.cli.frame.described import check_cuda_option
from gpuctl.cli.frame.endings import refused
from gpuctl.cli.frame.snapshots import host_at

if TYPE_CHECKING:
    from gpuctl.compat.ask.asks import Ask
    from gpuctl.compat.ask.pip_files.markers import Environment
    from gpuctl.compat.ask.question import Question
    from gpuctl.compat.judge.gate.gate import Gate


class Evaluator(str, Enum):
    """Who evaluates requirements."""

    LIBRARY = "libnvidia-container"
    GO = "go"


def asked_question(
    cuda: list[str], require: list[str], framework: list[str], files: tuple[Ask, ...], evaluator: Evaluator
) -> Question:
    """Returns what the options ask. Raises ValueError, a sentence, for what cannot be asked."""
    from gpuctl.compat.ask.question import Question, typed_cuda

    versions = [version for typed in cuda for version in typed.split(",")]
    for version in versions:
        check_cuda_option(version)
    asks = [typed_cuda(version) for version in versions]
    if framework:
        from gpuctl.compat.ask.pip_files.asks import named_asks

        asks += [ask for text in framework for ask in named_asks(text)]
    return Question((*asks, *files), _gate(require, evaluator))


def pinned(path: str, snapshot: str | None, python: str | None) -> tuple[Ask, ...]:
    """Returns what a requirements file or a lock file asks for on this host, or a snapshot's, for an application's
    Python; None: whichever that is. Raises ValueError.
    """
    from gpuctl.compat.ask.pip_files.asks import file_asks
    from gpuctl.host.write.files import FileProblem, read_named

    try:
        raw = read_named(path)
    except FileProblem as problem:
        raise refused(str(problem)) from None
    return file_asks(raw, path, _environment(snapshot, python))


def _environment(snapshot: str | None, python: str | None) -> Environment:
    """Returns where a file's packages are installed: on the host's architecture, for the application's Python."""
    from gpuctl.compat.ask.pip_files.markers import Environment
    from gpuctl.facts.machine.system import probe_architecture

    return Environment(probe_architecture(host_at(snapshot)).value, python)


def _gate(require: list[str], evaluator: Evaluator) -> Gate | None:
    if not require and evaluator is Evaluator.LIBRARY:
        return None
    from gpuctl.compat.ask.image_claims import Expression
    from gpuctl.compat.judge.gate.gate import Gate, malformed

    gate = Gate(None, tuple(Expression("--require", text) for text in require), evaluator.value)
    broken = malformed(gate)
    if broken:
        raise ValueError(broken)
    return gate

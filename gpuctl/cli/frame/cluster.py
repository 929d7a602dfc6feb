"""The cluster that a command looks at: files of what was recorded or printed of it, or the one that is asked."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from gpuctl.cli.frame.endings import refused
from gpuctl.cli.frame.options import text_option
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.host.api.answer import Ask
    from gpuctl.k8s.cluster import Cluster
    from gpuctl.k8s.live import List

T = TypeVar("T")

LIMIT = 2 << 30
"""Bytes of a file, opened: 100,000 pods as kubectl prints them."""

_NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")


def namespace_name(value: str) -> str:
    """Returns a name that a namespace can have (RFC 1123's label). Raises BadParameter for another."""
    if not _NAMESPACE.fullmatch(value):
        raise typer.BadParameter(f"{value[:80]!r} is no name that a namespace can have")
    return value


FromLists = Annotated[
    list[str] | None,
    text_option(
        "--from",
        metavar="FILE",
        help="What `gpuctl k8s collect` wrote, or `kubectl get … -A -o json` printed; - for stdin; repeatable.",
    ),
]
Context = Annotated[
    str | None, text_option("--context", metavar="NAME", help="Of the kubeconfig, instead of its current one.")
]


def cluster_at(
    files: list[str] | None,
    context: str | None,
    lists: Mapping[str, List],
    node: str | None = None,
    fold: bool = False,
    more: Callable[[Ask, Cluster], Cluster] | None = None,
) -> Cluster:
    """Returns the cluster of some files, or the one that is asked for some lists, or those of a node.

    `fold`: of plain pods only what they take of their nodes is kept. `more` asks the cluster for more, by what it has.
    Ends the run with a sentence where there is none.
    """
    check_source(files, context)
    if files:
        from gpuctl.k8s.reading import read_cluster

        return read_lists(files, lambda texts: read_cluster(texts, fold))
    from gpuctl.k8s.live import live_cluster

    def look(ask: Ask) -> Cluster:
        cluster = live_cluster(ask, lists, node, fold)
        return more(ask, cluster) if more else cluster

    return asked(context, look)


def check_source(files: list[str] | None, context: str | None) -> None:
    """Raises BadParameter where files are named in a way that does not go together."""
    if files and context is not None:
        raise typer.BadParameter("--context is of the kubeconfig, which --from leaves out")
    if files and files.count("-") > 1:
        raise typer.BadParameter("stdin can be read once: give --from - once")


def read_lists(files: list[str], of: Callable[[Iterator[Iterator[bytes]]], T]) -> T:
    """Returns what is made of files of lists; ends the run with a sentence where one holds none."""
    from gpuctl.host.write.files import FileProblem, pieces_named
    from gpuctl.k8s.reading import NotACluster
    from gpuctl.render.draw.progress import working

    at = ""

    def texts() -> Iterator[Iterator[bytes]]:
        nonlocal at
        for at in files:
            yield pieces_named(at, LIMIT)

    try:
        with working("Reading the cluster's lists"), _uncollected():
            return of(texts())
    except FileProblem as problem:
        raise refused(str(problem)) from None
    except NotACluster as problem:
        name = "standard input" if at == "-" else at
        raise refused(f"{name} holds no lists of a cluster: {problem}.") from None


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keeps Python from looking for circles among what is read: there are none, and it took as long as the reading."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def asked(context: str | None, of: Callable[[Ask], T], by: Callable[[str | None], Ask] | None = None) -> T:
    """Returns what is made of a cluster's answers; ends the run with a sentence where it cannot be asked.

    `by` None: by the way that there is.
    """
    from gpuctl.host.api.answer import ApiProblem, BadConfiguration
    from gpuctl.host.api.door import open_api
    from gpuctl.k8s.reading import NotACluster
    from gpuctl.render.draw.progress import working

    try:
        with working("Asking the cluster"), _uncollected():
            return of((by or open_api)(context))
    except BadConfiguration as problem:
        raise refused(str(problem)) from None
    except ApiProblem as problem:
        raise refused(str(problem), ExitCode.UNDETERMINED) from None
    except NotACluster as problem:
        raise refused(f"what answers is no cluster: {problem}.", ExitCode.UNDETERMINED) from None

"""The cluster that a command looks at: files of what kubectl printed, or the one that the user's kubectl asks."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli.frame.endings import refused
from gpuctl.cli.frame.options import filled
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.k8s.cluster import Cluster

LIMIT = 2 << 30
"""Bytes of a file, opened: 100,000 pods as kubectl prints them."""
DEADLINE = 60.0
"""Seconds for a page, the program for credentials among them."""

FromLists = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        parser=filled,
        metavar="FILE",
        help="What `kubectl get … -A -o json` printed, - for stdin; repeatable.",
        show_default=False,
    ),
]
Context = Annotated[
    str | None,
    typer.Option(
        "--context", parser=filled, metavar="NAME", help="Of kubectl's, instead of its current one.", show_default=False
    ),
]


def cluster_at(files: list[str] | None, context: str | None, kinds: Collection[str] = ()) -> Cluster:
    """Returns the cluster of some files, or the one that kubectl asks; `kinds` are the lists that are needed, else all.

    Ends the run with a sentence where there is none.
    """
    if files and context is not None:
        raise typer.BadParameter("--context is for kubectl, which --from leaves out")
    if files and files.count("-") > 1:
        raise typer.BadParameter("stdin can be read once: give --from - once")
    return _recorded(files) if files else _live(context, kinds)


def _recorded(files: list[str]) -> Cluster:
    from gpuctl.host.write.files import FileProblem, pieces_named
    from gpuctl.k8s.reading import NotACluster, Reader
    from gpuctl.render.draw.progress import working

    reader = Reader()
    for path in files:
        try:
            with working("Reading the cluster's lists"):
                reader.read(pieces_named(path, LIMIT))
        except FileProblem as problem:
            raise refused(str(problem)) from None
        except NotACluster as problem:
            name = "standard input" if path == "-" else path
            raise refused(f"{name} holds no lists of a cluster: {problem}.") from None
    return reader.cluster()


def _live(context: str | None, kinds: Collection[str]) -> Cluster:
    from gpuctl.host.act.process import ask_kubectl
    from gpuctl.k8s.cluster import KINDS
    from gpuctl.k8s.live import NoCluster, NoSuchContext, live_cluster
    from gpuctl.k8s.reading import NotACluster
    from gpuctl.render.draw.progress import working

    try:
        with working("Asking the cluster"):
            return live_cluster(lambda path: ask_kubectl(path, context, DEADLINE), kinds or KINDS)
    except NoSuchContext as problem:
        raise refused(str(problem)) from None
    except NoCluster as problem:
        raise refused(str(problem), ExitCode.UNDETERMINED) from None
    except NotACluster as problem:
        raise refused(f"what answers kubectl is no cluster: {problem}.", ExitCode.UNDETERMINED) from None

"""`gpuctl k8s`: a cluster's GPUs. Why a pod waits, what is wrong with the nodes, whether something runs there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli.frame.cluster import Context, FromLists, cluster_at
from gpuctl.cli.frame.endings import CODES, exit_code
from gpuctl.cli.frame.host_reports import reports_in
from gpuctl.cli.frame.options import CudaVersions, Frameworks, ImageName, Json, Offline, filled, seconds
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.compat.ask.question import Question

HELP = "Say why pods wait for GPUs, what is wrong with a cluster's, and what runs there."
Strict = Annotated[bool, typer.Option("--strict", help="Warnings and unknowns exit with 1.")]


def why(
    named: Annotated[str, typer.Argument(metavar="POD", parser=filled, help="A pod, job/NAME or rs/NAME.")],
    namespace: Annotated[
        str | None,
        typer.Option("-n", "--namespace", metavar="NAME", help="Where it lies.", show_default=False),
    ] = None,
    files: FromLists = None,
    context: Context = None,
    json: Json = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show every node and every holder.")] = False,
) -> None:
    """Say why a pod waits or was refused, how each node stands to it, and which change would help."""
    from gpuctl.k8s.why import NoSuchPod
    from gpuctl.k8s.why import why as ask_why
    from gpuctl.render.views.k8s import why_json, why_text

    try:
        answer = ask_why(cluster_at(files, context), named, namespace)
    except NoSuchPod as error:
        raise typer.BadParameter(str(error)) from None
    if json:
        typer.echo(why_json(answer))
    else:
        why_text(answer, verbose).show()
    raise typer.Exit(answer.code)


def doctor(
    node: Annotated[
        str | None,
        typer.Option("--node", parser=filled, metavar="NAME", help="Judge this node alone.", show_default=False),
    ] = None,
    selector: Annotated[
        str | None,
        typer.Option(
            "--selector", parser=filled, metavar="LABELS", help="Judge nodes with these labels.", show_default=False
        ),
    ] = None,
    hosts: Annotated[
        str | None,
        typer.Option(
            "--hosts",
            parser=filled,
            metavar="DIR",
            help="Folder of nodes' snapshots, or of what `gpuctl doctor --json` printed there.",
            show_default=False,
        ),
    ] = None,
    files: FromLists = None,
    context: Context = None,
    json: Json = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show every check, with its evidence.")] = False,
    strict: Strict = False,
) -> None:
    """Say whether a cluster's GPUs are counted, healthy and free to be given to pods."""
    from gpuctl.k8s.doctor import NoSuchNode, examine
    from gpuctl.render.views.k8s_doctor import doctor_json, doctor_text

    try:
        reports = reports_in(hosts) if hosts is not None else ()
        found = examine(cluster_at(files, context), node, selector, reports)
    except NoSuchNode as error:
        raise typer.BadParameter(str(error)) from None
    if json:
        typer.echo(doctor_json(found))
    else:
        doctor_text(found, verbose).show()
    raise typer.Exit(exit_code(found.report, strict))


def check(
    cuda: CudaVersions = None,
    image: ImageName = None,
    framework: Frameworks = None,
    offline: Offline = False,
    files: FromLists = None,
    context: Context = None,
    json: Json = False,
) -> None:
    """Say on which of a cluster's nodes something runs, and which nodeSelector picks these."""
    from gpuctl.k8s.compat import cluster_answer
    from gpuctl.render.views.k8s_check import check_json, check_text

    try:
        question = _question(cuda or [], image, framework or [], offline)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    answer = cluster_answer(cluster_at(files, context, ("Node", "ResourceSlice")), question)
    if json:
        typer.echo(check_json(answer))
    else:
        check_text(answer).show()
    raise typer.Exit(CODES[answer.verdict])


def _question(cuda: list[str], image: str | None, framework: list[str], offline: bool) -> Question:
    from gpuctl.cli.frame.question import Evaluator, asked_question
    from gpuctl.cli.frame.snapshots import host_at
    from gpuctl.compat.ask.question import Machine
    from gpuctl.images.inquiry import Inquiry, question_elsewhere
    from gpuctl.render.draw.progress import working

    question = asked_question(cuda, [], framework, (), Evaluator.LIBRARY)
    if image is None and not question.anything:
        raise ValueError("nothing to check: give --cuda, --image or --framework")
    return question_elsewhere(Inquiry(question, image, Machine(), None, offline, lambda: host_at(None), working))


def rbac(json: Json = False) -> None:
    """Print the least ClusterRole that lets gpuctl read a cluster."""
    from gpuctl.k8s.rbac import role, role_yaml

    if json:
        from gpuctl.render.formats.json import document

        typer.echo(document("k8s-rbac", {"role": role()}))
    else:
        typer.echo(role_yaml(), nl=False)


def smoke(
    node: Annotated[
        str | None,
        typer.Option("--node", parser=filled, metavar="NAME", help="Test this node alone.", show_default=False),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Test every node with GPUs, not one of each class.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Also test CUDA, with memory and a kernel.")] = False,
    image: Annotated[
        str | None,
        typer.Option(
            "--image", parser=filled, metavar="NAME", help="Instead of an nvidia/cuda one.", show_default=False
        ),
    ] = None,
    namespace: Annotated[
        str, typer.Option("-n", "--namespace", parser=filled, metavar="NAME", help="Where the pods are made.")
    ] = "default",
    timeout: Annotated[
        float,
        typer.Option("--timeout", parser=seconds, metavar="SECONDS", help="For a pod to end, its image among it."),
    ] = 300,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the pods' manifests, and make none.")] = False,
    files: FromLists = None,
    context: Context = None,
    json: Json = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show what the pods and the cluster said.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="`could not tell` exits with 1.")] = False,
) -> None:
    """Run a pod on nodes with GPUs, and see that its container gets exactly the GPU that it is assigned."""
    if node is not None and every:
        raise typer.BadParameter("--node and --all exclude each other")
    if files and not dry_run:
        raise typer.BadParameter("no pod runs in recorded lists: --from goes with --dry-run")
    from gpuctl.cli.frame.smoke_pods import SmokeRequest, carried_out, planned
    from gpuctl.render.views.k8s_smoke import manifests_json, manifests_yaml, pods_json, pods_text
    from gpuctl.smoke.cluster.run import code_of

    asked = SmokeRequest(node, every, deep, image, namespace, context, timeout, files)
    pods, without = planned(asked)
    if dry_run:
        typer.echo(manifests_json(pods, without) if json else manifests_yaml(pods), nl=json)
        if not json and without:
            pods_text(without, verbose).show(sys.stderr)
        raise typer.Exit(ExitCode.GOOD if pods else ExitCode.UNDETERMINED)
    results = (*carried_out(asked, pods), *without)
    if json:
        typer.echo(pods_json(results))
    else:
        pods_text(results, verbose).show()
    code = code_of(results)
    raise typer.Exit(ExitCode.PROBLEM if strict and code else code)


commands = (why, doctor, check, rbac, smoke)

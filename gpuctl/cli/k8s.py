"""`gpuctl k8s`: a cluster's GPUs. Why a pod waits, what is wrong with the nodes, whether something runs there."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl import __version__
from gpuctl.cli.frame.cluster import Context, FromLists, asked, check_source, cluster_at, namespace_name, read_lists
from gpuctl.cli.frame.endings import CODES, exit_code
from gpuctl.cli.frame.host_reports import reports_in
from gpuctl.cli.frame.nearest import did_you_mean
from gpuctl.cli.frame.options import (
    CudaVersions,
    Frameworks,
    ImageName,
    Json,
    Offline,
    filled,
    seconds_option,
    text_option,
)
from gpuctl.cli.frame.recording import Output, to_stdout, write_recording
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.compat.ask.question import Question

HELP = "Say why pods wait for GPUs, what is wrong with a cluster's, and what runs there."
Strict = Annotated[bool, typer.Option("--strict", help="Warnings and unknowns exit with 1.")]
Node = Annotated[str | None, text_option("--node", metavar="NAME", help="This node alone.")]
Hosts = Annotated[
    str | None,
    text_option(
        "--hosts", metavar="DIR", help="Folder of nodes' snapshots, or of what `gpuctl doctor --json` printed there."
    ),
]
PodsNamespace = Annotated[
    str, typer.Option("-n", "--namespace", parser=namespace_name, metavar="NAME", help="Where the pods are made.")
]
PodSeconds = Annotated[float, seconds_option("--timeout", help="For a pod to end, its image among it.")]
PodsDryRun = Annotated[bool, typer.Option("--dry-run", help="Print the pods' manifests, and make none.")]


def why(
    named: Annotated[str, typer.Argument(metavar="POD", parser=filled, help="A pod, job/NAME or rs/NAME.")],
    namespace: Annotated[
        str | None,
        typer.Option(
            "-n", "--namespace", parser=namespace_name, metavar="NAME", help="Where it lies.", show_default=False
        ),
    ] = None,
    files: FromLists = None,
    context: Context = None,
    json: Json = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show every node and every holder.")] = False,
) -> None:
    """Say why a pod waits or was refused, how each node stands to it, and which change would help."""
    from gpuctl.k8s.live import LISTS
    from gpuctl.k8s.why import NoSuchPod
    from gpuctl.k8s.why import why as ask_why
    from gpuctl.render.views.k8s import why_json, why_text

    try:
        answer = ask_why(cluster_at(files, context, LISTS), named, namespace)
    except NoSuchPod as error:
        raise typer.BadParameter(f"{error}{did_you_mean(named, error.known)}") from None
    if json:
        typer.echo(why_json(answer))
    else:
        why_text(answer, verbose).show()
    raise typer.Exit(answer.code)


def doctor(
    node: Node = None,
    selector: Annotated[
        str | None, text_option("--selector", metavar="LABELS", help="Judge nodes with these labels.")
    ] = None,
    hosts: Hosts = None,
    files: FromLists = None,
    context: Context = None,
    json: Json = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show every check, with its evidence.")] = False,
    strict: Strict = False,
) -> None:
    """Say whether a cluster's GPUs are counted, healthy and free to be given to pods."""
    from gpuctl.k8s.doctor import NoSuchNode, examine, lists_for
    from gpuctl.k8s.logs import with_logs
    from gpuctl.render.views.k8s_doctor import doctor_json, doctor_text

    try:
        reports = reports_in(hosts) if hosts is not None else ()
        cluster = cluster_at(files, context, lists_for(node), node, fold=True, more=with_logs)
        found = examine(cluster, node, selector, reports)
    except NoSuchNode as error:
        raise typer.BadParameter(f"{error}{did_you_mean(node or '', error.known)}") from None
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
    hosts: Hosts = None,
    files: FromLists = None,
    context: Context = None,
    json: Json = False,
) -> None:
    """Say on which of a cluster's nodes something runs, and which nodeSelector picks these."""
    from gpuctl.k8s.compat import cluster_answer
    from gpuctl.k8s.live import lists_of
    from gpuctl.render.views.k8s_check import check_json, check_text

    try:
        question = _question(cuda or [], image, framework or [], offline)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    reports = reports_in(hosts) if hosts is not None else ()
    answer = cluster_answer(cluster_at(files, context, lists_of(("Node", "ResourceSlice"))), question, reports)
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


def rbac(
    missing: Annotated[
        bool, typer.Option("--missing", help="Ask the cluster instead which of its rules this identity lacks.")
    ] = False,
    context: Context = None,
    json: Json = False,
) -> None:
    """Print the least ClusterRole that lets gpuctl read a cluster, or what of it this identity lacks.

    And a Role for the device plugin's log, in the plugin's namespace: kubectl apply -n names it.
    """
    from gpuctl.k8s.rbac import log_role, role
    from gpuctl.render.formats.yaml import as_yaml
    from gpuctl.render.views.k8s_rbac import missing_json, missing_text, role_json

    if not missing:
        if context is not None:
            raise typer.BadParameter("the role is the same for every cluster: --context goes with --missing")
        typer.echo(role_json(role(), log_role()) if json else as_yaml([role(), log_role()]), nl=json)
        return
    from gpuctl.k8s.live import lacking

    lacks = asked(context, lacking)
    if json:
        typer.echo(missing_json(role(), lacks))
    else:
        missing_text(lacks).show()
    raise typer.Exit(ExitCode.PROBLEM if lacks else ExitCode.GOOD)


def smoke(
    node: Node = None,
    every: Annotated[bool, typer.Option("--all", help="Test every node with GPUs, not one of each class.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Also test CUDA, with memory and a kernel.")] = False,
    image: Annotated[str | None, text_option("--image", metavar="NAME", help="Instead of an nvidia/cuda one.")] = None,
    namespace: PodsNamespace = "default",
    timeout: PodSeconds = 300,
    dry_run: PodsDryRun = False,
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
    from gpuctl.cli.frame.own_pods import PodsRequest
    from gpuctl.cli.frame.smoke_pods import SmokeRequest, carried_out, planned
    from gpuctl.render.formats.yaml import as_yaml
    from gpuctl.render.views.k8s_smoke import manifests_json, pods_json, pods_text
    from gpuctl.smoke.cluster.judge import code_of

    request = SmokeRequest(PodsRequest(node, namespace, context, timeout, files), every, deep, image)
    pods, without = planned(request)
    if dry_run:
        manifests = manifests_json(pods, without) if json else as_yaml(one.manifest for one in pods)
        typer.echo(manifests, nl=json)
        if not json and without:
            pods_text(without, verbose).show(sys.stderr)
        raise typer.Exit(ExitCode.GOOD if pods else ExitCode.UNDETERMINED)
    results = (*carried_out(request, pods), *without)
    if json:
        typer.echo(pods_json(results))
    else:
        pods_text(results, verbose).show()
    code = code_of(results)
    raise typer.Exit(ExitCode.PROBLEM if strict and code else code)


def collect(
    output: Output = None,
    hosts: Annotated[
        bool, typer.Option("--hosts", help="Record the nodes instead, by a privileged pod on each, into a folder.")
    ] = False,
    image: Annotated[
        str | None, text_option("--image", metavar="NAME", help="Of these pods: with python3 and gpuctl.")
    ] = None,
    node: Node = None,
    namespace: PodsNamespace = "default",
    timeout: PodSeconds = 300,
    dry_run: PodsDryRun = False,
    files: FromLists = None,
    context: Context = None,
    json: Json = False,
) -> None:
    """Record what gpuctl reads of a cluster in one file, without secrets, for `--from FILE` elsewhere."""
    if not hosts:
        if image or node or dry_run:
            raise typer.BadParameter("--image, --node and --dry-run go with --hosts")
        _record(output, files, context, json)
        return
    if image is None:
        raise typer.BadParameter("--hosts wants --image: one with python3 and gpuctl")
    if files and not dry_run:
        raise typer.BadParameter("no pod runs in recorded lists: with --hosts, --from goes with --dry-run")
    from gpuctl.cli.frame.collect_pods import collected, new_folder, planned
    from gpuctl.cli.frame.own_pods import PodsRequest
    from gpuctl.k8s.collecting import code_of
    from gpuctl.render.formats.yaml import as_yaml
    from gpuctl.render.views.k8s_collect import collect_manifests_json, nodes_json, nodes_text

    request = PodsRequest(node, namespace, context, timeout, files)
    pods, without = planned(request, image)
    if dry_run:
        manifests = collect_manifests_json(pods, without) if json else as_yaml(one.manifest for one in pods)
        typer.echo(manifests, nl=json)
        if not json and without:
            nodes_text(without, None).show(sys.stderr)
        raise typer.Exit(ExitCode.GOOD if pods else ExitCode.UNDETERMINED)
    folder = new_folder(output) if pods else None
    records = (*(collected(request, pods, folder) if folder else ()), *without)
    if json:
        typer.echo(nodes_json(records, folder))
    else:
        nodes_text(records, folder).show()
    raise typer.Exit(code_of(records))


def _record(output: str | None, files: list[str] | None, context: str | None, json: bool) -> None:
    from gpuctl.k8s.snapshot import record, record_texts
    from gpuctl.render.views.k8s_collect import cluster_collect_json, cluster_collect_text, cluster_file_name

    printed = to_stdout(output, json)
    check_source(files, context)
    if files:
        snapshot = read_lists(files, lambda texts: record_texts(texts, __version__, time.time()))
    else:
        snapshot = asked(context, lambda ask: record(ask, __version__, time.time()))
    path = output or cluster_file_name(snapshot)
    write_recording(path, snapshot.raw, is_named=output is not None)
    if json:
        typer.echo(cluster_collect_json(snapshot, path))
    else:
        cluster_collect_text(snapshot, None if printed else path).show(sys.stderr if printed else sys.stdout)


commands = ("why", "doctor", "check", "rbac", "smoke", "collect")

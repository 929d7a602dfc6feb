"""What `gpuctl k8s collect` recorded, of a cluster or of its nodes: as text, as JSON, and in a file's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from gpuctl.command import command
from gpuctl.k8s.cluster import RULES, plural
from gpuctl.k8s.collecting import CollectPod, NodeRecord
from gpuctl.k8s.snapshot import ClusterSnapshot
from gpuctl.render.draw.text import Styled, plain, remedy_lines
from gpuctl.render.formats.json import as_json, document


def cluster_file_name(snapshot: ClusterSnapshot) -> str:
    """Returns the name of a file for the snapshot: when it was recorded, in UTC."""
    return f"gpuctl-cluster-{_at(snapshot):%Y%m%dT%H%M%SZ}.jsonl.gz"


def cluster_collect_json(snapshot: ClusterSnapshot, path: str) -> str:
    """Returns what was recorded as JSON."""
    body = {
        "file": path,
        "bytes": len(snapshot.raw),
        "at": _at(snapshot).isoformat(timespec="seconds"),
        "version": snapshot.version or None,
        "objects": {plural(kind): count for kind, count in snapshot.objects.items()},
        "missing": [
            {"list": plural(kind), "rule": RULES[kind], "reason": reason} for kind, reason in snapshot.missing.items()
        ],
    }
    return document("k8s-collect", body)


def cluster_collect_text(snapshot: ClusterSnapshot, path: str | None) -> Styled:
    """Returns what was recorded as lines, and what to do with it. `path` is None where it went to stdout."""
    counts = [f"{count:,} {plural(kind)}" for kind, count in snapshot.objects.items() if count]
    text = Styled(f"Wrote {plain(path or 'to stdout')}", "bold")
    text.append(f": {len(snapshot.raw) / 1000:,.0f} kB, {', '.join(counts) or 'no objects'}.\n")
    if snapshot.missing:
        text.append("Could not be had:\n", "yellow")
        lines = (f"  {plural(kind)}: {plain(reason)}\n" for kind, reason in snapshot.missing.items())
        text.append("".join(lines), "dim")
    text.append("It names nodes, pods, namespaces and labels. ", "dim")
    if path is None:
        return text.append("\n")
    return text.append("To diagnose it: ").append(f"{command('gpuctl', 'k8s', 'doctor', '--from', path)}\n", "cyan")


def _at(snapshot: ClusterSnapshot) -> datetime:
    return datetime.fromtimestamp(snapshot.at, timezone.utc)


def nodes_json(records: Sequence[NodeRecord], folder: str | None) -> str:
    """Returns what came of each node as JSON; `folder` None: no pod was made."""
    return _nodes_document(records, folder, dry_run=False, manifests=[])


def collect_manifests_json(pods: Sequence[CollectPod], without: Sequence[NodeRecord]) -> str:
    """Returns the manifests of pods that were not made, and of nodes without one why."""
    return _nodes_document(without, None, dry_run=True, manifests=[one.manifest for one in pods])


def _nodes_document(
    records: Sequence[NodeRecord], folder: str | None, dry_run: bool, manifests: Sequence[Mapping[str, Any]]
) -> str:
    nodes = [
        {
            "node": one.node,
            "file": one.file,
            "bytes": one.size,
            "cause": one.cause,
            "remedy": as_json(one.remedy),
        }
        for one in records
    ]
    body = {"dry_run": dry_run, "folder": folder, "nodes": nodes, "manifests": manifests}
    return document("k8s-collect-hosts", body)


def nodes_text(records: Sequence[NodeRecord], folder: str | None) -> Styled:
    """Returns which nodes were not recorded, a block for those of one reason, how many were, and what comes next."""
    text = Styled()
    by_cause: dict[str, list[NodeRecord]] = {}
    for one in records:
        if one.cause:
            by_cause.setdefault(one.cause, []).append(one)
    for cause, nodes in by_cause.items():
        names = ", ".join(one.node for one in nodes[:5]) + (f" and {len(nodes) - 5} more" if len(nodes) > 5 else "")
        text.append("????  ", "bold magenta").append(f"{plain(names)}: {plain(cause)}\n", "bold")
        if nodes[0].remedy:
            text.append(remedy_lines(nodes[0].remedy, "      "))
    kept = [one for one in records if one.file]
    if folder is None:
        return text
    text.append(f"Wrote {plain(folder)}", "bold")
    text.append(f": {len(kept)} of {len(records)} nodes, {sum(one.size for one in kept) / 1000:,.0f} kB.\n")
    if kept:
        doctor = command("gpuctl", "k8s", "doctor", "--hosts", folder)
        text.append("To diagnose them: ").append(f"{doctor}\n", "cyan", whole=True)
    return text

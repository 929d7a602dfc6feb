"""What `gpuctl k8s collect` recorded: as text, as JSON, and in a file's name."""

from __future__ import annotations

from datetime import datetime, timezone

from gpuctl.command import command
from gpuctl.k8s.cluster import RULES, plural
from gpuctl.k8s.snapshot import ClusterSnapshot
from gpuctl.render.draw.text import Styled, plain
from gpuctl.render.formats.json import document


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

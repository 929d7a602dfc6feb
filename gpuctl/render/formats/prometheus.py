"""Metrics for the textfile collector of Prometheus' node exporter.

Names and labels: https://prometheus.io/docs/practices/naming/. A finding has one series for each status, of which one
is 1, so that none vanishes when it changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone

from prometheus_client import CollectorRegistry, Gauge, Info, generate_latest

from gpuctl import __version__
from gpuctl.compat.answer.answer import Compatibility
from gpuctl.model import Report, Verdict
from gpuctl.render.draw.text import plain
from gpuctl.render.formats.standing import STANDINGS, counts, standing
from gpuctl.render.views.check import question_text

_DAY = 86_400


def report_prometheus(report: Report) -> str:
    """Returns a doctor's report in Prometheus' text format."""
    registry = new_registry()
    status = Gauge(
        "gpuctl_finding_status", "How a check of gpuctl doctor stands.", ("id", "layer", "status"), registry=registry
    )
    number = Gauge("gpuctl_findings", "Findings of gpuctl doctor by status.", ("status",), registry=registry)
    expiry = Gauge(
        "gpuctl_waiver_expiry_timestamp_seconds", "When a waiver ends, in UTC.", ("id", "reason"), registry=registry
    )
    for finding in report.findings:
        _set(status, (finding.id, finding.layer), standing(finding), STANDINGS)
        if finding.waived:
            expiry.labels(finding.id, plain(finding.waived.reason)).set(_end_of(finding.waived.expires))
    for name, count in counts(report).items():
        number.labels(name).set(count)
    return exposition(registry)


def answer_prometheus(answer: Compatibility) -> str:
    """Returns a compatibility answer in Prometheus' text format."""
    registry, verdicts = new_registry(), [verdict.value for verdict in Verdict]
    whole = Gauge("gpuctl_check_verdict", "The verdict for a host.", ("asked", "verdict"), registry=registry)
    each = Gauge("gpuctl_check_gpu_verdict", "The verdict for a GPU.", ("gpu", "name", "verdict"), registry=registry)
    _set(whole, (plain(question_text(answer)),), answer.verdict.value, verdicts)
    for place, gpu in enumerate(answer.gpus):
        _set(each, (str(place), plain(gpu.name)), gpu.verdict.value, verdicts)
    return exposition(registry)


def new_registry() -> CollectorRegistry:
    """Returns a registry that names the gpuctl that judged, and nothing else yet."""
    registry = CollectorRegistry()
    Info("gpuctl_build", "The gpuctl that judged.", registry=registry).info({"version": __version__})
    return registry


def _set(gauge: Gauge, labels: tuple[str, ...], state: str, states: Iterable[str]) -> None:
    for one in states:
        gauge.labels(*labels, one).set(one == state)


def _end_of(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=timezone.utc).timestamp() + _DAY


def exposition(registry: CollectorRegistry) -> str:
    """Returns what is registered in Prometheus' text format."""
    return generate_latest(registry).decode()

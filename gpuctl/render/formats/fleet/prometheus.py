"""Metrics of a fleet for the textfile collector of Prometheus' node exporter."""

from __future__ import annotations

from collections import Counter

from prometheus_client import Gauge

from gpuctl.fleet.report import FleetReport
from gpuctl.fleet.run_folder import State
from gpuctl.model import ExitCode
from gpuctl.render.draw.text import plain
from gpuctl.render.formats.prometheus import exposition, new_registry


def fleet_prometheus(report: FleetReport) -> str:
    """Returns how many hosts are how, and how each one is, in Prometheus' text format."""
    registry = new_registry()
    states = Gauge("gpuctl_fleet_hosts", "Hosts of the run by how they ended.", ("state",), registry=registry)
    found = Gauge(
        "gpuctl_fleet_finding_hosts", "Hosts that have a finding.", ("id", "status", "waived"), registry=registry
    )
    odd = Gauge(
        "gpuctl_fleet_outlier_hosts", "Hosts unlike most of their GPU product.", ("product", "fact"), registry=registry
    )
    code = Gauge(
        "gpuctl_fleet_host_code",
        "What gpuctl doctor of a host ends with: 0 good, 1 a problem, 3 undetermined.",
        ("host",),
        registry=registry,
    )
    at = Gauge("gpuctl_fleet_run_timestamp_seconds", "When the run began.", registry=registry)
    at.set(report.run.run.at)
    ended = Counter(one.outcome.state for one in report.hosts)
    for state in State:
        states.labels(state.value).set(ended[state])
    for one in report.findings:
        said = one.finding
        found.labels(plain(said.id), said.status.value, str(bool(said.waived)).lower()).set(len(one.hosts))
    for spread in report.spreads:
        odd.labels(plain(spread.product), spread.fact.name).set(len(spread.differing))
    for host in report.hosts:
        code.labels(plain(host.outcome.host)).set(host.kind.code if host.kind else ExitCode.UNDETERMINED)
    return exposition(registry)

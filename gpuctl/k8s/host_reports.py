"""What `gpuctl doctor --json` said on a node itself, and which node of the cluster each such report is of.

A kubelet tells the API its machine's boot id and machine id, by which a report and a node are known to be one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from gpuctl.frozen import dataclass
from gpuctl.host.decode import number_in, object_in, objects_in, parse_object, text_in
from gpuctl.k8s.objects import ClusterNode

SCHEMA = "gpuctl.doctor/1"
HOSTNAME_LABEL = "kubernetes.io/hostname"
_MOST_GPUS = 1 << 12
_FINDINGS = 500
_LETTERS = 500


class NoReport(ValueError):
    """A text is no report of a doctor; the message is a clause that goes behind the file's name."""


@dataclass(frozen=True)
class HostFinding:
    """What the doctor found on the node: id, fail or warn, and its sentence."""

    id: str
    status: str
    message: str


@dataclass(frozen=True)
class HostReport:
    """One report. `name` is its file's without an ending; ids and names are "", numbers None where it does not tell.

    `driver_kept_by` is who put the driver there: distribution, operator and the like.
    """

    name: str
    hostname: str
    machine_id: str
    boot_id: str
    on_bus: int | None
    in_nvml: int | None
    healthy: int | None
    """Devices that the kubelet has as registered and healthy."""
    driver_kept_by: str
    driver: str
    """Its version."""
    asked: frozenset[str]
    """The checks that were answered: neither skipped nor unknown."""
    findings: tuple[HostFinding, ...]

    def said(self, *ids: str) -> HostFinding | None:
        """Returns the first failure or warning of these checks, or of the layers that `ids` name."""
        return next((one for one in self.findings if one.id in ids or one.id.partition(".")[0] in ids), None)


@dataclass(frozen=True)
class JoinedReport:
    """A node's report. `stale`: it is of an earlier boot, and its numbers count for nothing now."""

    report: HostReport
    by: str
    stale: bool


@dataclass(frozen=True)
class HostReports:
    """Reports by the name of their node, and the names of those that are of no node of this cluster."""

    by_node: Mapping[str, JoinedReport]
    of_no_node: tuple[str, ...] = ()

    def fresh(self, node: str) -> HostReport | None:
        """Returns a node's report, where it has one of the boot that runs."""
        one = self.by_node.get(node)
        return one.report if one and not one.stale else None


NONE_GIVEN = HostReports({})


def parse_report(name: str, text: str) -> HostReport:
    """Returns what `gpuctl doctor --json` has printed. Raises NoReport.

    {"schema": "gpuctl.doctor/1", "host": {"gpus": 8, "gpus_in_nvml": 7, "boot_id": "5f…"}, "findings": []}
    """
    try:
        said = parse_object(text)
        if text_in(said, "schema") != SCHEMA:
            raise NoReport(f"its schema is not {SCHEMA}")
        return _report(name, object_in(said, "host"), objects_in(said, "findings")[:_FINDINGS])
    except NoReport:
        raise
    except ValueError as error:
        raise NoReport(str(error)) from None


def _report(name: str, host: Mapping[str, Any], findings: Iterable[Mapping[str, Any]]) -> HostReport:
    found = [HostFinding(_text(one, "id"), _text(one, "status"), _text(one, "message")) for one in findings]
    return HostReport(
        name,
        _text(host, "hostname"),
        _text(host, "machine_id"),
        _text(host, "boot_id"),
        number_in(host, "gpus", _MOST_GPUS),
        number_in(host, "gpus_in_nvml", _MOST_GPUS),
        number_in(host, "gpus_healthy", _MOST_GPUS),
        _text(host, "driver_kept_by"),
        _text(host, "driver"),
        frozenset(one.id for one in found if one.status in ("fail", "warn", "pass")),
        tuple(one for one in found if one.status in ("fail", "warn")),
    )


def _text(found: Mapping[str, Any], name: str) -> str:
    return (text_in(found, name) or "")[:_LETTERS]


def joined(reports: Iterable[HostReport], nodes: Iterable[ClusterNode]) -> HostReports:
    """Returns which node each report is of: by boot id, else machine id, else name. The surest of several counts.

    A machine id that several nodes or reports have, as machines have that were cloned without care, joins nothing.
    """
    reports, nodes = tuple(reports), tuple(nodes)
    twice = _shared(one.machine_id for one in reports) | _shared(one.machine_id for one in nodes)
    by_node: dict[str, JoinedReport] = {}
    left = list(reports)
    for by in _JOINS:
        places = {key: node for node in reversed(nodes) for key in _node_keys(by, node)}
        for report in tuple(left):
            node = next((places[key] for key in _report_keys(by, report) if key in places), None)
            if node and not _doubtful(by, report, node, twice):
                left.remove(report)
                stale = bool(report.boot_id and node.boot_id and report.boot_id != node.boot_id)
                by_node.setdefault(node.name, JoinedReport(report, by, stale))
    return HostReports(by_node, tuple(one.name for one in left))


def _shared(ids: Iterable[str]) -> set[str]:
    return {id for id, count in Counter(ids).items() if count > 1}


_JOINS = ("boot id", "machine id", "name")


def _node_keys(by: str, node: ClusterNode) -> list[str]:
    if by == "name":
        return [name.lower() for name in (node.name, node.labels.get(HOSTNAME_LABEL, "")) if name]
    return list(filter(None, (node.boot_id if by == "boot id" else node.machine_id,)))


def _report_keys(by: str, report: HostReport) -> list[str]:
    if by == "name":
        return [name.lower() for name in (report.hostname, report.name) if name]
    return list(filter(None, (report.boot_id if by == "boot id" else report.machine_id,)))


def _doubtful(by: str, report: HostReport, node: ClusterNode, twice: set[str]) -> bool:
    """Whether a machine id is that of several, or a name is another machine's now: both tell ids, and these are two."""
    if by == "machine id":
        return report.machine_id in twice
    ids = {report.machine_id, node.machine_id}
    return by == "name" and "" not in ids and len(ids) == 2 and not ids & twice

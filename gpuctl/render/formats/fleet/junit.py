"""A fleet as JUnit's XML, as CI systems show it: a test suite for each class of hosts, a test for each host.

Elements as in gpuctl/render/formats/junit.py: a host that fails is a failed test, one that is undetermined or has not
reported an error; a warned one has passed, and says so in its output.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from gpuctl.fleet.report import FleetReport, HostClass, Silence
from gpuctl.model import Status
from gpuctl.render.draw.text import plain
from gpuctl.render.views.fleet import STANDINGS, class_words, stands

_FAILING, _UNDETERMINED, _WARNED, _ = STANDINGS
_ELEMENTS = {_FAILING: "failure", _UNDETERMINED: "error", _WARNED: "system-out"}

_ORDER = list(Status)


def fleet_junit(report: FleetReport) -> str:
    """Returns the report as an XML document."""
    root = Element("testsuites", name="gpuctl fleet")
    for number, one in enumerate(report.classes, 1):
        _of_class(root, number, one)
    for silence in report.silences:
        _of_silence(root, silence)
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _suite(root: Element, name: str, hosts: int, element: str | None) -> Element:
    failures, errors = (str(hosts if element == kind else 0) for kind in ("failure", "error"))
    return SubElement(root, "testsuite", name=name, tests=str(hosts), failures=failures, errors=errors, skipped="0")


def _of_class(root: Element, number: int, one: HostClass) -> None:
    element = _ELEMENTS.get(stands(one.kind))
    suite = _suite(root, f"gpuctl.fleet.class-{number}: {class_words(one.kind)}", len(one.hosts), element)
    counting = sorted((said for said in one.findings if not said.waived), key=lambda said: _ORDER.index(said.status))
    worst = plain(counting[0].message) if counting else ""
    details = "".join(f"{said.status.value} {plain(said.id)}: {plain(said.message)}\n" for said in counting)
    for host in one.hosts:
        test = SubElement(suite, "testcase", classname=f"gpuctl.fleet.class-{number}", name=plain(host), time="0")
        if element == "system-out":
            SubElement(test, element).text = details
        elif element:
            SubElement(test, element, message=worst, type=stands(one.kind)).text = details


def _of_silence(root: Element, one: Silence) -> None:
    suite = _suite(root, f"gpuctl.fleet.{one.state.value}", len(one.hosts), "error")
    for host, detail in one.hosts:
        test = SubElement(suite, "testcase", classname=f"gpuctl.fleet.{one.state.value}", name=plain(host), time="0")
        SubElement(test, "error", message=plain(detail), type=one.state.value)

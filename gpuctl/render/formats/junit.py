"""JUnit's XML, as CI systems show it: a test suite for each layer, a test for each finding.

Elements and attributes are those of the schema that Jenkins' xUnit plugin goes by, and pytest:
https://github.com/pytest-dev/pytest/blob/main/testing/example_scripts/junit-10.xsd.
A failure is a failed test, what could not be determined an error, what does not apply or is waived a skipped one; a
warning has passed, and says so in its output.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from gpuctl.model import Finding, Report
from gpuctl.render.draw.text import one_line, plain, remedy_lines
from gpuctl.render.formats.standing import WAIVED, standing, waived_until

_ELEMENTS = {"fail": "failure", "unknown": "error", "skip": "skipped", WAIVED: "skipped", "warn": "system-out"}
_NUMBERS = {"failures": "failure", "errors": "error"}


def report_junit(report: Report, command: str) -> str:
    """Returns the report as an XML document."""
    root = Element("testsuites", {"name": f"gpuctl {command}", **_counts(report.findings, _NUMBERS)})
    for layer, members in groupby(sorted(report.findings, key=lambda one: one.layer), key=lambda one: one.layer):
        findings = tuple(members)
        suite = SubElement(
            root, "testsuite", {"name": f"gpuctl.{layer}", **_counts(findings, {**_NUMBERS, "skipped": "skipped"})}
        )
        for finding in findings:
            _test(suite, finding)
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _counts(findings: tuple[Finding, ...], numbers: Mapping[str, str]) -> dict[str, str]:
    elements = [_ELEMENTS.get(standing(one)) for one in findings]
    return {"tests": str(len(findings)), **{name: str(elements.count(one)) for name, one in numbers.items()}}


def _test(suite: Element, finding: Finding) -> None:
    test = SubElement(suite, "testcase", classname=f"gpuctl.{finding.layer}", name=finding.id, time="0")
    kind = _ELEMENTS.get(standing(finding))
    if kind == "system-out":
        SubElement(test, kind).text = f"warning: {plain(finding.message)}\n{_details(finding)}"
    elif kind == "skipped":
        SubElement(test, kind, message=_why_skipped(finding))
    elif kind:
        SubElement(test, kind, message=plain(finding.message), type=finding.status.value).text = _details(finding)


def _why_skipped(finding: Finding) -> str:
    message = plain(finding.message)
    return f"{finding.status.value}: {message} ({waived_until(finding.waived)})" if finding.waived else message


def _details(finding: Finding) -> str:
    """The remedy and the evidence. XML 1.0 has no control characters but newlines: `plain` takes them all away."""
    remedy = remedy_lines(finding.remedy, "").plain if finding.remedy else ""
    return remedy + "".join(f"{plain(seen.source)}: {one_line(seen.text)}\n" for seen in finding.evidence)

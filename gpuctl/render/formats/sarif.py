"""SARIF 2.1.0, which code hosts and editors read: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from gpuctl import __version__
from gpuctl.compat.knowledge.dockerfile_rules import DockerfileRule, dockerfile_rules
from gpuctl.dockerfile.lint import Linted, LintFinding
from gpuctl.render.draw.text import plain
from gpuctl.render.formats.json import dumps

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def lint_sarif(linted: Sequence[Linted]) -> str:
    """Returns the faults of Dockerfiles as one run of SARIF: all rules, and a result for each fault.

    Columns count characters, as `columnKind` says; a fault that --fix mends has no fix here, as bytes are its measure.
    """
    rules = list(dockerfile_rules().values())
    number = {rule.id: at for at, rule in enumerate(rules)}
    run = {
        "tool": {"driver": {"name": "gpuctl", "version": __version__, "rules": [_rule(rule) for rule in rules]}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(one.path, fault, number[fault.rule.id]) for one in linted for fault in one.faults],
    }
    return dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(rule: DockerfileRule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": f"{rule.title}."},
        "fullDescription": {"text": rule.why},
        "help": {"text": rule.instead},
        "helpUri": rule.source,
        "defaultConfiguration": {"level": rule.severity},
    }


def _result(path: str, fault: LintFinding, number: int) -> dict[str, Any]:
    region = {
        "startLine": fault.line,
        "startColumn": fault.column,
        "endLine": fault.end_line,
        "endColumn": fault.end_column,
    }
    place = {"artifactLocation": {"uri": quote(path, errors="surrogateescape")}, "region": region}
    return {
        "ruleId": fault.rule.id,
        "ruleIndex": number,
        "level": fault.rule.severity,
        "message": {"text": plain(fault.message)},
        "locations": [{"physicalLocation": place}],
    }

"""SARIF 2.1.0, which code hosts and editors read: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from gpuctl import __version__
from gpuctl.compat.knowledge.dockerfile_rules import DockerfileRule, dockerfile_rules
from gpuctl.dockerfile.lint import Linted, LintEdit, LintFinding
from gpuctl.render.draw.text import plain
from gpuctl.render.formats.json import dumps

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def lint_sarif(linted: Sequence[Linted]) -> str:
    """Returns the faults of Dockerfiles as one run of SARIF: all rules, and a result for each fault.

    Columns count characters, as `columnKind` says. A fault that --fix mends has its fix, each for itself: those of two
    faults may touch one another.
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
    file = {"uri": quote(path, errors="surrogateescape")}
    fix = [{"deletedRegion": _region(edit), "insertedContent": {"text": edit.text}} for edit in fault.fix]
    changes = [{"artifactLocation": file, "replacements": fix}]
    return {
        "ruleId": fault.rule.id,
        "ruleIndex": number,
        "level": fault.rule.severity,
        "message": {"text": plain(fault.message)},
        "locations": [{"physicalLocation": {"artifactLocation": file, "region": _region(fault)}}],
        **({"fixes": [{"description": {"text": fault.rule.instead}, "artifactChanges": changes}]} if fix else {}),
    }


def _region(place: LintFinding | LintEdit) -> dict[str, int]:
    return {
        "startLine": place.line,
        "startColumn": place.column,
        "endLine": place.end_line,
        "endColumn": place.end_column,
    }

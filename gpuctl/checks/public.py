"""A finding as it may be shown, in whatever format: what a host's programs and files said may hold secrets."""

from __future__ import annotations

from dataclasses import replace

from gpuctl.host.redact import without_secrets
from gpuctl.model import Evidence, Finding, Remedy


def public(finding: Finding) -> Finding:
    """Returns the finding without secrets in its message, its evidence and its remedy."""
    return replace(
        finding,
        message=without_secrets(finding.message),
        evidence=tuple(Evidence(without_secrets(one.source), without_secrets(one.text)) for one in finding.evidence),
        remedy=finding.remedy and _public_remedy(finding.remedy),
    )


def _public_remedy(remedy: Remedy) -> Remedy:
    return replace(remedy, text=without_secrets(remedy.text), commands=tuple(map(without_secrets, remedy.commands)))

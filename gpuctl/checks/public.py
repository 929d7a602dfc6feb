"""A finding as it may be shown, in whatever format: what a host's programs and files said may hold secrets."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from gpuctl.model import Evidence, Finding, Remedy
from gpuctl.regex import regex

_LOOKS_LIKE_ONE = regex(
    r"@(?!(?:/usr)?/sbin/ldconfig)|%40|-----|\$[\w-]+\$|\{\w*(?:sha|md5|crypt)|[A-Z_]{2}\w*=|://\S*hook|hf_|npm_"
    r"|(?<![\w-])-[upawe][ \0\w\"']|--[\w-]{0,40}(?:user|key|auth)[ \0=]"
    r"|(?<![\w~+-])(?!x86_64-linux-gnu/)(?=[\w~+-]{16})(?:[a-z_~+-]*[A-Z0-9]){4}|[0-9a-f]{32}|\.[a-z0-9]{16}"
)
_NAMES_ONE = regex(
    r"(?:pass|pwd|psk|psw|\bpw|secret|token|cred|cookie|mnemonic|jwt|bearer|\bbasic|webhook|unseal"
    r"|sess|hmac|conn\w*[_ -]?str|dsn|seed|\botp|\bpin\b|\bsalt|community|authori|digest|identified|scram|pbkdf"
    r"|kennwort|contrase|private|env(?:s|ironment)?[\"'\\]*\s*[:=]"
    r"|(?:key\w{0,12}|auth\w{0,12}|sig|signature)[\"'\\\]`]*\s*(?:[=:>]|%3))"
)
"""In small letters, which are found in a fifth of the time.

What most findings lack, and a text with a secret does not: the rules themselves cost more than a healthy host's
report."""

_SHORT = 400


def public(finding: Finding) -> Finding:
    """Returns the finding without secrets in its message, its evidence and its remedy."""
    return replace(
        finding,
        message=_public(finding.message),
        evidence=tuple(Evidence(_public(one.source), _public(one.text)) for one in finding.evidence),
        remedy=finding.remedy and _public_remedy(finding.remedy),
    )


def _public_remedy(remedy: Remedy) -> Remedy:
    commands, by_hand = (tuple(one.mapped(_public) for one in lines) for lines in (remedy.commands, remedy.by_hand))
    return replace(remedy, text=_public(remedy.text), commands=commands, by_hand=by_hand)


def _public(text: str) -> str:
    return _short(text) if len(text) <= _SHORT else _without_secrets(text)


@lru_cache(maxsize=1 << 12)
def _short(text: str) -> str:
    """Most of what one host says, others of a fleet say too."""
    return _without_secrets(text)


def _without_secrets(text: str) -> str:
    if not _LOOKS_LIKE_ONE.search(text) and not _NAMES_ONE.search(text.lower()):
        return text
    from gpuctl.host.record.redact import without_secrets

    return without_secrets(text)

"""Secrets made unreadable before anything of a host is written to a snapshot.

What is masked by where it was read: the environment of a process (all but a few variables that gpuctl looks at), and
the settings of Docker's client (all texts but two). What is masked wherever it stands: passwords in addresses, values
whose name says that they are secret, and the known forms of tokens and private keys.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Callable, List, Match, Pattern, Tuple

MASK = "REDACTED"
"""No character of it has a meaning in JSON, TOML, YAML, an address or a command line."""
_OPEN_VARIABLE = re.compile(
    "PATH|HOME|LANG|LC_ALL|container|DOCKER_(HOST|CONFIG|CONTEXT|RAMDISK)|XDG_(RUNTIME_DIR|(CONFIG|DATA|STATE)_HOME)"
    "|LD_LIBRARY_PATH|LISTEN_(PID|FDS)|ROOTLESSKIT_STATE_DIR|CONTAINERD_(ADDRESS|NAMESPACE)"
    "|NVIDIA_(VISIBLE_DEVICES|DRIVER_CAPABILITIES)|CUDA_VISIBLE_DEVICES"
)
_ENVIRON = re.compile(r"/proc/\w+/environ")
_VARIABLE = re.compile(r"([^=\0]*)=([^\0]*)")
_CLIENT_SETTINGS = re.compile(r".*/config\.json")
_JSON_TEXT = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?')
_OPEN_SETTINGS = ('"currentContext"', '"credsStore"')

_SAYS_SO = (
    r"(?:passw(?:or)?d|passwd|passphrase|[_-]pass(?![a-z])|[_-]pw(?![a-z])|secret|token|credential"
    r"|(?:api|access|private|account|signing|encryption)[_-]?key|auth(?!or)(?!enc)(?![_-]?sock))"
)
_NAME = r"(?<![\w-])(?=[\w-]{0,100}?%s)[\w-]{2,100}" % _SAYS_SO
_QUOTED = r"\"(?:[^\"\\\n]|\\.){0,8192}|\\{1,3}\"[^\"\\\n]{0,8192}|'[^'\n]{0,8192}"
_BARE = r"[^\s\0\"'\\,;&\[\]{}()<>]{1,8192}"

_NAMED = r"(?i)(%s\\{0,3}[\"']?\s{0,8}[:=]\s{0,8})(%s|%s)" % (_NAME, _QUOTED, _BARE)
_FLAG = r"(?i)((?<![\w-])--?%s[ \0])((?!-)%s)" % (_NAME.replace(r"(?<![\w-])", ""), _BARE)
_HEADER = r"(?i)(?<=authorization)(\\{0,3}[\"']?\s{0,8}[:=]\s{0,8}[\"']?(?:(?:bearer|basic|digest)\s+)?)(%s)" % _BARE
_FORMS = (
    r"(?<![\w-])(?:gh[pousr]_\w{20,255}|github_pat_\w{20,255}|glpat-[\w-]{10,255}|nvapi-[\w-]{20,255}"
    r"|dckr_pat_[\w-]{10,255}|hf_[A-Za-z0-9]{20,255}|xox[abprs]-[\w-]{10,255}|(?:AKIA|ASIA)[0-9A-Z]{16}"
    r"|sk-[\w-]{20,255}|eyJ[\w-]{6,8192}\.[\w-]{5,8192}\.[\w-]{0,8192})"
)
RULES: Tuple[Tuple[str, Pattern[str]], ...] = (
    ("a private key", re.compile(r"(?<=PRIVATE KEY-----)[^-]{1,65536}")),
    ("credentials in an address", re.compile(r"(?<!ssh://)(?<=://)[^\s/\"'\\\0]{1,512}(?=@)")),
    ("credentials in an address", re.compile(r"(?<=://)[^\s/\"'\\\0:@]{1,256}:[^\s\"'\\\0@]{1,256}(?=@)")),
    ("a header", re.compile(_HEADER)),
    ("a header", re.compile(r"(?i)(\bbearer\s+)([\w+/=.~-]{8,8192})")),
    ("a value by its name", re.compile(_NAMED)),
    ("a value by its name", re.compile(_FLAG)),
    ("a token", re.compile(_FORMS)),
)
"""What a rule covers and how it is found: its last group; without groups, all of it."""
_PLAIN = re.compile(r"(?:true|false|null|none|yes|no|on|off|\d{1,5}|%s)?" % MASK, re.IGNORECASE)


def redact(kind: str, source: str, text: str) -> Tuple[str, Tuple[str, ...]]:
    """Returns the text without its secrets, and what they were. `kind` and `source` are those of its reading.

    In a reply of gRPC the mask is as long as what it covers: lengths are part of that format.
    """
    found: List[str] = []

    def masked(what: str, secret: str) -> str:
        found.append(what)
        return "*" * len(secret) if kind == "call" else MASK

    if kind == "read" and _ENVIRON.fullmatch(source):
        text = _VARIABLE.sub(lambda match: _variable(match, masked), text)
    if kind == "read" and text and _CLIENT_SETTINGS.fullmatch(source):
        text = _settings(text, masked)
    for what, pattern in RULES:
        text = pattern.sub(lambda match, what=what: _covered(match, what, masked), text)  # type: ignore[misc]
    return text, tuple("%s: %s, %d" % (source, what, count) for what, count in Counter(found).items())


Masked = Callable[[str, str], str]


def _covered(match: Match[str], what: str, masked: Masked) -> str:
    """The last group is the secret, without the quotation mark that it may begin with; no group: all of it is."""
    if not match.re.groups:
        return match.group() if _PLAIN.fullmatch(match.group()) else masked(what, match.group())
    before, value = match.groups()
    secret = value.lstrip("\\\"'")
    mark = value[: len(value) - len(secret)]
    return before + mark + (secret if _PLAIN.fullmatch(secret) else masked(what, secret))


def _variable(match: Match[str], masked: Masked) -> str:
    name, value = match.groups()
    if not value or _OPEN_VARIABLE.fullmatch(name):
        return match.group()
    return "%s=%s" % (name, masked("a variable's value", value))


def _settings(text: str, masked: Masked) -> str:
    """A JSON document whose texts are masked and whose names are not; all of it where it is no JSON."""
    name = ""

    def one(match: Match[str]) -> str:
        nonlocal name
        word, is_name = match.groups()
        name = word if is_name else name
        return match.group() if is_name or name in _OPEN_SETTINGS else '"%s"' % masked("a setting's value", word[1:-1])

    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return masked("a file that is not understood", text)
    return _JSON_TEXT.sub(one, text)

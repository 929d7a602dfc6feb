"""Secrets made unreadable before anything of a host is shown or leaves it.

What is masked by where it was read: variables of an environment (all but those that gpuctl looks at), the settings of
Docker's client (all texts but two), and what Docker tells of containers (all texts but those of how they get GPUs).
What is masked wherever it stands: values whose name says that they are secret, what stands in a place for credentials,
and words that have the form of a token. A file that is not understood is masked whole: too little told is better than
too much.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Iterable, Iterator, List, Sequence, Tuple

from gpuctl.host.record.environments import variables
from gpuctl.host.record.quoting import Span
from gpuctl.host.record.secret_forms import surrounded
from gpuctl.host.record.secret_names import named_values
from gpuctl.host.record.secret_words import tokens
from gpuctl.regex import regex

MASK = "REDACTED"
"""No character of it has a meaning in JSON, TOML, YAML, an address or a command line."""
Found = Tuple[str, Span]
_NAMES = regex(r"(?:[\w.,-]{0,15}[/\n])*[\w.,-]{0,15}")
"""Paths and lists of names, which most readings are: nothing is looked for in them."""
_CLIENT_SETTINGS = regex(r".*/config\.json")
_JSON_TEXT = regex(r'("(?:[^"\\]|\\.)*")(\s*:)?')
_OPEN_SETTINGS = ('"currentContext"', '"credsStore"')
_CONTAINER = regex(r"GET /containers/(?:\w+/)?json .*")
_OPEN_OF_CONTAINER = (
    *('"Id"', '"Name"', '"StartedAt"', '"Runtime"'),
    *('"Driver"', '"DeviceIDs"', '"PathOnHost"', '"DeviceCgroupRules"'),
)
_ASKS_FOR_GPUS = '"NVIDIA_VISIBLE_DEVICES='
_SAYS_NOTHING = regex(
    r"(?:true|false|null|none|nil|yes|no|on|off|basic|bearer|amd64|arm64|armhf|i386|ppc64el|riscv64|s390x|%s|\*+|…|\s)*"
    % MASK,
    re.IGNORECASE,
)
"""Words that are no secret wherever they stand, dpkg's architectures among them: its log has base-passwd:amd64."""


def redact(kind: str, source: str, text: str) -> Tuple[str, Tuple[str, ...]]:
    """Returns the text without its secrets, and what they were. `kind` and `source` are those of its reading.

    In a reply of gRPC the mask is as long as what it covers: lengths are part of that format.
    """
    found: List[str] = []
    for seek in (_by_place, _by_what_is_around, _by_name, _by_form):
        if seek is not _by_place and (kind == "stat" or _NAMES.fullmatch(text)):
            break
        spans = list(seek(kind, source, text))
        text, covered = _masked(text, spans, keep_length=kind == "call") if spans else (text, [])
        found += covered
    return text, tuple("%s: %s, %d" % (source, what, count) for what, count in Counter(found).items())


def without_secrets(text: str) -> str:
    """Returns a text that is shown, without secrets."""
    return redact("", "", text)[0]


def public_value(keys: Sequence[str], value: str) -> str:
    """Returns a text in a document without its secrets; `keys` lead to it. All of it is one where a key says so."""
    shown = value
    for key in keys:
        entry = json.dumps(key) + ": [" + json.dumps(shown) + "]"
        try:
            ((shown,),) = json.loads("{" + without_secrets(entry) + "}").values()
        except ValueError:
            return MASK
    return shown


def _by_place(kind: str, source: str, text: str) -> Iterator[Found]:
    yield from (("a variable's value", span) for span in variables(kind, source, text))
    if kind == "read" and _CLIENT_SETTINGS.fullmatch(source):
        yield from _texts(text, _OPEN_SETTINGS)
    if kind == "get" and _CONTAINER.fullmatch(source):
        yield from _texts(text, _OPEN_OF_CONTAINER)


def _by_what_is_around(kind: str, source: str, text: str) -> Iterator[Found]:
    return surrounded(text, _lower(text))


def _by_name(kind: str, source: str, text: str) -> Iterator[Found]:
    return (("a value by its name", span) for span in named_values(_lower(text)))


def _by_form(kind: str, source: str, text: str) -> Iterator[Found]:
    return (("a token", span) for span in tokens(text))


def _lower(text: str) -> str:
    """In small letters, each where it was: a few capitals become two letters."""
    low = text.lower()
    return low if len(low) == len(text) else "".join(one if len(one.lower()) > 1 else one.lower() for one in text)


def _masked(text: str, found: Iterable[Found], keep_length: bool) -> Tuple[str, List[str]]:
    """The text with its secrets masked, and what they were. Of those that overlap, what the first leaves is masked."""
    pieces: List[str] = []
    covered: List[str] = []
    done = 0
    for what, (begin, end) in sorted(found, key=lambda one: one[1]):
        begin = max(begin, done)
        if begin >= end or _SAYS_NOTHING.fullmatch(text, begin, end):
            continue
        pieces += [text[done:begin], "*" * (end - begin) if keep_length else MASK]
        covered.append(what)
        done = end
    return "".join((*pieces, text[done:])), covered


def _texts(text: str, public: Tuple[str, ...]) -> Iterator[Found]:
    """The texts of a JSON document, but for names and what is public; all of it where it is no JSON."""
    try:
        json.loads(text or "{}")
    except (ValueError, RecursionError):
        yield "a file that is not understood", (0, len(text))
        return
    name = ""
    for match in _JSON_TEXT.finditer(text):
        word, is_name = match.groups()
        if is_name:
            name = word
        elif name not in public and not word.startswith(_ASKS_FOR_GPUS):
            yield "a setting's value", (match.start() + 1, match.end(1) - 1)

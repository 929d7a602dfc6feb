"""Values that are secret because of what they are called: password=…, "apiKey": "…", --token …, <secret>…</secret>.

A value is found in three steps: a word that says so, in small letters; what stands between a name and its value; the
value. Each takes what it can and is not tried again, so that no text takes longer than its length.
"""

from __future__ import annotations

import re
from typing import Iterator, Match, Optional

from gpuctl.host.record.names import ARCHITECTURES
from gpuctl.host.record.quoting import Span, quoted

_STEMS = (
    "pass", "pwd", "psk", "psw", "pw", "secret", "token", "cred", "cookie", "mnemonic", "jwt", "bearer", "webhook",
    "unseal", "session", "sessid", "hmac", "conn", "dsn", "seed", "otp", "pin", "salt", "community", "key", "auth",
    "sig", "masterauth", "contrase", "kennwort",
)  # fmt: skip
_WORD = (
    r"(?:pass(?:w|phrase|code|key|wd)|(?<!by)(?<!com)(?<!tres)pass(?![a-z])|pwd|psk(?![a-z])|psw(?:d|(?![a-z]))"
    r"|(?<![a-z])pw(?![a-z])|secret|token(?!iz)|credential|(?<![a-z])creds?(?![a-z])|cookie|mnemonic|jwt|bearer|webhook"
    r"|unseal|session_?id|sessid|hmac|conn(?:ection)?[_ -]?str|(?<![a-z])dsn|seed[_ -]?phrase|(?<![a-z])otp(?![a-z])"
    r"|(?<![a-z])pin(?![a-z])(?!: (?:origin|release|version) |-priority: )"  # those are apt's: apt_preferences(5)
    r"|(?<![a-z])salt(?![a-z])|masterauth|(?<![a-z])community(?![a-z])|contrase|kennwort)[\w.-]*"
    # What says so only at the end of a name: author, authentication and keyring are no secrets.
    r"|(?<=[a-z_.-])(?<!gpg)(?<!pub)(?<!public)(?<!public[_-])(?<!sig_)(?<!mon)(?<!hot)(?<!tur)keys?"
    r"(?:[_-]?(?:data|value|base64|b64|pem|material|json|id|\d{1,3}))?(?![\w.-])"
    r"|auth(?:[_-]?(?:string|data|value|b64|basic|pass|config))?(?![\w.-])|(?<![a-z])sig(?:nature)?(?![\w.-])"
    r"|(?<=[?&])key(?==)"
)
_MARKS, _GAP = r"[\\\"'`\]]{0,9}", r"[ \t]{0,8}"
_IS = (
    _MARKS + _GAP + r"(?:=>|[:=]{1,2})" + _GAP + r"(?:str ?= ?|string ?= ?)?(?:\r?\n[ \t]{0,40}(?=[\"']))?"
    r"|" + _MARKS + r"[\s,;]{1,80}[\\\"']{0,8}value" + _MARKS + _GAP + r"[:=]" + _GAP +
    r"|" + _MARKS + r">|%3[ad](?:%20)?"
)  # fmt: skip
_LOOSE = r"[ \t\0]{1,8}|[\\\"']{1,8},\s{0,40}(?=[\\\"'])|\n[ \t]{0,40}-[ \t]{1,8}"
"""Between an option, or the word of a configuration file, and its argument."""
_AN_OPTION = r"(?:^|[\s\0\"'\[,=(`])--?[\w.-]*$"
_A_LINE = r"[ \t]*(?:set |export |- |enable |login \S+ |machine \S+ )*[\w.-]*"
_STOP = r"\s\0\"'`<>"
_VALUE = (
    r"(?P<long>\"{3}|'{3})((?:(?!(?P=long))(?:[^\"']+|[\"']))*)"
    r"|" + quoted() +
    r"|[|>][+-]?\d?[ \t]*\n(?P<in>[ \t]+)([^\n]*(?:\n(?P=in)[^\n]*|\n(?=\n))*)"
    r"|\[\s{0,80}[\\\"']{0,8}([^\[\]{}]*)"
    r"|\n[ \t]{0,40}-[ \t]{1,8}[\"']?([^\n]*(?:\n[ \t]{0,40}-[ \t][^\n]*)*)"
    r"|(?P<bare>(?:[^%s\\,;&\[\]{}()#]+|[\\,;&\[\]{}()#]{1,8}(?![\w .-]{0,40}[:=])(?=[^%s\\,;&\[\]{}()]))+"
    r"(?:\n[ \t]+[\w+/=-]{16,}(?![^\s]))*)" % (_STOP, _STOP)
)  # fmt: skip
_TO_THE_END = r"[^\n\0]*"
_A_PATH = r"/(?:bin|boot|data|dev|etc|home|lib\w*|mnt|opt|proc|root|run|s?bin|srv|sys|tmp|usr|var)(?:/|$)"
_NUMBER = r"\d{1,5}"
_OF_A_PACKAGE = r":(?:%s)" % ARCHITECTURES
_MAY_BE_A_NUMBER = r"pass|pwd|pin|otp|secret|psk"
_LONGEST_NAME = 100


def named_values(low: str) -> Iterator[Span]:
    """Yields the places of the values, in order. `low` is the text in small letters."""
    end = 0
    for start in _starts(low):
        word = re.compile(_WORD).match(low, start) if start >= end else None
        if word is None:
            continue
        end = word.end()
        between = re.compile(_IS).match(low, word.end())
        value = re.compile(_VALUE).match(low, between.end()) if between else _argument(low, word)
        span = _secret(low, word, value) if value else None
        if span:
            end = span[1]
            yield span


def _starts(low: str) -> Iterator[int]:
    found = {match.start() for stem in _STEMS if stem in low for match in re.finditer(stem, low)}
    return iter(sorted(found))


def _argument(low: str, word: Match[str]) -> Optional[Match[str]]:
    """What follows an option's name, or a word that begins a line of its own."""
    between = re.compile(_LOOSE).match(low, word.end())
    if between is None or word.group().endswith("-stdin"):
        return None
    value = re.compile(_VALUE).match(low, between.end())
    if value is None or value.group().startswith("-"):
        return None
    alone = low[value.end() : value.end() + 1] in ("", "\n", "\r")
    before = low[max(0, word.start() - _LONGEST_NAME) : word.start()]
    return value if re.search(_AN_OPTION, before) or (alone and _begins_a_line(low, word)) else None


def _begins_a_line(low: str, word: Match[str]) -> bool:
    earliest = max(0, word.start() - _LONGEST_NAME)
    line = low.rfind("\n", earliest, word.start()) + 1
    return (line > 0 or earliest == 0) and bool(re.compile(_A_LINE).fullmatch(low, line, word.start()))


def _secret(low: str, word: Match[str], value: Match[str]) -> Optional[Span]:
    begin, end = value.span(value.lastindex or 0)
    if value["bare"] is not None and _begins_a_line(low, word):
        rest = re.compile(_TO_THE_END).match(low, end)
        end = rest.end() if rest else end
    said = low[begin:end].rstrip("\\\"' \t\r\n," if value.group().startswith("[") else "\r")
    is_number = re.fullmatch(_NUMBER, said) and not re.search(_MAY_BE_A_NUMBER, word.group())
    is_package = re.fullmatch(_OF_A_PACKAGE, low[begin - 1 : begin + len(said)])
    return None if is_number or is_package or re.match(_A_PATH, said) else (begin, begin + len(said))

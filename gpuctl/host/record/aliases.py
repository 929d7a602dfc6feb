"""Names of one host and its site, each always replaced by the same other: for `gpuctl collect --anonymise`."""

from __future__ import annotations

import ipaddress
import re
from typing import Callable, Dict, Iterable, List, Match, NamedTuple, Pattern, Tuple

from gpuctl.host.record.names import is_everywhere, is_public, learn
from gpuctl.regex import regex

_EFI = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
"""The vendor of the UEFI specification's own variables (UEFI 2.10, 3.3): the same on every host."""


def _never(name: str) -> bool:
    return False


class Rule(NamedTuple):
    """The pattern's first group is replaced by what the form makes of a number, but for names that stay."""

    pattern: Pattern[str]
    form: Callable[[int], str]
    stays: Callable[[str], bool] = _never


def _tells_nothing(address: str) -> bool:
    """Whether it is the same address on every host, or a version that only looks like one."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return True
    return found.is_loopback or found.is_unspecified or address.startswith("255.")


_RULES = (
    Rule(
        regex(r"(?i)(?<![0-9a-f])([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?![0-9a-f-])"),
        lambda n: "00000000-0000-4000-8000-%012d" % n,
        lambda uuid: uuid.lower() == _EFI,
    ),
    # Docker's own id, of Docker up to 24.
    Rule(regex(r"(?<![A-Z0-9:])((?:[A-Z2-7]{4}:){11}[A-Z2-7]{4})(?![A-Z0-9:])"), lambda n: "engine-%d" % n),
    Rule(
        regex(
            r"(?i)(?<![0-9a-f:-])((?:[0-9a-f]{2}[:-]){5,19}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4})(?![0-9a-f:.-])"
        ),
        lambda n: "02:00:00:00:%02x:%02x" % (n >> 8 & 255, n & 255),
    ),
    Rule(
        regex(
            r"(?i)(?:mac|hwaddr|ether|\ben[xo]|\bwlx|guid)[\"'\\_ a-z]{0,12}[=: x]{0,4}[\"'\\]{0,4}(?:0x)?"
            r"([0-9a-f]{12,16})(?![\w-])"
        ),
        lambda n: "0200000000%02x%02x" % (n >> 8 & 255, n & 255),
    ),
    Rule(regex(r"(?<![\w:-])([0-9a-f]{32})(?!\w)"), lambda n: "%032d" % n),  # a machine's id, or a volume's
    Rule(
        regex(
            r"(?i)(?<![\w:.])((?:[23][0-9a-f]{3}|f[cd][0-9a-f]{2}|fe[89ab][0-9a-f])(?::[0-9a-f]{0,4}){2,7})(?![\w:])"
        ),
        lambda n: "2001:db8::%x" % n,
        _tells_nothing,
    ),
    Rule(
        regex(
            r"(?:(?<![\w.+~-])|(?<=\d-)(?=10\.|192\.168\.|172\.))((?:\d{1,3}\.){3}\d{1,3})"
            r"(?![\w+~]|-(?!\d{1,3}\.\d{1,3}\.\d{1,3}\.\d)|\.\d)"
        ),
        lambda n: "198.18.%d.%d" % (n >> 8 & 255, n & 255),  # RFC 2544: no host has one of these
        _tells_nothing,
    ),
)


_FORMS: Dict[str, Callable[[int], str]] = {
    "image": lambda n: "registry.example/image-%d" % n,
    "serial": lambda n: "serial-%d" % n,
    "site": lambda n: "site-%d.example" % n,
    "user": lambda n: "user-%d" % n,
    "container": lambda n: "container-%d" % n,
}
_ESCAPES = (("\\n", "\ud800\n"), ("\\r", "\ud800\r"), ("\\t", "\ud800\t"))
"""Line ends that are escaped, and what they are while words are sought: a name behind one begins there. Half of a pair
marks them, which no text has: an answer in protocol buffers may have any other letter before a line end."""


class Aliases:
    """Other names for a host's own, numbered in the order in which they are met.

    `readings` are all that is known of the host, each a source and a text: its names are learnt from them.
    """

    def __init__(self, host_names: Iterable[str], readings: Iterable[Tuple[str, str]] = ()) -> None:
        named = sorted({name for name in host_names if not is_everywhere(name)}, key=len)
        told = ((_unescaped(source), _unescaped(text)) for source, text in readings)
        learnt = {kind: _learnt_rule(kind, names) for kind, names in learn(told).items() if names}
        image = [learnt.pop("image")] if "image" in learnt else []
        hosts = [_host_rule(name) for name in reversed(named)]
        self._rules: List[Rule] = [*image, *hosts, *learnt.values(), *_RULES]
        self._known: Dict[str, str] = {}
        self._counts: Dict[Rule, int] = {}

    def replaced(self, text: str, keep_length: bool = False) -> str:
        """Returns the text with other names. `keep_length`: as long as it was, where lengths are part of a format."""
        text = _unescaped(text)
        for rule in self._rules:
            text = rule.pattern.sub(lambda match, rule=rule: self._other(match, rule, keep_length), text)  # type: ignore[misc]
        return _escaped(text)

    def _other(self, match: Match[str], rule: Rule, keep_length: bool) -> str:
        name, whole = match.group(1), match.group()
        if rule.stays(name):
            return whole
        begin, end = match.start(1) - match.start(), match.end(1) - match.start()
        return whole[:begin] + ("x" * len(name) if keep_length else self._alias(name.lower(), rule)) + whole[end:]

    def _alias(self, name: str, rule: Rule) -> str:
        if name not in self._known:
            self._counts[rule] = self._counts.get(rule, 0) + 1
            self._known[name] = rule.form(self._counts[rule])
        return self._known[name]


def _unescaped(text: str) -> str:
    """Returns the text with line ends in the place of those that are escaped, each as long as it was."""
    for escape, end in _ESCAPES:
        text = text.replace(escape, end)
    return text


def _escaped(text: str) -> str:
    for escape, end in _ESCAPES:
        text = text.replace(end, escape)
    return text


def _host_rule(name: str) -> Rule:
    """The name as a word, with the domain behind it where there is one: all of them mean this one host."""
    word = r"(?i)(?<![\w-])(%s(?:(?:\.[a-z0-9-]{1,63}){2,8})?)(?![\w-])" % re.escape(name)
    return Rule(re.compile(word), lambda _: "host-1")


def _learnt_rule(kind: str, names: Tuple[str, ...]) -> Rule:
    """Of a site, all of its names."""
    words = "|".join(map(re.escape, names))
    whole = r"((?:[a-z0-9_-]{1,63}\.){0,8}(?:%s))(?![\w-]|\.\w)" if kind == "site" else r"(%s)(?![a-z0-9_])"
    return Rule(
        re.compile(r"(?i)(?<![a-z0-9_])" + whole % words), _FORMS[kind], is_public if kind == "site" else _never
    )

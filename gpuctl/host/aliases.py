"""Names of one host and its site, each always replaced by the same other: for `gpuctl collect --anonymise`."""

from __future__ import annotations

import ipaddress
import re
from typing import Callable, Dict, Iterable, List, Match, NamedTuple, Pattern

_OURS = re.compile(
    "localhost|docker|containerd|podman|crio|kubernetes|kubelet|nvidia|cuda|gpu|driver|linux|debian|ubuntu|centos|fedora"
    "|rhel|host|server|node|worker|master|root|default|runtime|system|service|kernel|systemd|build|test|true|false"
)
"""Host names that are words of gpuctl's own: replaced, they would no longer say where to look."""
_PUBLIC = re.compile(
    r"(?i)(.*\.)?(nvidia\.com|nvcr\.io|github\.io|github\.com|docker\.com|docker\.io|debian\.org|ubuntu\.com"
    r"|fedoraproject\.org|centos\.org|k8s\.io|rockylinux\.org|opensuse\.org|quay\.io|gcr\.io|ghcr\.io|containerd\.io"
    r"|containers\.io|kubernetes\.io|launchpad\.net)"
)
_EFI = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
"""The vendor of the UEFI specification's own variables (UEFI 2.10, 3.3): the same on every host."""


def _never(name: str) -> bool:
    return False


class Rule(NamedTuple):
    """The pattern's first group is replaced by what the form makes of a number, but for names that stay."""

    pattern: Pattern[str]
    form: Callable[[int], str]
    stays: Callable[[str], bool] = _never


def _is_public(site: str) -> bool:
    return bool(_PUBLIC.fullmatch(site))


def _tells_nothing(address: str) -> bool:
    """Whether it is the same address on every host, or a version that only looks like one."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return True
    return found.is_loopback or found.is_unspecified or address.startswith("255.")


_RULES = (
    Rule(
        re.compile(r"(?i)(?<![0-9a-f])([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?![0-9a-f-])"),
        lambda n: "00000000-0000-4000-8000-%012d" % n,
        lambda uuid: uuid.lower() == _EFI,
    ),
    # Docker's own id, of Docker up to 24.
    Rule(re.compile(r"(?<![A-Z0-9:])((?:[A-Z2-7]{4}:){11}[A-Z2-7]{4})(?![A-Z0-9:])"), lambda n: "engine-%d" % n),
    Rule(
        re.compile(r"(?i)(?<![0-9a-f:])((?:[0-9a-f]{2}:){5}[0-9a-f]{2})(?![0-9a-f:])"),
        lambda n: "02:00:00:00:%02x:%02x" % (n >> 8 & 255, n & 255),
    ),
    Rule(
        re.compile(r"(?i)\bserial(?:[ _-]?(?:number|no))?\\?\"?\s{0,8}[:=]\s{0,8}\\?\"?([\w-]{4,64})"),
        lambda n: "serial-%d" % n,
    ),
    Rule(
        re.compile(
            r"(?i)(?<![\w:.])((?:[23][0-9a-f]{3}|f[cd][0-9a-f]{2}|fe[89ab][0-9a-f])(?::[0-9a-f]{0,4}){2,7})(?![\w:])"
        ),
        lambda n: "2001:db8::%x" % n,
        _tells_nothing,
    ),
    Rule(
        re.compile(r"(?<![\w.+~-])((?:\d{1,3}\.){3}\d{1,3})(?![\w+~-]|\.\d)"),
        lambda n: "198.18.%d.%d" % (n >> 8 & 255, n & 255),  # RFC 2544: no host has one of these
        _tells_nothing,
    ),
    Rule(re.compile(r"(?<![\w/])/home/([A-Za-z_][\w.-]{0,63})"), lambda n: "user-%d" % n),
    Rule(
        re.compile(r"(?:(?<=://)|(?<=[\"@]))((?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z][A-Za-z0-9-]{1,62})(?=:\d|/)"),
        lambda n: "site-%d.example" % n,
        _is_public,
    ),
)


class Aliases:
    """Other names for a host's own, numbered in the order in which they are met."""

    def __init__(self, host_names: Iterable[str]) -> None:
        named = sorted({name for name in host_names if len(name) > 2 and not _OURS.fullmatch(name.lower())}, key=len)
        self._rules: List[Rule] = [_host_rule(name) for name in reversed(named)] + list(_RULES)
        self._known: Dict[str, str] = {}
        self._counts: Dict[Rule, int] = {}

    def replaced(self, text: str, keep_length: bool = False) -> str:
        """Returns the text with other names. `keep_length`: as long as it was, where lengths are part of a format."""
        for rule in self._rules:
            text = rule.pattern.sub(lambda match, rule=rule: self._other(match, rule, keep_length), text)  # type: ignore[misc]
        return text

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


def _host_rule(name: str) -> Rule:
    """The name as a word, with the domain behind it where there is one: all of them mean this one host."""
    word = r"(?i)(?<![\w-])(%s(?:(?:\.[a-z0-9-]{1,63}){2,8})?)(?![\w-])" % re.escape(name)
    return Rule(re.compile(word), lambda _: "host-1")

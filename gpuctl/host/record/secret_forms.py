"""Secrets that are known by what stands around them: in addresses, headers, arguments, PEM, hashes of passwords."""

from __future__ import annotations

import re
from typing import Iterator, NamedTuple, Optional, Tuple

from gpuctl.host.record.quoting import Span, last_groups


class Form(NamedTuple):
    """What is covered, a part of every text in small letters that has it, and the pattern: its last group is secret."""

    what: str
    hint: str
    pattern: str


_MARKS = r"[\"'\\]{0,9}"
_SCHEME = r"(?:1|2[abxy]?|5|6|7|y|gy|apr1|md5|sha1|argon2\w*|scrypt|bcrypt[\w-]*|pbkdf2[\w-]*)"
_HOOK = (
    r"(?i)://(?:hooks?\.[\w.-]{1,80}|[\w.:-]{1,80}/(?:[\w-]{1,30}/){0,3}[\w-]{0,20}hooks?|[\w.-]{1,80}/webhook\w{1,4})"
    r"(?:/[a-z_-]{1,30}){0,4}/((?=[\w-]{0,80}\d)[\w@.-]+(?:/[\w@.-]+)*)"
)
_AUTHORIZATION = r"(?i)authorization%s[ \t]{0,8}[:=][ \t]{0,8}%s(?!null|true|false)([^\s\[{\"'\\][^\n\r\0\"\\`]*)" % (
    _MARKS,
    _MARKS,
)
_USER = r"-(?<![\w-]-)(?:u|U|-(?:proxy-)?user)[ \0\t=]?[\"']{0,2}(?!\d+:\d+(?!\w))([^\s\0\"':=/]+:[^\s\0\"']+)"
_TO_THE_MARK = r"((?:[^\n\r\0\"'\\`]|\\(?![\"'nr]))+)"
FORMS = (
    Form("a private key", "private key", r"(?i)private key(?: block)?[ -]{4,6}((?:[^-]+|-(?!----))+)"),
    Form("a private key", "private-", r"(?im)^private-(?:lines|mac):([^\n]*(?:\n[\w+/=]{20,})*)"),
    Form("a header", "authorization", _AUTHORIZATION),
    Form("a header", "authorization", r"(?i)digest [^\n\0]{0,400}?response=\"?([0-9a-f]{16,})"),
    Form("a header", "cookie:", r"(?i)cookie:[ \t]{0,8}" + _TO_THE_MARK),
    Form("a header", "bearer ", r"(?i)\bbearer[ \t]+[\"'\\]{0,4}(?!\w+=\"|realm|error|token\b|auth)([\w+/=.~-]{8,})"),
    Form("a header", "basic ", r"(?i:\bbasic)[ \t]+(?=[a-z+/]*[A-Z0-9=])([\w+/=-]{8,})"),
    Form("a password's hash", "$", r"\$" + _SCHEME + r"\$([^\s\0:\"'\\]+)"),
    Form("a password's hash", "{", r"(?i)\{(?:s?sha\d{0,3}|s?md5|crypt|pbkdf2[\w-]*|argon2\w*)\}([\w+/=.$-]{8,})"),
    Form("a password's hash", "scram-sha-", r"(?i)scram-sha-\d+\$([^\s\0\"',]+)"),
    Form("a password's hash", "pbkdf2", r"(?i)pbkdf2[\w:]*[$:]([^\s\0\"',]+)"),
    Form("a password", "identified", r"(?i)identified (?:with \S+ )?(?:by|as)(?: password)? ?[\"'\\]{1,4}([^\"'\n]*)"),
    Form("a password", "password", r"(?i)password[ \t](?:is|was|for|of|[\w@.-]{1,64})?[ \t]?[\"'\\]{1,4}([^\"'\n\\]+)"),
    Form("an address of a webhook", "hook", _HOOK),
    Form("credentials in an address", "%40", r"(?i)%3a%2f%2f((?:(?!%40)[^\s&\"'<>]){1,128})(?=%40)"),
    Form("a token", "bot", r"(?i)\bbot(\d{6,12}:[\w-]{20,})"),
    Form("a token", ":aa", r"(?<!\d)(\d{8,10}:AA[\w-]{30,})"),
    Form("a token", "q~", r"(?<![\w~.])([\w~.-]{3}\dQ~[\w~.-]{20,})"),
    Form("a token", "sk", r"SK(?<![A-Za-z0-9]SK)([0-9a-f]{32})(?![A-Za-z0-9])"),
    Form("a token", "ac", r"A[CP](?<![A-Za-z0-9]A[CP])([0-9a-f]{32})(?![A-Za-z0-9])"),
    Form("a token", ".", r"[MNO](?<![\w.-][MNO])([\w-]{23,27}\.[\w-]{6}\.[\w-]{20,})"),
    Form("a token", ".", r"\.(?<=[a-z0-9]{6}\.)(?<![\w.-][a-z0-9]{6}\.)((?=[a-z]*\d)[a-z0-9]{16})(?![\w.-])"),
    Form("a token", "::", r"(K10[0-9a-f]{20,}::\S+)"),
    Form("a token", "atlasv1", r"([A-Za-z0-9]{10,}\.atlasv1\.[\w=-]{20,})"),
    Form("a token", "_", r"([A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk)"),
    Form("a token", "blbkfj", r"([\w-]*T3BlbkFJ[\w-]+)"),
    Form("an argument", "-u", _USER),
    Form("credentials", "@", r"(?<![\w/.:@+-])[\w.+%-]{1,64}:([^\s\0\"'@/:,]{1,128})@(?!sha\d)(?=[\w(\[])"),
)  # fmt: skip
_SHORT = r"(?<![\w-])(-[paw])([ \0\t]|[\"'],\s{0,8}[\"']|(?=[^\s\0\"'=-]))[\"']?([^\s\0\"'-][^\s\0\"']*)"
_OTHER_ARGUMENT = (
    r"[\d.,:/-]+(?:tcp|udp)?|/.*|\.{1,2}/.*|tcp|udp|icmp|all|none|err|warning|info|debug|notice|crit|emerg|alert"
    r"|(?:[A-Z][a-z]+){1,8}[A-Z]*|[\w.*\[\]]+:[\d:/a-z]+"
)
_LOGS_IN = (
    r"(?i)\b(?:login|mysql\w*|mariadb\w*|sshpass|mongo\w*|redis-cli|smbclient|ldap\w+|zip|7z\w?|unrar|wget|psql|sqlcmd"
    r"|crane|skopeo|helm)\b|(?<![\w-])(?:-u|--user\w*)\b"
)
_VENDOR = (
    r"(?i)(?:wandb|weights|datadog|dd|twilio|heroku|cloudflare|okta|sentry|pagerduty|opsgenie|newrelic|splunk|grafana|loki"
    r"|snyk|sonar|travis|circleci|codecov|fastly|algolia|mailgun|mailchimp|linode|hetzner|vultr|scaleway|ovh|azure|aws"
    r"|artifactory|jfrog|nexus|docker|ngc|nvidia|comet|neptune|clearml|mlflow|dagshub|consul|nomad|vault|etcd|rancher|k3s"
    r"|jenkins|gitea|bitbucket|github|gitlab|telegram|discord|slack)[\w. -]{0,24}[\"'\\]{0,4}[ \t]{0,4}"
    r"[:=| ]{1,3}[ \t]{0,4}[\"'\\]{0,4}"
    r"(?<!sha256:)([0-9a-f]{32}|[0-9a-f]{40})(?![\w-])"
)
_OF_MAILCHIMP = r"(?<!\w)([0-9a-f]{32}-us\d{1,2})(?!\w)"
_HEX = r"(?<![\w])[0-9a-f]{32}"
_ADDRESS = r":(?:\\?/){2}((?:[^\s\"'<>\0`:\\]+|:(?!//)|\\(?=/))*)"
_AUTHORITY = r"[^/?#\\]*"
_PORT = r"[^:]*(?::\d*)?|\[[^\]]*\](?::\d*)?"


def surrounded(text: str, low: str) -> Iterator[Tuple[str, Span]]:
    """Yields what was found and where, in no order. `low` is the text in small letters."""
    for form in FORMS:
        if form.hint in low:
            yield from ((form.what, span) for _, span in last_groups(form.pattern, text))
    if "://" in text or ":\\/\\/" in text:
        for match in re.finditer(_ADDRESS, text):
            span = _userinfo(text, *match.span(1))
            if span:
                yield "credentials in an address", span
    if "-p" in text or "-a" in text or "-w" in text:
        yield from (("an argument", span) for span in _arguments(text))
    if re.search(_HEX, low):
        yield from (("a token", span) for rule in (_VENDOR, _OF_MAILCHIMP) for _, span in last_groups(rule, text))


def _userinfo(text: str, begin: int, end: int) -> Optional[Span]:
    """The name and the password in an address that begins here, behind its scheme. A password may hold any letter."""
    address = text[begin:end]
    last = address.rfind("@")
    authority = re.match(_AUTHORITY, address)
    within = authority.group().rfind("@") if authority else -1
    has_password = ":" in address[: max(last, 0)] and not re.fullmatch(_PORT, authority.group() if authority else "")
    further = has_password and not address.startswith(("/@", "@sha"), last - 1) and address[last - 1 : last] != "/"
    at = last if further else within
    if at <= 0 or (text.endswith("ssh://", 0, begin) and ":" not in address[:at]):
        return None
    return begin, begin + at


def _arguments(text: str) -> Iterator[Span]:
    """What stands behind -p, -a and -w, where that is a password: they mean a port or something else as well."""
    for match in re.finditer(_SHORT, text):
        option, between, value = match.groups()
        before = text[max(0, match.start() - 200) : match.start()].rpartition("\n")[2]
        sure = bool(re.search(_LOGS_IN, before))
        other = re.fullmatch(_OTHER_ARGUMENT, value) and not (sure and value.isdigit())
        if not other and (sure or (option == "-p" and between)):
            yield match.span(3)

"""Environments leave a host by an allow-list: a variable keeps its name, and its value only where gpuctl looks at it.

What stays open is looked through for other secrets afterwards, as all text is.
"""

from __future__ import annotations

import re
from typing import Iterator, Match, NamedTuple

from gpuctl.host.record.quoting import Span, last_groups, quoted

_OPEN = (
    r"PATH|HOME|LANG|LC_\w+|TZ|TERM|container|(?:NVIDIA|CUDA|NV)_\w+|NVARCH|(?:LD_)?LIBRARY_PATH|\w+_VERSION"
    r"|DOCKER_(?:HOST|CONFIG|CONTEXT|RAMDISK)|XDG_(?:RUNTIME_DIR|(?:CONFIG|DATA|STATE)_HOME)|LISTEN_(?:PID|FDS)"
    r"|ROOTLESSKIT_STATE_DIR|CONTAINERD_(?:ADDRESS|NAMESPACE)|(?:\w+_)?(?:OPTS|OPTIONS|ARGS|FLAGS)"
)
"""What probes and checks read: where programs look for files and sockets, what NVIDIA's images say of themselves, and
the arguments that a unit takes from its environment."""
_OF_A_PROCESS = r"/proc/\w+/environ"
_A_FILE = r"/etc/(?:default|sysconfig|conf\.d)/.*|/etc/environment|.*/environment\.d/.*|.*\.env"
_NAME = r"(?P<name>[A-Za-z_][\w.-]{0,99})"
_UPPER = r"(?P<name>[A-Z_][A-Z0-9_]{1,99})"
_OTHER = _NAME.replace("name", "other")
_VALUE = r"(?:%s|([^\s\0\"'\\][^\s\0]*))" % quoted()
_ARGUMENT = r"(?:%s|%s=(?:%s|([^\s\0\"'\\][^\s\0]*)))" % (quoted(1, _NAME + "="), _OTHER, quoted(2))


class VariableForm(NamedTuple):
    """A way of writing variables: names and values as groups, the value last. `hint` is in every text that has one."""

    hint: str
    pattern: str


_PROCESS = r"(?:^|(?<=\0))(?P<name>[^=\0]*)=([^\0]*)"
_LINE = r"(?m)^[ \t]*(?:export[ \t]+)?%s[ \t]*=[ \t]*%s" % (_NAME, r"([^\n]*(?:(?<=\\)\n[^\n]*)*)")
_FORMS = (
    # One by itself, as an entry of a list or an argument: "NAME=VALUE", - NAME=VALUE, -e NAME=VALUE.
    VariableForm('"', quoted(1, _UPPER + "=")),
    VariableForm("'", r"(?<!\w)" + quoted(1, _UPPER + "=")),
    VariableForm("- ", r"(?m)^[ \t]*-[ \t]+%s=([^\n]*)" % _UPPER),
    VariableForm("-e", r"-e(?<![\w-]-e)[ \0\t]?" + _ARGUMENT),
    VariableForm("--env", r"--env(?<![\w-]--env)[ \0\t=]" + _ARGUMENT),
    VariableForm("--build-arg", r"(?<![\w-])--build-arg[ \0\t=]" + _ARGUMENT),
    VariableForm("export ", r"(?<!\w)export[ \t]+%s=%s" % (_NAME, _VALUE)),
    VariableForm("declare ", r"(?m)^declare -x %s=%s" % (_NAME, _VALUE)),
    VariableForm("ENV", r"(?m)^[ \t]*(?:ENV|ARG)[ \t]+%s[= \t][ \t]*([^\n]+)" % _NAME),
    # Kubernetes: {name: NAME, value: VALUE}
    VariableForm(
        "value",
        r"(?m)(?<!\w)name[\"'\\]{0,8}:[ \t]{0,8}[\"'\\]{0,8}%s[\"'\\]{0,8}[\s,]{1,80}[\"'\\]{0,8}value[\"'\\]{0,8}"
        r":[ \t]{0,8}(?:%s|([^\s\"'\\][^\n]*))" % (_UPPER, quoted()),
    ),
)
_SETS = (
    # Many of them: Environment=A=B "C=D E", env = ["A=B"], environment: followed by deeper lines.
    VariableForm("Environment", r"(?m)^[ \t]*(?:Default|Manager)?Environment[ \t]*=([^\n]*(?:(?<=\\)\n[^\n]*)*)"),
    VariableForm("nv", r"[Ee](?:nv|NV)(?:s|ironment|IRONMENT)?[\"'\\]{0,8}\s{0,8}[:=]\s{0,8}[\[{]([^\]}]*)"),
    VariableForm("nv", r"(?m)^(?P<in>[ \t]*)(?:- )?env(?:ironment)?:[ \t]*((?:\n(?P=in)[ -][^\n]*)*)"),
)
_ENTRIES = (
    quoted(1, _NAME + "="),
    r"(?<![\w.$\"'-])%s=%s" % (_NAME, _VALUE.replace(r"[^\s\0]*", r"[^\s\0,]*")),
    r"(?P<name>[A-Za-z_]\w*)[\"'\\]{0,8}[ \t]{0,8}[:=][ \t]{1,8}(?:%s|([^\s\"'\\,][^\n,]*))" % quoted(),
)


def variables(kind: str, source: str, text: str) -> Iterator[Span]:
    """Yields the places of variables' values that do not leave the host, in no order. They may overlap."""
    if kind == "read" and re.fullmatch(_OF_A_PROCESS, source):
        yield from _hidden(_PROCESS, text)
    if kind == "read" and re.fullmatch(_A_FILE, source):
        yield from _hidden(_LINE, text)
    if "=" not in text and ":" not in text:
        return
    for hint, pattern in _FORMS:
        if hint in text:
            yield from _hidden(pattern, text)
    for hint, pattern in _SETS:
        if hint in text:
            for _, (begin, end) in last_groups(pattern, text):
                for entry in _ENTRIES:
                    yield from ((begin + one, begin + other) for one, other in _hidden(entry, text[begin:end]))


def _hidden(pattern: str, text: str) -> Iterator[Span]:
    return (span for match, span in last_groups(pattern, text) if span[0] < span[1] and not _is_open(match))


def _is_open(match: Match[str]) -> bool:
    names = match.groupdict()
    return bool(re.fullmatch(_OPEN, names["name"] or names.get("other") or ""))

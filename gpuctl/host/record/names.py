"""Names of people, sites, registries' images and containers, learnt from what a host said of them.

A name is met in a place that tells what it is, /home/NAME or "Requested-By: NAME", and stands in many that do not.
"""

from __future__ import annotations

import re
from typing import Dict, Iterable, Iterator, Set, Tuple

from gpuctl.regex import regex

TOP = (
    r"(?:com|net|org|edu|gov|mil|int|info|biz|eu|de|uk|fr|nl|ch|at|it|es|pl|se|no|fi|dk|cz|be|pt|ie|ru|ua|cn|jp|kr|tw|in|au"
    r"|nz|ca|us|br|mx|za|sg|hk|il|tr|local|localdomain|lan|internal|intra|intranet|corp|home|private|example|test|invalid"
    r"|cloud|arpa|ac|co)"
)
"""The last parts of names of sites. Files and units have names like them: io, sh, so, py, rs, id, ai and dev are none
here, and a name of such a site is found where an address has it."""
SITE = r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,8}"
_HOST = r"[a-z0-9](?:[a-z0-9.-]{0,120}[a-z0-9])?"
_PUBLIC = regex(
    r"(.*\.)?(nvidia\.com|nvcr\.io|github\.io|github\.com|githubusercontent\.com|docker\.(?:com|io)|debian\.org|ubuntu\.com"
    r"|canonical\.com|fedoraproject\.org|redhat\.com|centos\.org|kernel\.org|gnu\.org|k8s\.io|rockylinux\.org|suse\.com"
    r"|opensuse\.org|almalinux\.org|quay\.io|gcr\.io|pkg\.dev|ghcr\.io|mcr\.microsoft\.com|microsoft\.com|amazonaws\.com"
    r"|public\.ecr\.aws|registry\.gitlab\.com|gitlab\.com|containerd\.io|containers\.io|opencontainers\.org|cri-o\.io"
    r"|kubernetes\.io|launchpad\.net|freedesktop\.org|systemd\.io|golang\.org|python\.org|pypi\.org|mobyproject\.org"
    r"|slirp4netns\.com|docker\.internal|localhost\.localdomain|in-addr\.arpa)"
)
_A_UNIT = regex(r"\.(?:service|socket|slice|scope|mount|automount|timer|target|path|device|swap)$|^[\d.]+$")
ARCHITECTURES = (
    r"amd64|i386|arm64|armhf|armel|ppc64el|s390x|riscv64|mips64el|loong64|x86_64|i686|aarch64|ppc64le|noarch|all"
)
"""What package managers write behind a package's name, as in login:amd64 and python3-jwt:all."""
_EVERYWHERE = regex(
    ARCHITECTURES + "|"
    r"localhost|docker|containerd|podman|crio|kube\w*|nvidia[\w-]*|cuda|gpu|driver|linux|debian|ubuntu|centos|fedora|rhel"
    r"|host|server|node|worker|master|root|default|runtime|system|service|kernel|systemd[\w-]*|build|test|true|false|none"
    r"|null|user|users|name|unknown|image|images|container|containers|daemon|bin|sys|sync|games|man|lp|mail|news|uucp"
    r"|proxy|www-data|backup|list|irc|gnats|nobody|nogroup|_apt|messagebus|sshd|syslog|uuidd|tcpdump|landscape|pollinate"
    r"|dbus|polkitd|chrony|ntp|postfix|rpc|rpcuser|tss|usbmux|lxd|snap\w*|etcd|adm|tty|disk|video|render|audio|input|kvm"
    r"|data|lib|etc|var|usr|run|tmp|opt|dev|proc|home|boot|local|share|shared|config|compute|utility|display|graphics|all"
    r"|json|yaml|toml|conf|the|and|for|from|with|version|info|error|warning|level|type|text|path|file|self|auto|hook"
    r"|invalid|yes|no|on|off|any|ok|started|active|running|stopped|bash|sh|python3?|apt|dpkg|rpm|dnf|yum|pci|modules?"
    r"|io|com|org|net|library|latest|base|main|stable|gpg|key|ssh|sudo|cron|login|session|source|sources|unattended-upgrade"
)
"""Words of gpuctl's own, and accounts that all hosts have: replaced, they would no longer say where to look."""


_NUMBERED = r"((?=[\w.-]{0,60}\d)[A-Za-z0-9][\w.-]{3,63})"
_ACCOUNT = r"([A-Za-z_][\w.-]{1,63})"
_MARKS = r"[\"'\\]{0,4}"
_USERS = (
    r"/(?:home|Users|var/mail|var/spool/mail|crontabs|media)/" + _ACCOUNT,
    r"(?i)requested-by: ?" + _ACCOUNT,
    r"\b[ug]id=\d+\(([^)\s]{2,64})\)",
    r"(?<=[=,])\d{1,7}\(([A-Za-z_][\w.-]{1,63})\)",
    r"\bsu(?:do)?(?:\[\d+\])?: {1,8}" + _ACCOUNT + r" : ",
    r"(?i)\bto user " + _ACCOUNT + r"|\(to " + _ACCOUNT + r"\)",
    r"(?i)\b(?:for|by|of) (?:invalid )?user[ =:]{1,3}" + _MARKS + _ACCOUNT,
    r"(?i)\b(?:accepted|failed) [\w/-]{1,40} for (?:invalid user )?" + _ACCOUNT + " from",
    r"(?i)\b(?:\w{0,12}user(?:_?name)?|logname|login|owner|account|acct|maintainer)" + _MARKS
    + r"[ \t]{0,4}[=:][ \t]{0,4}" + _MARKS + _ACCOUNT,
    r"(?m)^([a-z_][\w.-]{1,31}):[^:\n]{0,200}:\d+:\d+:[^:\n]{0,200}:/",
    r"--(?:user|username|login|owner)[ =\0]" + _ACCOUNT,
    r"(?m)^([a-z_][\w.-]{1,31})[ \t]+ALL ?=",
    r"(?<![\w/.:@+-])([a-z_][a-z0-9_.-]{1,31})@(?!sha\d|tty|\d|[\w.-]*\.(?:service|socket|slice|mount|timer|target|scope|path))[\w-]",
)  # fmt: skip
_PEOPLE = (
    r"(?m)^[a-z_][\w.-]{1,31}:[^:\n]{0,200}:\d+:\d+:([^:,\n]{4,80})[^:\n]{0,200}:/",
    r"([A-Z][\w.'-]+(?: [A-Z][\w.'-]+){1,3}) <[^<>@\s]{1,80}@",
)
_IMAGE = r"(?:%s%s(?::\d{2,5})?|[a-z0-9][a-z0-9-]{0,62}:\d{2,5})/[a-z0-9](?:[a-z0-9._/-]{0,200}[a-z0-9])?" % (SITE, TOP)
_IMAGES = (r"(?<![\w./:@%-])(" + _IMAGE + r")", r"/images/(" + _IMAGE + r")(?=[:@][^/\s]{1,140}/json|/json)")
_CONTAINERS = (
    r"--(?:name|hostname|container-name)[ =\0]([a-zA-Z0-9][\w.-]{2,80})",
    r"\"Names?\\?\" ?: ?\[? ?\\?\"/([a-zA-Z0-9][\w.-]{2,80})",
    r"container_name: ?[\"']?([a-zA-Z0-9][\w.-]{2,80})",
    r"io\.kubernetes\.(?:pod|container)\.name[\"'\\]{0,4} ?[:=] ?[\"'\\]{0,4}([a-zA-Z0-9][\w.-]{2,80})",
)
_SERIALS = (
    r"(?i)serial(?:[_ -]?(?:number|num|no|nr|short))?" + _MARKS + r"[ \t]{0,40}[:=#][ \t]{0,40}" + _MARKS + _NUMBERED,
    r"(?i)serial (?:number|no\.?) (?:is |of )?" + _NUMBERED,
    r"(?i)(?:\bs/n|\bsn|asset[_ ]?tag|service[_ ]?tag|chassis[_ ]?id)" + _MARKS
    + r"[ \t]{0,8}[:=#]?[ \t]{0,8}" + _MARKS + _NUMBERED,
    r"/by-id/(?:[a-z]+-)?([\w.+-]{6,120}?)(?:-part\d+)?(?![\w.+-])",
    r"\b(?:wwn-|naa\.|eui\.|nvme\.)((?:0x)?[0-9a-f]{8,64})",
    r"(?i)\be?ssid" + _MARKS + r"[ \t]{0,4}[:=][ \t]{0,4}[\"'\\]{0,4}([^\s\"'\\][^\"'\\\n]{0,63})",
)  # fmt: skip
_OF_A_SERIAL = regex(r"(?:serial|asset_tag|product_uuid|machine-id|wwid|/uuid|unique_id)$")
_SITES = (
    r"(?i)(?:(?<=://)|(?<=@))(?:[^\s/@\"']{0,80}@)?(%s[a-z][a-z0-9-]{1,62})(?![\w.-])" % SITE,
    r"(?i)(?<![\w.-])(%s%s)(?![\w-]|\.\w)" % (SITE, TOP),
    r"(?im)^(?:search|domain)[ \t]+(%s)" % _HOST,
)


def is_public(site: str) -> bool:
    """Returns whether a site is everybody's."""
    return bool(_PUBLIC.fullmatch(site.lower()) or _A_UNIT.search(site))


def is_everywhere(name: str) -> bool:
    """Returns whether a name tells nothing of a host, being a word that all have."""
    return len(name) < 3 or bool(_EVERYWHERE.fullmatch(name.lower()))


def learn(readings: Iterable[Tuple[str, str]]) -> Dict[str, Tuple[str, ...]]:
    """Returns the names in a host's readings, each a source and a text: by kind, the longest first.

    The kinds are image, serial, site (of which the last parts, that all of its names have), user and container.
    """
    found: Dict[str, Set[str]] = {"image": set(), "serial": set(), "site": set(), "user": set(), "container": set()}
    for source, text in readings:
        both = source + "\n" + text
        found["image"].update(name for name in _matches(_IMAGES, both) if not is_public(_registry(name)))
        found["site"].update(_domain(site) for site in _matches(_SITES, both) if not is_public(site))
        found["user"].update(name for name in _matches((*_USERS, *_PEOPLE), both) if not is_everywhere(name))
        found["container"].update(name for name in _matches(_CONTAINERS, both) if not is_everywhere(name))
        found["serial"].update(_matches(_SERIALS, both))
        if _OF_A_SERIAL.search(source) and len(text.strip()) > 2:
            found["serial"].add(text.strip())
    return {kind: tuple(sorted(names, key=lambda name: (-len(name), name))) for kind, names in found.items()}


def _matches(patterns: Iterable[str], text: str) -> Iterator[str]:
    for pattern in patterns:
        for match in re.finditer(pattern, text):
            yield next(filter(None, match.groups()))


def _registry(image: str) -> str:
    return image.partition("/")[0].partition(":")[0]


def _domain(site: str) -> str:
    """The parts that all names of a site have in common: two, and three where the last but one is a country's own."""
    parts = site.lower().strip(".").split(".")
    common = 3 if len(parts) > 2 and len(parts[-1]) == 2 and len(parts[-2]) <= 3 else 2
    return ".".join(parts[-common:])

"""The places that the host's package manager is told to take packages from."""

from __future__ import annotations

import re
from typing import Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, Outcome, Reading, fact
from gpuctl.model import Fact
from gpuctl.regex import regex

APT_FOLDER = "/etc/apt/sources.list.d"
APT_LIST = "/etc/apt/sources.list"
RPM_FOLDERS: Mapping[str, str] = {
    "dnf": "/etc/yum.repos.d",
    "yum": "/etc/yum.repos.d",
    "zypper": "/etc/zypp/repos.d",
}
_ONE_LINE = regex(r"\s*(?:deb|deb-src)\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)")
_SOURCES_LIMIT = 1000
_USERINFO = regex(r"(?<=//)[^/@\s]*@")
_OFF = ("no", "false", "without", "off", "disable", "0")
"""What apt takes for no: StringToBool in its apt-pkg/contrib/strutl.cc."""


@dataclass(frozen=True)
class Source:
    """One place, enabled. `uri` is as written, without user, password and last slash.

    `suite` is apt's, or the id of a repository of rpm packages. `signed_by` are the keys that count, "" where any key
    that the package manager trusts does.
    """

    file: str
    uri: str
    suite: str
    signed_by: str

    def __str__(self) -> str:
        return " ".join(filter(None, (self.uri, self.suite, "(%s)" % self.file)))


Parse = Callable[[str, str], Tuple[Source, ...]]


def probe_sources(host: Host, manager: Optional[str]) -> Fact[Tuple[Source, ...]]:
    """Returns the enabled places in the order in which the manager reads them; absent for a manager of another kind."""
    if manager == "apt":
        return _of_folder(host, APT_FOLDER, {".list": parse_one_line, ".sources": parse_deb822}, first=APT_LIST)
    if manager and manager in RPM_FOLDERS:
        return _of_folder(host, RPM_FOLDERS[manager], {".repo": parse_repo})
    return Fact(None, "package manager")


def probe_spoilt(host: Host, manager: Optional[str]) -> Fact[str]:
    """Returns the file that holds what a web server said of an error in the place of sources; absent without one.

    nvidia.github.io says "# Unsupported distribution!" for one that it has no list for, and others send a page.
    """
    folder = APT_FOLDER if manager == "apt" else RPM_FOLDERS.get(manager or "", "")
    if not folder:
        return Fact(None, "package manager")
    names = [name for name in host.list(folder).text.splitlines() if name.endswith((".list", ".repo"))]
    paths = ["%s/%s" % (folder, name) for name in names if "nvidia" in name]
    return Fact(next((path for path in paths if is_error_page(host.read(path).text)), None), folder)


def is_error_page(text: str) -> bool:
    """Returns whether a file of sources is none.

    # Unsupported distribution!
    # Check https://nvidia.github.io/nvidia-docker
    """
    return "Unsupported distribution!" in text or text.lstrip()[:1] == "<"


def _of_folder(
    host: Host, folder: str, parsers: Mapping[str, Parse], first: Optional[str] = None
) -> Fact[Tuple[Source, ...]]:
    listing = host.list(folder)
    if listing.outcome not in (Outcome.OK, Outcome.ABSENT):
        return fact(listing, lambda _: ())
    paths = ([first] if first else []) + ["%s/%s" % (folder, name) for name in listing.text.splitlines()]
    found: List[Source] = []
    for path in paths:
        parse = next((parse for suffix, parse in parsers.items() if path.endswith(suffix)), None)
        reading = host.read(path) if parse else Reading(path, Outcome.ABSENT)
        sources = fact(reading, lambda text: parse(path, text) if parse else ())  # noqa: B023
        if sources.unknown is not None:
            return sources
        found.extend(sources.value or ())
    return Fact(tuple(found), folder)


def parse_one_line(file: str, text: str) -> Tuple[Source, ...]:
    """Returns the sources of a .list file: sources.list(5).

    deb [arch=amd64 signed-by=/etc/apt/keyrings/x.asc] https://nvidia.github.io/libnvidia-container/stable/deb/amd64 /
    """
    matches = (_ONE_LINE.match(line.partition("#")[0]) for line in text.splitlines())
    return tuple(_source(file, m["uri"], m["suite"], _option(m["options"] or "", "signed-by")) for m in matches if m)


def _option(options: str, name: str) -> str:
    pairs = (option.partition("=") for option in options.split())
    return next((value for key, _, value in pairs if key.lower() == name), "")


def _source(file: str, uri: str, suite: str, signed_by: str) -> Source:
    return Source(file, without_user(uri).rstrip("/"), suite, signed_by)


def without_user(text: str) -> str:
    """Returns a text whose addresses name no user and no password: so they are the same for all."""
    return _USERINFO.sub("", text)


def parse_deb822(file: str, text: str) -> Tuple[Source, ...]:
    """Returns the sources of a .sources file: sources.list(5).

    Types: deb
    URIs: https://nvidia.github.io/libnvidia-container/stable/deb/$(ARCH)
    Suites: /
    Signed-By: /etc/apt/keyrings/nvidia-container-toolkit.asc
    """
    return tuple(source for fields in stanzas(text) for source in _of_stanza(file, fields))


def stanzas(text: str) -> Iterator[Mapping[str, str]]:
    """Yields the fields of each stanza of one of apt's files, by their names in lower case."""
    return (_fields(stanza) for stanza in re.split(r"\n[ \t]*\n", "\n" + text))


def _fields(stanza: str) -> Dict[str, str]:
    fields: Dict[str, List[str]] = {}
    name = ""
    for line in stanza.splitlines():
        if line[:1] in (" ", "\t") and name:
            fields[name].append(line.strip())
        elif not line.startswith("#") and ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = [value.strip()]
    return {name: "\n".join(lines) for name, lines in fields.items()}


def _of_stanza(file: str, fields: Mapping[str, str]) -> Iterator[Source]:
    if fields.get("enabled", "yes").lower() in _OFF:
        return
    signed_by = fields.get("signed-by", "").strip()
    uris, suites = fields.get("uris", "").split(), fields.get("suites", "").split()
    if len(uris) * len(suites) > _SOURCES_LIMIT:
        raise ValueError("a stanza of it names more than %d sources" % _SOURCES_LIMIT)
    for uri in uris:
        for suite in suites:
            yield _source(file, uri, suite, "a key in the file itself" if "\n" in signed_by else signed_by)


def parse_repo(file: str, text: str) -> Tuple[Source, ...]:
    """Returns the repositories of a .repo file: dnf.conf(5). Raises ValueError where it is none.

    [nvidia-container-toolkit]
    baseurl=https://nvidia.github.io/libnvidia-container/stable/rpm/$basearch
    enabled=1
    gpgkey=https://nvidia.github.io/libnvidia-container/gpgkey
    """
    import configparser

    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ValueError(str(error).splitlines()[0]) from None
    enabled = (section for section in parser.sections() if parser[section].get("enabled", "1").lower() not in _OFF)
    return tuple(
        _source(file, uri, section, parser[section].get("gpgkey", ""))
        for section in enabled
        for uri in parser[section].get("baseurl", "").split()
    )


def contradictions(sources: Sequence[Source], architecture: str) -> Tuple[Tuple[Source, Source], ...]:
    """Returns pairs of apt's sources that are one place with two Signed-By: apt then refuses to do anything.

    `architecture` is apt's name of the host's. Source: debReleaseIndex::SetSignedBy in apt-pkg/deb/debmetaindex.cc.
    """
    first: Dict[Tuple[str, str], Source] = {}
    places = [((one.uri.replace("$(ARCH)", architecture), one.suite.strip("/")), one) for one in sources]
    pairs = [(first.setdefault(place, one), one) for place, one in places]
    return tuple(pair for pair in pairs if pair[0].signed_by != pair[1].signed_by)

"""The files that tell apt, and rpm's package managers, of a repository: their text, and how they are shown."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable

from gpuctl.facts.packages.sources import Source, parse_deb822, parse_one_line
from gpuctl.host.record.redact import without_secrets
from gpuctl.provision.aside import aside
from gpuctl.provision.change_set import Edit
from gpuctl.regex import regex

_OURS = "Written by gpuctl install-runtime --install."
_STANZA_END = regex(r"(\n[ \t]*\n)")


def written(path: str, content: str | bytes) -> Edit:
    """Returns the edit after which the file has just this content."""
    raw = content.encode() if isinstance(content, str) else content
    return Edit(path, lambda _: raw, show_source, aside=aside(path))


def apt_source(url: str, keyring: str) -> str:
    """Returns a .sources file: deb822-style, sources.list(5)."""
    return f"# {_OURS}\nTypes: deb\nURIs: {url}\nSuites: /\nSigned-By: {keyring}\n"


def rpm_repository(name: str, url: str, key: str) -> str:
    """Returns a .repo file that checks what NVIDIA's own does: the signature of the list, which has the digests."""
    fields = {"name": name, "baseurl": url, "repo_gpgcheck": 1, "gpgcheck": 0, "enabled": 1, "gpgkey": f"file://{key}"}
    return f"# {_OURS}\n[{name}]\n" + "".join(f"{field}={value}\n" for field, value in fields.items())


def silenced(path: str, unwanted: Callable[[Source], bool]) -> Edit:
    """Returns the edit after which an apt source file has no unwanted source: it is there, and apt passes over it."""
    rewrite = _without_stanzas if path.endswith(".sources") else _without_lines

    def change(raw: bytes | None) -> bytes | None:
        if raw is None:
            return None
        text = raw.decode("utf-8", "surrogateescape")  # a comment may be in any encoding
        return rewrite(text, path, unwanted).encode("utf-8", "surrogateescape")

    return Edit(path, change, show, aside=aside(path))


def _without_lines(text: str, path: str, unwanted: Callable[[Source], bool]) -> str:
    def line(one: str) -> str:
        return f"# gpuctl: {one}" if any(map(unwanted, parse_one_line(path, one))) else one

    return "".join(map(line, text.splitlines(keepends=True)))


def _without_stanzas(text: str, path: str, unwanted: Callable[[Source], bool]) -> str:
    def stanza(one: str) -> str:
        if not any(map(unwanted, parse_deb822(path, one))):
            return one
        rest = re.sub(r"(?im)^enabled:.*\n?", "", one)
        return re.sub(r"(?im)^(?=types:)", "Enabled: no\n", rest, count=1)

    return "".join(map(stanza, _STANZA_END.split(text)))


def show(path: str, before: bytes | None, after: bytes | None) -> str:
    """Returns the unified diff, in which no address names a user or a password."""
    old, new = (without_secrets((raw or b"").decode("utf-8", "replace")).splitlines() for raw in (before, after))
    names = (path if before is not None else "/dev/null", path if after is not None else "/dev/null")
    return "".join(f"{line}\n" for line in difflib.unified_diff(old, new, *names, lineterm=""))


def show_key(path: str, before: bytes | None, after: bytes | None) -> str:
    """Returns the diff of a key: that it is there, which is all that can be seen of it."""
    old, new = ([f"(a key of {len(raw)} bytes)"] if raw is not None else [] for raw in (before, after))
    names = (path if before is not None else "/dev/null", path if after is not None else "/dev/null")
    return (
        "".join(f"{line}\n" for line in difflib.unified_diff(old, new, *names, lineterm="")) if before != after else ""
    )


def show_source(path: str, before: bytes | None, after: bytes | None) -> str:
    """Returns the diff of a file that tells of a repository, or of its key."""
    return (show_key if path.endswith((".gpg", ".asc")) else show)(path, before, after)

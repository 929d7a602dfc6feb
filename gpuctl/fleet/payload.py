"""What goes out to the hosts: the part of the running gpuctl that records a host, inside one module of Ansible's.

The module is one file and needs nothing on the host but a Python. It keeps the archive without a name, in memory where
the kernel has that (memfd_create(2)): nothing is left on the host, and a full /tmp does not matter to it. What a host
answers is one line, the last: what a login shell prints before cannot spoil it.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from importlib.abc import InspectLoader
from importlib.resources import files
from importlib.util import find_spec
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from gpuctl.frozen import dataclass
from gpuctl.travels import TRAVELS

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

PYTHON = (3, 8)
"""The oldest Python that it runs on."""
MODULE = "gpuctl_report"
ANSWER = "gpuctl"
"""The one key of a module's result that is gpuctl's own."""
PLAY, NONE = "gpuctl", "all:!all"
"""What the play's name begins with, and the pattern of no host."""
_FOLDERS = ("ruamel.yaml", "tomli")
_MODULES = ("pynvml",)

_TEXT = '''\
#!/usr/bin/python
"""{purpose}: gpuctl {version}, {digest}."""
import sys


def answer(result):
    import json

    sys.stdout.write("\\n" + json.dumps(result) + "\\n")
    sys.stdout.flush()
    sys.exit(0)


if sys.version_info < {python}:
    answer({{"failed": True, "msg": "old", "{answer}": {{"python": "%d.%d" % sys.version_info[:2]}}}})

import ansible.module_utils.basic  # by this line Ansible sees a module that it may send over an open connection


def without_name():
    import os
    import tempfile

    try:
        return os.fdopen(os.memfd_create("gpuctl"), "w+b")
    except (AttributeError, OSError):
        return tempfile.TemporaryFile()


def main():
    import base64
    import os
    import signal

    def late(number, frame):
        raise RuntimeError("no end within {seconds} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm({seconds})
    try:
        archive = without_name()
        archive.write(base64.b64decode(PAYLOAD))
        archive.flush()
        sys.path.insert(0, "/proc/%d/fd/%d" % (os.getpid(), archive.fileno()))
        from {door} import {function}

        report = base64.b64encode({function}({arguments})).decode("ascii")
        found = {{"changed": False, "{answer}": {{"digest": "{digest}", "snapshot": report}}}}
    except Exception as error:
        import traceback

        said = {{"error": "%s: %s" % (type(error).__name__, error), "where": traceback.format_exc()[-2000:]}}
        found = {{"failed": True, "msg": "gpuctl", "{answer}": said}}
    answer(found)


PAYLOAD = "{payload}"

main()
'''


@dataclass(frozen=True)
class Call:
    """What a module does on a host, in words, and the function of what travels that does it and returns bytes.

    `arguments`: of JSON's kinds.
    """

    purpose: str
    door: str
    function: str
    arguments: tuple[object, ...]


@dataclass(frozen=True)
class Payload:
    """An archive of Python's, and the name of its content."""

    raw: bytes
    digest: str


def build() -> Payload:
    """Returns what travels of the running gpuctl with the pure packages that it needs; the same for the same gpuctl.

    Raises ModuleNotFoundError where a package is not installed.
    """
    raw = _packed(dict(sorted(_contents())))
    return Payload(raw, hashlib.sha256(raw).hexdigest()[:16])


def recording_call(logs: bool) -> Call:
    """Returns the call that records a host; logs travel where `logs`."""
    return Call("Records this host. Changes nothing", "gpuctl.collector", "recorded", (logs,))


def smoke_call(options: Sequence[str], zipapp: str, seconds: float, logs: bool) -> Call:
    """Returns the call that has a host run `gpuctl smoke` for so many seconds, and records it."""
    arguments = (list(options), zipapp, seconds, logs)
    return Call("Tests whether a GPU container runs, and records this host", "gpuctl.collector", "smoked", arguments)


def calling(payload: Payload, version: str, seconds: int, call: Call) -> str:
    """Returns a module that carries the payload, calls one function of it, and ends by itself after `seconds`."""
    return _TEXT.format(
        purpose=call.purpose,
        version=version,
        digest=payload.digest,
        python=PYTHON,
        answer=ANSWER,
        seconds=seconds,
        door=call.door,
        function=call.function,
        arguments=", ".join(map(repr, call.arguments)),
        payload=base64.b64encode(payload.raw).decode("ascii"),
    )


def playbook(become: bool, most: int | None = None) -> str:
    """Returns the play that asks every host once: YAML, written as JSON, which is the same.

    Ansible tells its name as it begins: that has a line for each host (`hosts_in`). Of an inventory of more than `most`
    hosts it names them, and asks none.
    """
    rights = {"become": True} if become else {}
    hosts = "all" if most is None else f"{{{{ 'all' if groups['all'] | length <= {most} else '{NONE}' }}}}"
    head = {"name": f"{PLAY}\n{{{{ ansible_play_hosts_all | join('\n') }}}}", "hosts": hosts, "gather_facts": False}
    return json.dumps([{**head, **rights, "tasks": [{"name": PLAY, MODULE: {}}]}])


def hosts_in(name: str) -> tuple[str, ...]:
    """Returns the hosts that a play is for, by its name as Ansible tells it. Raises ValueError for another play's."""
    first, *hosts = name.split("\n")
    if first != PLAY:
        raise ValueError(f"it is called {name[:40]!r}")
    return tuple(hosts)


def _contents() -> Iterator[tuple[str, bytes]]:
    ours = files("gpuctl")
    for part in TRAVELS:
        yield from _sources(ours / part, f"gpuctl/{part}")
    for package in _FOLDERS:
        yield from _sources(files(package), package.replace(".", "/"))
    for module in _MODULES:
        yield f"{module}.py", _source(module)


def _sources(place: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    if place.is_dir():
        for inside in place.iterdir():
            yield from _sources(inside, f"{name}/{inside.name}")
    elif name.endswith(".py"):
        yield name, place.read_bytes()


def _source(module: str) -> bytes:
    found = find_spec(module)
    source = found.loader.get_source(module) if found and isinstance(found.loader, InspectLoader) else None
    if source is None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)
    return source.encode()


def _packed(contents: dict[str, bytes]) -> bytes:
    """Folders have entries too: without, `ruamel` is no package to zipimport. No dates, no owners."""
    folders = {f"{above}/" for name in contents for above in PurePosixPath(name).parents if above.name}
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", compresslevel=9) as archive:
        for name, content in sorted({**dict.fromkeys(folders, b""), **contents}.items()):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return raw.getvalue()

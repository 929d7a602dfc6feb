"""The door of `gpuctl-collect.pyz`, which records a host on which nothing can be installed: `gpuctl collect` alone."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace
from contextlib import suppress
from importlib import import_module
from typing import List, NoReturn, Optional

from gpuctl import __version__
from gpuctl.bounds import plain
from gpuctl.command import quoted
from gpuctl.facts.collect import collect, file_name
from gpuctl.facts.gpu.driver_library import DIRECTORIES, LIBRARY
from gpuctl.facts.gpu.keeper import OPERATOR
from gpuctl.host.act.errand import proved
from gpuctl.host.act.signals import BY_SIGNAL, take_endings
from gpuctl.host.look.limits import limit_reached
from gpuctl.host.look.local import LocalHost
from gpuctl.host.look.mounted import enter
from gpuctl.host.record.archive import encode
from gpuctl.host.record.printed import printed
from gpuctl.host.write.output import FileProblem, NoPlaceForFile, is_stdout, write_new, write_whole
from gpuctl.model import ExitCode

NAME = "gpuctl-collect"
LOADED_FIRST = (
    *("gpuctl.host.look.http", "gpuctl.host.look.grpc", "gpuctl.host.look.unix", "gpuctl.host.record.redact"),
    *("gpuctl.host.write.files", "gpuctl.host.write.publish", "gpuctl.facts.every", "gpuctl.facts.docker.docker"),
    "gpuctl.facts.containerd.process",
    *("pynvml", "ruamel.yaml", "tomli"),
    *("configparser", "ctypes", "ctypes.util", "hashlib", "hmac", "tomllib"),
)
"""What is loaded where it is used, and here before there are threads: up to Python 3.9, of two that load a module from
an archive the second sees it half loaded, since zipimport's load_module marks none as being loaded (seen on 3.8.18).
And before a host's root is gone into, which has none of it."""
_LIBRARIES = tuple(
    "%s/%s" % (folder, LIBRARY)
    for folder in (
        *DIRECTORIES,
        *(OPERATOR + folder for folder in DIRECTORIES),
        *("/home/kubernetes/bin/nvidia/lib64", "/var/lib/nvidia/lib64"),  # Google's systems
    )
)
"""Where a host may have NVML's."""


def main() -> NoReturn:
    """Records this host as sys.argv asks, and ends the process; what goes wrong is one sentence on stderr."""
    asked = _parser().parse_args()
    take_endings()
    load_first()
    try:
        _record(asked)
    except KeyboardInterrupt:
        _end("interrupted.", BY_SIGNAL + 2)
    except FileProblem as problem:
        wrong_usage = asked.output is not None and isinstance(problem, NoPlaceForFile)
        _end(str(problem), ExitCode.USAGE if wrong_usage else ExitCode.PROBLEM)
    except Exception as error:
        limit = limit_reached(error)
        if limit:
            _end("it cannot go on: %s." % limit, ExitCode.UNDETERMINED)
        _end("a bug: %s: %s. Please report it." % (type(error).__name__, error), ExitCode.BUG)
    sys.exit(ExitCode.GOOD)


def recorded(logs: bool) -> bytes:
    """Returns this host's snapshot as a file, for whoever asks from another host; without `logs`, none travels."""
    _load_for_threads()
    return encode(collect(LocalHost(), __version__, time.time(), anonymise=False, logs=logs))


def smoked(options: List[str], zipapp: str, deadline: float, logs: bool) -> bytes:
    """Returns this host's snapshot with how `gpuctl smoke` ended on it, by `proved` (gpuctl/host/act/errand.py)."""
    _load_for_threads()
    told = proved(options, zipapp, deadline)
    return encode(collect(LocalHost(), __version__, time.time(), anonymise=False, logs=logs, besides=(told,)))


def load_first() -> None:
    """Loads what is loaded where it is used, before there are threads."""
    for name in LOADED_FIRST:
        with suppress(ImportError):  # tomli, which later Pythons do without, and tomllib, which earlier ones lack
            import_module(name)


def _load_for_threads() -> None:
    """Loads first what two threads must not load at once; from Python 3.10 on that does no harm, and takes its time."""
    if sys.version_info < (3, 10):
        load_first()


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Ends the run in one sentence: what it repeats may be another's words."""
        _end("%s. See --help." % message, ExitCode.USAGE)


def _parser() -> ArgumentParser:
    parser = _Parser(NAME, description="Record all that gpuctl sees of this host in one file, without secrets.")
    parser.add_argument("--version", action="version", version="gpuctl %s" % __version__)
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="the file to write, not one named after host and time; - is stdout",
    )
    parser.add_argument(
        "--anonymise", action="store_true", help="replace names, addresses and serial numbers too, each by the same"
    )
    where.add_argument(
        "--pod",
        metavar="ROOT",
        help="record the host whose root is mounted there, and print it as lines of text: gpuctl k8s collect --hosts",
    )
    return parser


def _record(asked: Namespace) -> None:
    host = _mounted(asked.pod) if asked.pod else LocalHost()
    snapshot = collect(host, __version__, time.time(), asked.anonymise)
    raw = encode(snapshot)
    if asked.pod:
        sys.stdout.write(printed(raw))
        return
    path = asked.output if asked.output is not None else file_name(snapshot)
    _write(path, raw, asked.output)
    if not is_stdout(path):
        print(
            "Wrote %s: %.0f kB. To diagnose it: gpuctl doctor --from %s" % (plain(path), len(raw) / 1000, quoted(path))
        )


def _mounted(root: str) -> LocalHost:
    try:
        return enter(root, _LIBRARIES)
    except OSError as error:
        _end("cannot go into %s: %s. It takes a privileged pod, and root." % (root, error.strerror), ExitCode.PROBLEM)


def _write(path: str, raw: bytes, named: Optional[str]) -> None:
    if named is None:  # it can be foreseen: what lies there already is somebody else's
        write_new(path, raw)
    else:
        write_whole(path, raw, private=True)


def _end(words: str, code: int) -> NoReturn:
    print("%s: %s" % (NAME, plain(words)), file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()

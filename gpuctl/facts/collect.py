"""A host recorded: every look of every probe, and the ends of the logs that tell of its GPUs."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import replace
from typing import Dict, List, Mapping, Sequence, Tuple
from urllib.parse import quote

from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.every import EVERY_SUBJECT
from gpuctl.facts.gather import Facts, gather
from gpuctl.facts.machine.logs import NEWEST_FIRST, of_gpus, unit_log
from gpuctl.host.look.deadline import DeadlineExceeded, begin, within
from gpuctl.host.look.reading import Host, Outcome, Reading
from gpuctl.host.record.aliases import Aliases
from gpuctl.host.record.archive import SIZE_LIMIT, Snapshot, fits
from gpuctl.host.record.memory import RememberingHost
from gpuctl.host.record.redact import redact
from gpuctl.host.record.snapshot import key
from gpuctl.regex import regex

HOST_NAMES = ("/proc/sys/kernel/hostname", "/etc/hostname")
OTHER_LOGS = (unit_log("crio"),)
"""What no probe looks at and a ticket may need."""
NO_LOGS = "logs were not asked for"
_KERNEL_LOG = regex(r"run:(dmesg|journalctl .*(-k|--dmesg)).*")
_OTHER_LOG = regex(r"run:journalctl .*|read:/.*/make\.log")
_LOG_LIMIT = 1 << 18
"""Characters of a log that are kept: its end."""
_LOG_DEADLINE = 5.0
_IMAGES, _IMAGES_DEADLINE = 40, 2.0


def collect(
    host: Host, gpuctl: str, at: float, anonymise: bool, logs: bool = True, besides: Sequence[Reading] = ()
) -> Snapshot:
    """Returns the host's snapshot, without secrets and at most SIZE_LIMIT bytes long as a file.

    `gpuctl` is the version that records, `at` the time in seconds since the epoch. `anonymise` also replaces the names
    of the host, its users and sites, its addresses, and serial numbers of all kinds, each always by the same.
    Without `logs` the snapshot is as that of a host that keeps none. `besides`: commands that were run before, to be
    kept with the others.
    """
    recorder = RememberingHost(host)
    others = OTHER_LOGS if logs else ()
    asked = [begin(lambda argv=argv: recorder.run(argv, _LOG_DEADLINE)) for argv in others]  # type: ignore[misc]
    facts = gather(recorder, EVERY_SUBJECT)
    for path in HOST_NAMES:
        recorder.read(path)
    with suppress(DeadlineExceeded):
        within(_IMAGES_DEADLINE, lambda: _look_at_images(recorder, facts))
    for log in asked:
        log()
    told = end_of_log if logs else without_log
    recorded = {name: told(name, reading) for name, reading in dict(recorder.readings).items()}
    recorded.update((key("run", one.source), one) for one in besides)
    readings, redacted = fit_to_leave(recorded, anonymise)
    return bounded(Snapshot(readings, at, gpuctl, anonymise, redacted))


def file_name(snapshot: Snapshot) -> str:
    """Returns the name of a file for the snapshot: the host's name, and when it was recorded, in UTC."""
    name = snapshot.readings[key("read", HOST_NAMES[0])].text.strip() if not snapshot.anonymised else ""
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(snapshot.at))
    parts = ("gpuctl", re.sub(r"[^A-Za-z0-9._-]+", "_", name), at)
    return "-".join(part for part in parts if part) + ".jsonl.gz"


def end_of_log(name: str, reading: Reading) -> Reading:
    """Returns a log's reading with its last lines, of the kernel's log those on GPUs; what is no log as it is."""
    if not _is_log(name):
        return reading
    text = reading.text
    if _KERNEL_LOG.fullmatch(name):
        text = "".join(of_gpus(text.splitlines(keepends=True)))
    last = text[:_LOG_LIMIT] if NEWEST_FIRST in name else text[-_LOG_LIMIT:]
    return replace(reading, text=last, detail=reading.detail[-_LOG_LIMIT:])


def without_log(name: str, reading: Reading) -> Reading:
    """Returns a log's reading as that of a log that is not there; what is no log as it is."""
    return Reading(reading.source, Outcome.ABSENT, detail=NO_LOGS) if _is_log(name) else reading


def _is_log(name: str) -> bool:
    return bool(_KERNEL_LOG.fullmatch(name) or _OTHER_LOG.fullmatch(name))


def _look_at_images(host: Host, facts: Facts) -> None:
    """What `check --image` asks Docker of an image, for the images that are there."""
    docker = facts.get(Docker)
    if docker and docker.endpoint.value and docker.daemon.value:
        for name in sorted(docker.daemon.value.images)[:_IMAGES]:
            host.get(docker.endpoint.value.url, "/images/%s/json" % quote(name, safe="/:@"))


def fit_to_leave(recorded: Mapping[str, Reading], anonymise: bool) -> Tuple[Dict[str, Reading], Tuple[str, ...]]:
    """Returns the readings without secrets, and what these were; where it is wished, without the host's names too."""
    readings, redacted = _without_secrets(recorded)
    return _anonymised(readings, redacted) if anonymise else (readings, redacted)


def _without_secrets(recorded: Mapping[str, Reading]) -> Tuple[Dict[str, Reading], Tuple[str, ...]]:
    readings: Dict[str, Reading] = {}
    redacted: List[str] = []
    for name, reading in sorted(recorded.items()):
        kind = name.partition(":")[0]
        source, in_source = redact("", reading.source, reading.source)
        text, in_text = redact(kind, source, reading.text)
        detail, in_detail = redact("", source, reading.detail)
        readings[key(kind, source)] = replace(reading, source=source, text=text, detail=detail)
        redacted += [*(in_text + in_detail), *(("the name of a look: a secret",) if in_source else ())]
    return readings, tuple(redacted)


def _anonymised(
    recorded: Mapping[str, Reading], redacted: Tuple[str, ...]
) -> Tuple[Dict[str, Reading], Tuple[str, ...]]:
    named = [recorded[key("read", path)].text.strip() for path in HOST_NAMES if key("read", path) in recorded]
    hosts = [name for full in named for name in (full, full.partition(".")[0])]
    aliases = Aliases(hosts, ((one.source, one.text + "\n" + one.detail) for one in recorded.values()))
    readings: Dict[str, Reading] = {}
    for name, reading in sorted(recorded.items()):
        kind = name.partition(":")[0]
        source, detail = aliases.replaced(reading.source), aliases.replaced(reading.detail)
        text = aliases.replaced(reading.text, keep_length=kind == "call")
        readings[key(kind, source)] = replace(reading, source=source, text=text, detail=detail)
    for name in readings.keys() & {key("read", path) for path in HOST_NAMES}:
        # One that is too common to be replaced elsewhere is none to tell either.
        readings[name] = replace(readings[name], text="host-1\n")
    return readings, tuple(map(aliases.replaced, redacted))


def bounded(snapshot: Snapshot, limit: int = SIZE_LIMIT) -> Snapshot:
    """Returns the snapshot without its longest readings, as many as are too many for a file of `limit` bytes."""
    longest = sorted(snapshot.readings, key=lambda name: -len(snapshot.readings[name].text))
    few, many = 0, 0 if fits(snapshot, limit) else len(longest)
    while few < many:  # by halves: each look packs the whole
        middle = (few + many) // 2
        few, many = (few, middle) if fits(_without(snapshot, longest[:middle]), limit) else (middle + 1, many)
    return _without(snapshot, longest[:few])


def _without(snapshot: Snapshot, names: List[str]) -> Snapshot:
    gone = frozenset(names)
    kept = {name: reading for name, reading in snapshot.readings.items() if name not in gone}
    return replace(snapshot, readings=kept, left_out=(*snapshot.left_out, *names))

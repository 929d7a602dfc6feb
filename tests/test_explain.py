"""Error text becomes its cause, whatever is around it; the host decides where the text cannot."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from coats import COATS
from hypothesis import given, settings
from hypothesis import strategies as some
from test_checks import ILL

from gpuctl.checks.every import CHECKS, diagnose
from gpuctl.compat.knowledge.errors.failures import LAYERS, families, written
from gpuctl.diagnose.answer import Confidence, Match, matches
from gpuctl.diagnose.behind import behind
from gpuctl.diagnose.scan import BLOCK, EVIDENCE, OVERLAP, Sighting, scan
from gpuctl.diagnose.signatures import signatures
from gpuctl.facts.gather import gather

DATA = Path(__file__).parent / "data"
TABLES = Path(__file__).parents[1] / "data"
NO_DRIVER = 'could not select device driver "" with capabilities: [[gpu]]'
NO_SMI = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."


def lines_of(name: str) -> list[tuple[str, str]]:
    rows = map(json.loads, (DATA / f"{name}.jsonl").read_text().splitlines())
    return [(row["family"], row["text"]) for row in rows]


def found(text: str | bytes) -> tuple[Match, ...]:
    return matches(scan(io.BytesIO(text.encode() if isinstance(text, str) else text)))


def ids(text: str | bytes) -> list[str]:
    return [match.family.id for match in found(text)]


def by_confidence(text: str) -> dict[str, Confidence]:
    return {match.family.id: match.confidence for match in found(text)}


# What is recognised


@pytest.mark.slow
@pytest.mark.parametrize("coat", COATS)
def test_every_family_is_recognised_in_every_coat(coat: str) -> None:
    seen = {family: ids(COATS[coat](line))[:1] for family, line in lines_of("canonical")}
    assert seen == {family: [family] for family in written()}


@pytest.mark.parametrize(("family", "line"), lines_of("variants"), ids=[family for family, _ in lines_of("variants")])
def test_other_wordings_are_recognised(family: str, line: str) -> None:
    assert ids(line)[:1] == [family]


def real(name: str) -> list[dict[str, str]]:
    """Texts that were collected from reports by somebody who had not seen the signatures.

    `beyond` says why one is not recognised rightly.
    """
    rows: list[dict[str, str]] = [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text().splitlines()]
    return [row for row in rows if "beyond" not in row]


@pytest.mark.parametrize("row", real("wordings"), ids=lambda row: row["family"])
def test_real_reports_are_recognised_or_get_the_candidates_that_share_their_text(row: dict[str, str]) -> None:
    seen = ids(row["text"])
    assert seen and seen[0] in row.get("candidates", row["family"])


@pytest.mark.parametrize("row", real("other_errors"), ids=lambda row: row["source"].rpartition("/")[2])
def test_real_errors_of_other_kinds_are_none_of_these_families(row: dict[str, str]) -> None:
    assert ids(row["text"])[:1] == ([row["found"]] if "found" in row else [])


def test_few_real_reports_are_beyond_the_signatures() -> None:
    beyond = [
        line for name in ("wordings", "other_errors") for line in (DATA / f"{name}.jsonl").open() if "beyond" in line
    ]
    assert len(beyond) <= 7 and len(real("wordings")) >= 220


@pytest.mark.parametrize("text", ["", "\n", "Hello from Docker!", "nvidia docker gpu error failed", "x" * 3_000_000])
def test_nothing_is_recognised_where_nothing_is(text: str) -> None:
    assert ids(text) == []


def test_a_core_line_that_another_one_holds_is_not_told_as_well() -> None:
    assert ids('could not select device driver "cdi" with capabilities: []') == ["cdi-feature-off-in-docker"]
    assert ids("ldcache error: process /sbin/ldconfig terminated with signal 9") == ["ldconfig-killed"]


def test_a_line_that_only_one_family_has_is_certain_and_others_are_candidates_with_the_command_that_tells() -> None:
    assert by_confidence("driver rpc error: timed out") == {"driver-init-timeout": Confidence.CERTAIN}
    assert by_confidence(NO_DRIVER) == {
        "no-gpu-device-driver": Confidence.LIKELY,
        "no-nvidia-gpu-in-host": Confidence.POSSIBLE,
        "docker-from-snap": Confidence.POSSIBLE,
        "docker-desktop-on-linux": Confidence.POSSIBLE,
    }
    assert all(match.family.look for match in found(NO_DRIVER))


def test_words_nearby_make_a_candidate_the_likelier_one() -> None:
    assert ids(f"+ /snap/bin/docker run --gpus all\n{NO_DRIVER}")[0] == "docker-from-snap"
    assert ids(f"$ dkms status\n{NO_SMI}")[0] == "module-build-failed"


def test_another_line_decides_between_candidates() -> None:
    text = f"modprobe: ERROR: could not insert 'nvidia': Key was rejected by service\n{NO_SMI}"
    assert by_confidence(text) == {"secure-boot-blocks-module": Confidence.CERTAIN}


def test_of_several_faults_causes_come_before_their_consequences_and_lower_layers_first() -> None:
    log = "\n".join(
        (
            "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
            "If this is a GPU node, did you configure the NVIDIA Container Toolkit?",
            "nvidia-container-cli: initialization error: nvml error: driver not loaded: unknown",
            "Error! Bad return status for module build on kernel: 6.5.0-14-generic (x86_64)",
            "This might be caused by insufficient shared memory (shm).",
        )
    )
    assert ids(log) == [
        "module-build-failed",
        "shm-too-small",
        "k8s-plugin-incompatible-platform",
        "nvml-driver-not-loaded",
        "k8s-insufficient-gpu",
    ]


# What the host decides


@pytest.mark.parametrize(
    ("line", "illness", "family"),
    [
        (NO_DRIVER, "hardware.gpu-present", "no-nvidia-gpu-in-host"),
        (NO_DRIVER, "docker.kind", "docker-from-snap"),
        (NO_DRIVER, "toolkit.installed", "no-gpu-device-driver"),
        (NO_DRIVER, "registration.restart-needed", "no-gpu-device-driver"),
        (NO_SMI, "kernel.secure-boot", "secure-boot-blocks-module"),
        (NO_SMI, "kernel.nouveau", "nouveau-owns-gpu"),
        (NO_SMI, "kernel.module-built", "driver-module-not-loaded"),
        ("CUDA error 999: unknown error", "kernel.uvm-loaded", "nvidia-uvm-missing"),
        ("Failed to initialize NVML: Insufficient Permissions", "driver.device-permissions", "device-node-permissions"),
    ],
)
def test_the_host_decides_between_families_with_one_message(line: str, illness: str, family: str) -> None:
    report = diagnose(gather(ILL[illness]))
    (match,) = matches(scan(io.BytesIO(line.encode())), report)
    assert (match.family.id, match.confidence) == (family, Confidence.CERTAIN)
    assert match.here and match.here.id == illness
    assert match.here.remedy is None or match.remedies[0] == match.here.remedy


def test_a_host_that_is_well_leaves_the_candidates() -> None:
    report = diagnose(gather(ILL["driver.branch-supported"]))
    told = matches(scan(io.BytesIO(NO_DRIVER.encode())), report)
    assert [match.confidence for match in told] == [Confidence.LIKELY, *[Confidence.POSSIBLE] * 3]


def test_of_what_is_found_behind_a_symptom_what_this_host_has_comes_first_and_says_so() -> None:
    seen = scan(io.BytesIO(b"RuntimeError: CUDA unknown error"))
    elsewhere = [match.family.id for match in behind(matches(seen))]
    report = diagnose(gather(ILL["toolkit.no-cgroups"]))
    shown = matches(seen, report)
    first, *others = behind(shown, report)
    assert (first.family.id, first.here and first.here.id) == ("no-cgroups-true-on-rootful", "toolkit.no-cgroups")
    assert elsewhere[:3] == [match.family.id for match in others[:3]] and first.family.id not in elsewhere[:1]


# Logs of any length


class Endless(io.RawIOBase):
    """A log that is made while it is read: `blocks` times the same lines, and then one more line."""

    def __init__(self, lines: bytes, blocks: int, last: bytes) -> None:
        self._pieces: Iterator[bytes] = iter((*(lines for _ in range(blocks)), last))
        self.longest = 0

    def read(self, size: int = -1) -> bytes:
        self.longest = max(self.longest, size)
        return next(self._pieces, b"")


@pytest.mark.slow
def test_a_long_log_is_read_in_pieces_and_its_lines_are_counted_rightly() -> None:
    lines = b"level=info msg=ok\n" * 10_000
    scan(Endless(lines, 2, b""))  # type: ignore[arg-type]
    log = Endless(lines, 100, NO_DRIVER.encode())
    tracemalloc.start()
    (sighting,) = scan(log)  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (sighting.line, sighting.text) == (1_000_001, NO_DRIVER)
    assert log.longest == BLOCK
    assert peak < 16 * BLOCK


@pytest.mark.parametrize("before", range(BLOCK - len(NO_DRIVER) - 1, BLOCK + 1, 7))
def test_a_line_that_lies_between_two_pieces_is_seen_once(before: int) -> None:
    text = b"x" * 40 + b"\n" + b"y" * (before - 41) + b"\n" + NO_DRIVER.encode() + b"\nlast\n" + b"z\n" * OVERLAP
    seen = scan(io.BytesIO(text))
    assert [(sighting.line, sighting.text) for sighting in seen] == [(3, NO_DRIVER)]


def test_a_line_without_end_shows_what_is_around_the_place() -> None:
    (sighting,) = scan(io.BytesIO(b"a" * BLOCK * 3 + b" %s " % NO_DRIVER.encode() + b"b" * BLOCK))
    assert sighting.line == 1
    assert NO_DRIVER in sighting.text
    assert len(sighting.text) < 500


def test_what_repeats_is_told_a_few_times_only() -> None:
    (sightings,) = {len(scan(io.BytesIO(f"{NO_DRIVER}\n".encode() * 20_000)))}
    assert sightings == EVIDENCE


# Hostile text


@settings(deadline=None)
@given(some.binary(max_size=3000), some.sampled_from(lines_of("canonical")))
def test_no_bytes_around_a_line_hide_it_or_break_anything(junk: bytes, known: tuple[str, str]) -> None:
    family, line = known
    assert family in ids(junk + b"\n" + line.encode() + b"\n" + junk)


@settings(deadline=None)
@given(some.binary() | some.text(alphabet="\\x1b[]#03u;:mnrt\"'&|{}0123456789,M\x1b\x07\n").map(str.encode))
def test_any_bytes_are_read_to_their_end(junk: bytes) -> None:
    for sighting in scan(io.BytesIO(junk)):
        assert isinstance(sighting, Sighting)


HOSTILE = {
    "backslashes": b"\\",
    "escapes": b"\x1b]",
    "unfinished escapes": b"\x1b[0;",
    "syslog's escapes": b"#033]",
    "numbers": b"MESSAGE[1,",
    "entities": b"&#1",
    "beginnings of one core": b"xid",
    "beginnings with a gap": b"unable to configure the Docker daemon with file ",
    "no letters": b"\0",
    "lines": b"\n",
    "one core": b"conflicting device ",
    "all cores": "\n".join(core for family in families().values() for core in family.cores).encode(),
}


@pytest.mark.slow
@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_text_of_a_megabyte_tells_no_more_than_there_are_families(piece: str) -> None:
    text = HOSTILE[piece] * (1_000_000 // len(HOSTILE[piece]))
    assert len(scan(io.BytesIO(text))) <= EVIDENCE * len(signatures())


# The table


def test_every_family_of_the_reference_has_a_row_and_what_it_names_is_there() -> None:
    known = families()
    assert {family for family, _ in lines_of("canonical")} <= set(known)
    for family in known.values():
        assert set(family.checks) <= set(CHECKS), family.id
        assert bool(family.check_says) <= bool(family.checks), family.id
    schema = json.loads((TABLES / "schemas" / "tables" / "failures.schema.json").read_text())
    assert schema["properties"]["layer"]["enum"] == list(LAYERS)
    assert list(known) == [family.id for family in sorted(known.values(), key=lambda one: LAYERS.index(one.layer))]


def test_families_with_one_message_say_what_tells_them_apart() -> None:
    alike: Mapping[str, None] = dict.fromkeys(
        id for signature in signatures() if len(signature.families) > 1 for id in signature.families
    )
    silent = [id for id in alike if not (families()[id].look and families()[id].tells_apart)]
    assert silent == []


def test_every_core_line_has_letters_enough_to_mean_something() -> None:
    assert [signature.pieces for signature in signatures() if signature.letters < 5] == []
    assert [signature.pieces for signature in signatures() if min(map(len, signature.pieces)) < 3] == []


def test_the_settings_of_this_host_decide_why_a_container_may_not_open_its_gpus() -> None:
    """Both families say `Failed to initialize NVML: Unknown Error` in the container."""
    text = "Failed to initialize NVML: Unknown Error"
    seen = scan(io.BytesIO(text.encode()))
    undecided = [match.family.id for match in matches(seen)]
    assert {"container-lost-gpu-systemd-reload", "no-cgroups-true-on-rootful"} <= set(undecided)
    for check, family in (
        ("outlook.daemon-reload", "container-lost-gpu-systemd-reload"),
        ("toolkit.no-cgroups", "no-cgroups-true-on-rootful"),
    ):
        decided = matches(seen, diagnose(gather(ILL[check])))
        assert (decided[0].family.id, decided[0].confidence) == (family, Confidence.CERTAIN), check

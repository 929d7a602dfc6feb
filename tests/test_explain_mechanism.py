"""`gpuctl explain` goes by what a line says, not by its wording: certainty is earned, and numbers come from tables."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path

import pytest

from gpuctl.compat.knowledge.errors.codes import codes
from gpuctl.compat.knowledge.errors.cuda import cuda_errors
from gpuctl.compat.knowledge.errors.failures import Family, families, written
from gpuctl.compat.knowledge.errors.faults import xids
from gpuctl.compat.knowledge.errors.nvml import nvml_errors
from gpuctl.compat.knowledge.errors.symptoms import causes_behind, symptoms
from gpuctl.diagnose.answer import Confidence, Match, matches
from gpuctl.diagnose.behind import IN_ALL, MOST, behind
from gpuctl.diagnose.explained import explained
from gpuctl.diagnose.family_terms import FILE, family_terms, made
from gpuctl.diagnose.family_terms import text as text_of_terms
from gpuctl.diagnose.resembling import resembling
from gpuctl.diagnose.scan import scan
from gpuctl.diagnose.signatures import Strength, signatures
from gpuctl.diagnose.terms import terms
from gpuctl.host.look.reading import Host
from gpuctl.host.record.archive import decode

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
DATA = ROOT / "tests" / "data"
LABELLED = ("canonical", "variants", "wordings", "other_errors", "programs", "blind")


def found(text: str) -> tuple[Match, ...]:
    return matches(scan(io.BytesIO(text.encode())))


def ids(text: str) -> list[str]:
    return [match.family.id for match in found(text)]


def answered(text: str) -> list[str]:
    """All that is told of a text: what it shows, then what it resembles."""
    told = explained(io.BytesIO(text.encode()), None, lambda _: nullcontext())
    return [match.family.id for match in told.matches]


def commands(text: str, host: Callable[[], Host] | None = None) -> list[str]:
    """The commands of what a text shows, of those of its families and of the doctor's."""
    told = explained(io.BytesIO(text.encode()), host, lambda _: nullcontext())
    return [str(one) for match in told.matches for remedy in match.remedies for one in remedy.commands]


def certain(text: str) -> set[str]:
    return sure_of(found(text))


def sure_of(told: Iterable[Match]) -> set[str]:
    return {match.family.id for match in told if match.confidence is Confidence.CERTAIN}


def texts() -> Iterator[tuple[str, set[str]]]:
    """All texts of tests/data, each with the families that it may be of."""
    for name in LABELLED:
        for row in map(json.loads, (DATA / f"{name}.jsonl").read_text().splitlines()):
            named = (row.get("family"), row.get("found"), row.get("cause"))
            yield row["text"], {id for id in (*named, *row.get("candidates", ()), *row.get("also", ())) if id}


def said(family: Family) -> Iterator[str]:
    """The core lines of a family that are words."""
    yield from (core for core in family.known_by if not core.startswith("@"))


# Certainty is earned


def test_no_text_of_another_family_or_of_another_error_holds_a_line_that_leaves_no_other_cause() -> None:
    """Each such line is held against every text."""
    wrong = [
        (seen.families, text)
        for text, own in texts()
        for seen in scan(io.BytesIO(text.encode()))
        if seen.strength is Strength.SURE and not own.intersection(seen.families)
    ]
    assert wrong == []


def test_nothing_is_certain_of_a_text_that_is_of_another_family() -> None:
    assert [(text, certain(text), own) for text, own in texts() if certain(text) - own] == []


@pytest.mark.parametrize("family", [one for one in families().values() if one.sure], ids=lambda one: one.id)
def test_a_line_that_leaves_no_other_cause_says_why_and_is_certain_alone(family: Family) -> None:
    assert family.excludes.endswith(".")
    for core in family.sure:
        text = core.replace("*", "x1")
        assert certain(text) == {family.id}, core
        assert ids(text)[0] == family.id, core


def test_a_line_that_leaves_no_other_cause_is_of_one_family() -> None:
    shared = [one for one in signatures() if one.strength is Strength.SURE and len(one.families) > 1]
    assert shared == []


def test_one_owner_is_no_proof() -> None:
    """Many lines have one family only, because no other is known to say them; that alone makes nothing certain."""
    alone = [one for one in families().values() if one.cores and not one.sure]
    assert len(alone) > 60
    for family in alone:
        for core in family.cores:
            if not core.startswith("@"):
                assert family.id not in certain(core.replace("*", "x1")), core


# Lines that are cut, said otherwise, or wrapped


def _cut(before: int, after: int) -> Callable[[str], str]:
    def mutate(text: str) -> str:
        first, last = len(text) * before // 100, len(text) - len(text) * after // 100
        return text[first:last]

    return mutate


MUTATIONS: dict[str, Callable[[str], str]] = {
    "its beginning is gone": _cut(20, 0),
    "its end is gone": _cut(0, 20),
    "both ends are gone": _cut(12, 12),
    "no colons": lambda text: text.replace(":", ""),
    "other punctuation": lambda text: text.translate(str.maketrans(":,.-", "-;  ")),
    "broken into short lines": lambda text: "\n".join(text[start : start + 17] for start in range(0, len(text), 17)),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_changed_core_line_keeps_its_family_or_is_silent_and_never_makes_another_one_certain(mutation: str) -> None:
    owners: dict[str, set[str]] = {}
    for family in families().values():
        for core in said(family):
            owners.setdefault(core, set()).add(family.id)
    count: Counter[str] = Counter()
    for core, own in owners.items():
        text = MUTATIONS[mutation](core.replace("*", "x1"))
        told = found(text)
        assert sure_of(told) <= own, text
        seen = {match.family.id for match in told}
        count["kept" if seen & own else "another" if seen else "silent"] += 1
    assert count["another"] <= len(owners) // 50, count
    if mutation == "broken into short lines":
        assert set(count) == {"kept"}


def test_a_text_that_is_cut_off_within_a_core_line_is_recognised_but_not_certain() -> None:
    whole = 'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].'
    assert ids(whole[: whole.index(" with")])[0] == "no-gpu-device-driver"
    assert ids("requirement error: unsatisfied condi") == ["cuda-requirement-unsatisfied"]
    assert certain("requirement error: unsatisfied condi") == set()
    assert ids("requirement error") == []


# One body of knowledge


def assert_known_as(key: str, told: str) -> None:
    """Checks that a text is understood as the error of that key."""
    first = found(told)[:1]
    assert first, told
    known = first[0].family.known_by
    assert f"@{key}" in known or any(one in known for one in codes()[key].wordings), (told, first[0].family.id)


@pytest.mark.parametrize("number", xids())
def test_every_xid_of_the_table_is_known_however_it_is_logged(number: int) -> None:
    for told in (
        f"NVRM: Xid (PCI:0000:1b:00): {number}, pid='<unknown>', name=<unknown>, something happened",
        f"Nov 25 10:00:01 host kernel: NVRM: Xid (0000:1b:00): {number}, Ch 00000001",
        f"nvidia-smi is slow; dmesg has XID error {number} many times",
        f"GPU0 health: critical Xid={number}",
    ):
        assert_known_as(f"xid {number}", told)


@pytest.mark.parametrize(
    ("line", "gpu_reset"),
    [
        ("NVRM: Xid (PCI:0000:65:00): 94, pid=1234, name=python, Contained: CE User Channel (0x9). RST: No", True),
        ("NVRM: Xid (PCI:0000:9b:00): 94, pid=1234, name=python3, Contained ECC error", True),
        ("NVRM: Xid (PCI:0000:10:1c): 63, Row Remapper: New row marked for remapping, reset gpu to activate.", True),
        ("NVRM: Xid (PCI:0000:3b:00): 63, Dynamic Page Retirement: New page retired, reload the driver", True),
        ("NVRM: Xid (PCI:0000:3b:00): 64, Row Remapper: Fatal error, unable to remap row", True),
        ("NVRM: Xid (PCI:0000:3b:00): 95, pid=7, name=python3, Uncontained: LTC TAG", True),
        ("NVRM: Xid (PCI:0000:3b:00): 48, pid=7, An uncorrectable double bit error (DBE) has been detected", True),
        ("NVRM: Xid (PCI:0000:3b:00): 140, Uncorrectable ECC", True),
        ("NVRM: Xid (PCI:0000:3b:00): 92, High single-bit ECC error rate", False),
        ("NVRM: Xid (PCI:0000:3b:00): 171, Uncorrectable DRAM error", False),
    ],
)
def test_an_error_of_the_gpus_memory_is_no_fault_of_the_program(line: str, gpu_reset: bool) -> None:
    match, *_ = found(line)
    told = " ".join(map(str, (one for remedy in match.remedies for one in remedy.commands)))
    assert ("compute-sanitizer" in told, "--gpu-reset" in told) == (False, gpu_reset)
    assert match.family.layer == "hardware"
    assert match.remedies[0].text.startswith("Look for the Xids beside it") == ("DRAM" in line)


def test_xid_169_speaks_of_the_wrong_module_only_where_the_gpu_did_not_start() -> None:
    halted = "NVRM: Xid (PCI:000f:01:00): 169, fd8cd000 94000000"
    assert ids(halted) == ["xid-169"]
    assert ids(f"{halted}\nNVRM: GPU 000f:01:00.0: RmInitAdapter failed! (0x62:0x1a:2631)")[0] != "xid-169"
    assert "open-kernel-module-required" in ids(f"{halted}\nNVRM: GPU 000f:01:00.0: RmInitAdapter failed! (0x62)")


def test_xid_is_the_end_of_other_words_too() -> None:
    assert ids("postgres: oldest txid 79, next txid: 48; backend_xid=31") == []


@pytest.mark.parametrize("code", cuda_errors())
def test_every_cuda_error_is_known_by_number_by_name_and_by_text(code: int) -> None:
    row = cuda_errors()[code]
    for told in (
        f"CUDA error {code}",
        f"cuInit returned {code}",
        f"cudaGetDeviceCount failed with error: {code}",
        f"cuDriverGetVersion(): {code}",
        f'level=INFO msg="unable to load cuda driver library" error="nvcuda init failure: {code}"',
        f"Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before? Error {code}: it failed",
        f"CUDA failed to initialize.  GPU functionality will not be available.\n   [[ It failed (error {code}) ]]",
        f"rc = {row.name}",
        f"RuntimeError: CUDA error: {row.text}",
    ):
        assert_known_as(f"cuda {code}", told)


@pytest.mark.parametrize("code", nvml_errors())
def test_every_nvml_error_is_known_by_number_by_name_and_by_text(code: int) -> None:
    row = nvml_errors()[code]
    for told in (
        f"nvmlInit_v2() returned {code}",
        f"could not initialize NVML: ERROR_{row.name}",
        f"Failed to initialize NVML: {row.text}",
    ):
        assert_known_as(f"nvml {code}", told)


def test_each_code_that_a_row_refers_to_is_in_a_table_or_an_xid() -> None:
    referred = {core[1:] for family in families().values() for core in family.known_by if core.startswith("@")}
    assert {key for key in referred if not key.startswith("xid ")} <= set(codes())


def test_cells_of_nvidia_smi_are_errors_as_well() -> None:
    row = "|   0  NVIDIA A100-SXM4-40GB          On  | 00000000:07:00.0 Off |                 ERR! |"
    assert ids(f"{row}\n| N/A  ERR!   P0             ERR! / 400W |      0MiB / 40960MiB |     ERR!      Default |")
    lost = "Unable to determine the device handle for GPU0000:3B:00.0: GPU is lost.  Reboot the system to recover"
    assert ids(lost)[0] == "xid79-off-the-bus"


# What stands around a cause is none


@pytest.mark.parametrize(
    "around",
    [
        "docker: Error response from daemon: failed to create task for container: failed to create shim task: OCI "
        "runtime create failed: runc create failed: unable to start container process: error during container init: "
        "error running prestart hook #0: exit status 1, stderr: Auto-detected mode as 'legacy'\nLINE: unknown",
        "OCI runtime create failed: could not apply required modification to OCI specification: error modifying OCI "
        "spec: failed to inject CDI devices: LINE",
        "slurmstepd: error: pyxis: container start failed with error code: 1\nslurmstepd: error: pyxis: [ERROR] LINE\n"
        "slurmstepd: error: pyxis: [ERROR] /etc/enroot/hooks.d/98-nvidia.sh exited with return code 1",
        "FATAL:   container creation failed: LINE",
        "Warning  Failed  2s (x3 over 20s)  kubelet  Error: failed to create containerd task: LINE",
        'Error response from daemon: LINE\nservice "app" didn\'t complete successfully',
    ],
)
def test_wrappers_are_peeled_and_the_cause_stays(around: str) -> None:
    for line, family in (
        ("nvidia-container-cli: initialization error: driver rpc error: timed out", "driver-init-timeout"),
        ("nvidia-container-cli: ldcache error: process /sbin/ldconfig terminated with signal 9", "ldconfig-killed"),
        ("nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.9", "cuda-requirement-unsatisfied"),
    ):
        assert ids(around.replace("LINE", line))[0] == family


@pytest.mark.parametrize(
    ("text", "family"),
    [
        # A line that names a file, a device or a number, and what follows from it.
        (
            "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.\nNo devices were found\nRuntimeError: No CUDA "
            "GPUs are available",
            "xid79-off-the-bus",
        ),
        (
            "error mounting \"/usr/lib64/libcuda.so.550.54.14\" to rootfs at \"/usr/lib64/libcuda.so.550.54.14\": "
            "no such file or directory\nfailed to start container",
            "cdi-driver-file-missing",
        ),
        (
            "RuntimeError: CUDA error: an illegal memory access was encountered\nProcess group watchdog thread "
            "terminated with exception: NCCL error: unhandled cuda error",
            "cuda-700",
        ),
    ],
)  # fmt: skip
def test_what_names_a_file_a_device_or_a_number_comes_before_what_follows_from_it(text: str, family: str) -> None:
    assert ids(text)[0] == family


REPORTED = {
    "F7: runc": (
        'error mounting "/usr/lib64/libEGL_nvidia.so.580.10.01" to rootfs at "/usr/lib64/libEGL_nvidia.so.580.10.01": '
        "mount src=..: no such file or directory",
        "cdi-driver-file-missing",
    ),
    "F7: crun": (
        "Error: crun: cannot stat `/usr/lib64/libcuda.so.550.54`: No such file or directory: OCI runtime attempted to "
        "invoke a command that was not found",
        "cdi-driver-file-missing",
    ),
    "F7: containerd": (
        'failed to create containerd task: failed to stat "/usr/bin/nvidia-persistenced": stat '
        "/usr/bin/nvidia-persistenced: no such file or directory",
        "cdi-driver-file-missing",
    ),
    "F9: fabric manager's socket": (
        "nvidia-container-cli: detection error: path error: ///var/run/nvidia-fabricmanager/socket: permission denied",
        "toolkit-file-permission",
    ),
    "F10: what Xid 154 asks for": (
        "NVRM: Xid (PCI:0000:1b:00): 154, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)",
        "xid-154",
    ),
    "E1: runc in LXC": (
        "open sysctl net.ipv4.ip_unprivileged_port_start file: reopen fd 8: permission denied",
        "runc-procfs-in-lxc",
    ),
    "E2: containerd's version": (
        "containerd: expected containerd config version equal to or less than `2`, got `3`",
        "containerd-config-version",
    ),
    "E3: vGPU": ("CUDA error: device doesn't have valid Grid license", "vgpu-unlicensed"),
    "E4: a version that is gone": (
        "E: Version '535.54.03-1' for 'nvidia-driver-535' was not found",
        "pinned-package-gone",
    ),
    "E5: two packagings": (
        "package nvidia-driver-3:550.54 conflicts with xorg-x11-drv-nvidia provided by",
        "dnf-driver-conflict",
    ),
    "E6: no ld.so.cache": ("error loading ldcache: open /etc/ld.so.cache: no such file or directory", "no-ld-cache"),
    "Ollama": ('level=error msg="Unable to load cudart library: init failure: 3"', "cuda-3"),
    "Apptainer": ("INFO:    Could not find any nv files on this host!", "apptainer-no-nv-files"),
    "pyxis": (
        "slurmstepd: error: pyxis:     [ERROR] Command not found: nvidia-container-cli, see https://x.example",
        "runtime-binary-missing",
    ),
}


@pytest.mark.parametrize("name", REPORTED)
def test_what_was_reported_as_not_recognised_is_recognised(name: str) -> None:
    text, family = REPORTED[name]
    assert ids(text)[0] == family


# Texts in which no core line stands


def _nearest(text: str) -> tuple[str, ...]:
    return tuple(match.family.id for match in resembling(text.encode()))


def test_a_text_of_known_words_in_another_order_shows_no_failure_and_resembles_its_own() -> None:
    near = []
    for family in families().values():
        for core in islice(said(family), 2):
            text = " ".join(reversed(core.replace("*", "").split()))
            if len(terms(core)) > 2 and not ids(text) and _nearest(f"nvidia {text}"):
                near.append(family.id in _nearest(f"nvidia {text}"))
    assert len(near) > 100
    assert sum(near) > 0.85 * len(near)


def test_what_a_text_resembles_is_never_more_than_a_hint() -> None:
    text = "nvidia said: Tuesday is gres records day, duplicate fatal"
    assert ids(text) == []
    assert {match.confidence for match in resembling(text.encode())} == {Confidence.RESEMBLING}


@pytest.mark.parametrize(
    "text", ["", "no such file or directory: /etc/hosts", "gpu", "\x00\xff nvidia", "nvidia " * 9999]
)
def test_a_text_of_another_field_or_without_telling_words_resembles_nothing(text: str) -> None:
    assert _nearest(text) == ()


def test_a_text_without_a_word_of_gpus_is_of_this_field_where_it_has_a_name_of_it() -> None:
    assert "compose-too-old-for-gpu" in _nearest("error: device_requests is not a known parameter")
    assert _nearest("error: person_requests is not a known parameter") == ()


@pytest.mark.parametrize(
    ("one", "other", "meaning"),
    [
        ("Couldn't open it: ENOENT", "die Datei wurde nicht gefunden", "missing?"),
        ("libcuda.so.1", "/usr/bin/ld: cannot find -lcuda", "driver-library?"),
        ("libcublasLt.so.12", "a cuBLAS handle", "cublas?"),
        ("undefined symbol: cuModuleGetFunction", "cuCtxCreate_v2 failed", "driver-function?"),
        ("ImportError: x.so: undefined symbol: _ZN3c104cuda9SetDeviceEa", "flash_attn and another torch", "extension?"),
        ("找不到该文件", "No such file or directory", "missing?"),
    ],
)
def test_what_is_said_in_other_words_means_the_same(one: str, other: str, meaning: str) -> None:
    assert meaning in terms(one) & terms(other)


def test_a_phrase_that_is_not_whole_means_nothing() -> None:
    assert "missing?" not in terms("no such luck, and the file is or the directory")
    assert "missing?" not in terms("no such")


def test_errors_that_have_a_number_and_no_more_are_named_once_among_what_a_text_resembles() -> None:
    near = _nearest("cuda error: invalid context or invalid handle or invalid image of the driver")
    assert sum(bool(re.fullmatch(r"(cuda|nvml|xid)-\d+", id)) for id in near) <= 1


def test_a_text_is_said_to_resemble_three_failures_at_most() -> None:
    told = _nearest(
        "CUDA GPU driver library not found in the nvidia container, no such device, permission denied, module"
    )
    assert len(told) == 3


def test_the_terms_of_families_that_are_kept_are_those_of_the_tables() -> None:
    kept = (ROOT / "data" / FILE).read_text(encoding="utf-8")
    assert kept == text_of_terms(), "run data/build_family_terms.py"
    assert family_terms() == made()


def test_other_tables_have_other_terms_whatever_is_kept(tmp_path: Path) -> None:
    """Laid over gpuctl's own, in a process of its own: a word that only the new row has finds its family."""
    rows = (ROOT / "data" / "family_words.jsonl").read_text().splitlines()
    row = {"family": "shm-too-small", "told_as": ["quuxification of the grault nvidia"], "source": "https://x.example"}
    (tmp_path / "family_words.jsonl").write_text(
        "\n".join([*(one for one in rows if "shm-too" not in one), json.dumps(row)])
    )
    script = (
        "import sys; from pathlib import Path; from gpuctl.compat.tables.loader import put_over;"
        "folder = Path(sys.argv[1]); put_over(folder, {'family_words': (folder / 'family_words.jsonl').read_text()});"
        "from gpuctl.diagnose.resembling import resembling;"
        "print([one.family.id for one in resembling(b'nvidia: quuxification, grault')])"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['shm-too-small']"


def test_what_a_text_shows_is_not_told_again_as_what_it_resembles_and_is_never_more_than_five_with_it() -> None:
    text = "Failed to initialize NVML: Unknown Error. slurm gres gpu count, no CUDA GPUs are available, libcuda.so.1"
    told = answered(text)
    assert len(told) == len(set(told)) and told[: len(ids(text))] == ids(text)
    assert len(told) <= max(5, len(ids(text)))


# What else is found behind a symptom, whose line does not hold its cause


def _behind(text: str) -> list[str]:
    return [match.family.id for match in explained(io.BytesIO(text.encode()), None, lambda _: nullcontext()).behind]


@pytest.mark.parametrize(
    ("text", "causes"),
    [
        ("NVIDIA-SMI has failed because it couldn't communicate", {"driver-library-mismatch", "dnf-driver-conflict"}),
        ("Failed to initialize NVML: Unknown Error", {"driver-library-mismatch", "container-before-driver-update"}),
        ("RuntimeError: No CUDA GPUs are available", {"visible-devices-hide-gpu", "cpu-only-build"}),
        ("libcuda.so.1: cannot open shared object file", {"driver-part-not-installed", "no-gpu-device-driver"}),
        ("RuntimeError: CUDA unknown error", {"driver-library-mismatch", "device-node-permissions"}),
        ("Insufficient nvidia.com/gpu", {"k8s-plugin-incompatible-platform", "k8s-plugin-lost-registration"}),
        ("0/3 nodes are available: Insufficient nvidia.com/gpu", {"nfd-labels-missing", "k8s-pod-before-driver"}),
        ("libcuda.so.1: cannot open shared object file", {"podman-passes-gpus-over", "musl-image"}),
        ("waiting for nvidia container stack to be setup", {"k8s-pod-before-driver", "nfd-labels-missing"}),
        ("NCCL WARN unhandled system error", {"rdma-not-in-container"}),
        ("Additional property devices is not allowed", {"podman-passes-gpus-over", "cdi-podman-too-old"}),
        ('no runtime for "nvidia" is configured', {"operator-waits", "containerd-dropin-wrong-dir"}),
        ("ncclInternalError: Internal check failed", {"shm-too-small", "peer-access-broken"}),
        ("CUBLAS_STATUS_NOT_INITIALIZED", {"cuda-2", "no-kernel-image-209"}),
        ("nvidia: Allocatable 0 of the gpus", {"k8s-plugin-incompatible-platform"}),
    ],
)
def test_the_causes_that_people_found_behind_a_symptom_are_named_beside_what_its_line_tells(
    text: str, causes: set[str]
) -> None:
    assert causes <= set(_behind(text))
    assert not set(_behind(text)).intersection(answered(text))


def test_behind_a_symptom_stand_those_that_mended_most_often_first_and_no_more_than_fit_on_a_screen() -> None:
    for symptom in symptoms():
        for id in symptom.shown_by:
            shown = (Match(families()[id], Confidence.LIKELY, ()),)
            told = [match.family.id for match in behind(shown)]
            of_it = [cause for cause in symptom.causes if cause in told]
            assert len(told) <= MOST and id not in told and of_it == sorted(of_it, key=symptom.causes.index)


@pytest.mark.parametrize(
    ("symptom", "around", "cause"),
    [
        ("No CUDA GPUs are available", "the laptop was suspended and resumed", "cuda-unknown-error-after-suspend"),
        ("No CUDA GPUs are available", "MIG is on, with one process for each instance", "mig-without-instances"),
        ("NVIDIA-SMI has failed because it couldn't communicate", "Unraid: no plugin yet", "flatcar-driver-service"),
        ("NVIDIA-SMI has failed because it couldn't communicate", "apt install cuda", "cuda-package-brought-driver"),
    ],
)
def test_of_the_causes_behind_a_symptom_the_one_that_the_text_speaks_of_comes_to_the_front(
    symptom: str, around: str, cause: str
) -> None:
    alone, told = _behind(symptom), _behind(f"{symptom}\n{around}")
    assert cause in told[:3] and cause not in alone[:3]


def test_where_no_line_is_known_the_causes_behind_all_three_nearest_are_named() -> None:
    near = ("vgpu-unlicensed", "nccl-failed", "k8s-insufficient-gpu")
    told = {match.family.id for match in behind(tuple(Match(families()[id], Confidence.RESEMBLING, ()) for id in near))}
    assert all(told.intersection(causes_behind(id, near)) for id in near)


def test_beside_a_cause_that_shows_no_symptom_stand_those_that_are_found_behind_the_same_one() -> None:
    showing = {id for symptom in symptoms() for id in symptom.shown_by}
    causes = {id for symptom in symptoms() for id in symptom.causes}
    assert causes - showing
    for id in causes - showing:
        told = {match.family.id for match in behind((Match(families()[id], Confidence.LIKELY, ()),))}
        assert any(id in symptom.causes and told < set(symptom.causes) for symptom in symptoms()) and told


def test_the_more_candidates_a_line_has_itself_the_fewer_are_named_behind_it() -> None:
    line = "Failed to initialize NVML: Not Found"
    assert len(answered(line)) > IN_ALL - MOST
    assert len(answered(line)) + len(_behind(line)) == IN_ALL


def test_behind_what_is_certain_stands_nothing() -> None:
    assert _behind("modprobe: ERROR: could not insert 'nvidia': Key was rejected by service") == []
    assert _behind("all is well") == []


def test_every_cause_of_a_symptom_says_what_tells_it_from_the_others() -> None:
    causes = {id for symptom in symptoms() for id in symptom.causes if id in written()}
    assert [id for id in causes if not (families()[id].look and families()[id].tells_apart)] == []


@pytest.mark.parametrize("line", ["libnvidia-ml.so.1: file too short", "libcuda.so.1: file too short"])
def test_what_a_line_says_itself_comes_before_how_it_came_to_be(line: str) -> None:
    told = ids(line)
    assert told[0] == "empty-driver-library"
    assert {"no-gpu-during-build", "driver-files-baked-in-image"} < set(told)


def test_of_what_is_only_possible_the_likelier_of_its_line_comes_first() -> None:
    line = "Driver does not support the required nvenc API version"
    assert ids(line) == ["nvenc-api-too-new", "cuda-driver-insufficient-35"]
    no_gpu = ids("RuntimeError: No CUDA GPUs are available")
    assert no_gpu.index("device-node-permissions") < no_gpu.index("rminitadapter-failed")


# A line that tells of a family only where a word of its context stands nearby


@pytest.mark.parametrize(
    ("line", "around", "family"),
    (
        ("OSError: libcurand.so.10: cannot open shared object file", "image: l4t-pytorch", "jetson-libraries-missing"),
        ("load library failed: libnvidia-ml.so.1", "Docker Desktop 4.16", "docker-desktop-on-linux"),
        ("Failed to initialize NVML: Unknown Error", "pve: lxc 105", "lxc-devices-closed"),
        ("Failed to initialize NVML: Driver/library version mismatch", "an LXC guest", "container-driver-differs"),
        ("RuntimeError: No CUDA GPUs are available", "export CUDA_VISIBLE_DEVICES=7", "visible-devices-hide-gpu"),
    ),
)
def test_what_a_line_tells_only_in_its_context_is_not_named_without_it(line: str, around: str, family: str) -> None:
    assert ids(f"{around}\n{line}")[0] == family
    assert ids(line) and family not in ids(line)


# What the programs of this field say, by the sources that print it


def test_what_programs_print_is_known_and_they_are_more_than_a_hundred() -> None:
    """The formats of their sources, filled in; among them what one program passes on of another's."""
    rows = [json.loads(line) for line in (DATA / "programs.jsonl").read_text().splitlines()]
    labelled = [(row["text"], {row["cause"], *row.get("also", ())}) for row in rows]
    assert [text for text, own in labelled if not own.intersection(ids(text))] == []
    assert len({row["program"] for row in rows}) > 100


# Texts from public threads, labelled before explain was run on them


def test_texts_that_were_labelled_blind_are_recognised_and_nothing_is_wrong_and_certain() -> None:
    rows = [json.loads(line) for line in (DATA / "blind.jsonl").read_text().splitlines()]
    others = {text for name in LABELLED[:-1] for text in _only_texts(name)}
    assert len(rows) >= 150
    assert not others.intersection(row["text"] for row in rows)
    assert all(row["source"].startswith("https://") for row in rows)
    labelled = [(row["text"], {row["cause"], *row.get("also", ())} - {None}) for row in rows]
    assert [text for text, own in labelled if certain(text) - own] == []
    of_a_family = [(text, own) for text, own in labelled if own]
    right = [text for text, own in of_a_family if own.intersection(answered(text))]
    assert len(right) >= 0.95 * len(of_a_family) and len(of_a_family) >= 180
    known = [text for text, own in of_a_family if own.intersection(ids(text))]
    assert len(known) >= 0.88 * len(of_a_family)


def _only_texts(name: str) -> Iterator[str]:
    yield from (json.loads(line)["text"] for line in (DATA / f"{name}.jsonl").read_text().splitlines())


# What is known of a refusal, and no more


@pytest.mark.parametrize(
    ("text", "first", "behind_it"),
    [
        ("Warning  UnexpectedAdmissionError  kubelet  Allocate failed due to requested number of devices unavailable "
         "for nvidia.com/gpu. Requested: 1, Available: 0, which is unexpected",
         "k8s-plugin-lost-registration", "k8s-insufficient-gpu"),
        ("Pod was rejected: Allocate failed due to no healthy devices present; cannot allocate unhealthy devices "
         "nvidia.com/gpu, which is unexpected", "k8s-plugin-lost-registration", "one-faulted-gpu-blocks-all"),
        ("0/3 nodes are available: 3 Insufficient nvidia.com/gpu.", "k8s-insufficient-gpu", None),
        ("Unable to retrieve list of available devices: error creating nvmlInit: ERROR_LIBRARY_NOT_FOUND",
         "k8s-plugin-incompatible-platform", "libnvidia-ml-missing"),
        ("Failed to initialize NVML: Insufficient Permissions", "device-node-permissions", "selinux-blocks-devices"),
        ("avc:  denied { read } comm=nvidia-smi name=nvidiactl\nFailed to initialize NVML: Insufficient Permissions",
         "selinux-blocks-devices", None),
        ("modprobe: ERROR: could not insert 'nvidia': No such device", "no-gpu-to-drive", "no-nvidia-gpu-in-host"),
        ("-> Kernel module load error: No such device", "no-gpu-to-drive", "gpu-needs-legacy-driver"),
        ("could not insert 'nvidia': No such device\nNVRM: No NVIDIA GPU found.", "no-nvidia-gpu-in-host", None),
        ("Error: only 0 Devices available, 1 requested.  Exiting.", "nvidia-smi-not-in-container", "wsl-no-adapter"),
        ("Error: only 0 Devices available, 2 requested.  Exiting.", "nvidia-smi-not-in-container", "wsl-no-adapter"),
        ("error running hook: exit status 3, stderr: level=error msg=\"No help topic for 'prestart'\"",
         "toolkit-parts-differ", None),
    ],
)  # fmt: skip
def test_a_refusal_is_told_as_what_refused_and_its_other_causes_stand_behind(
    text: str, first: str, behind_it: str | None
) -> None:
    told = ids(text)
    assert told[0] == first, told
    assert behind_it is None or behind_it in told[1:], told
    assert not certain(text) - {"selinux-blocks-devices", "no-nvidia-gpu-in-host"}


# What a command leaves blank


FABRIC = "cudaGetDeviceCount() failed: error 802: system not yet initialized"
GONE = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
OLD_TORCH = "is not compatible with the current PyTorch installation."


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (FABRIC, "nvidia-fabricmanager-BRANCH"),
        (f"driver 580.95.05\n{FABRIC}", "nvidia-fabricmanager-580"),
        (f"| NVIDIA-SMI 570.133.20   Driver Version: 570.133.20   CUDA Version: 12.8 |\n{FABRIC}", "-570"),
        ("CUDA error 919, KMD Version: 610.57.04", "nvidia-fabricmanager-610"),
        (f"Tried to allocate 550.00 MiB; 10.0.580.95 580.95.05\n{FABRIC}", "nvidia-fabricmanager-BRANCH"),
        (f"the image asks for driver version 570.26 or newer\n{FABRIC}", "nvidia-fabricmanager-BRANCH"),
        (f"requires NVIDIA driver >= 550.54.14; driver version 535.104.05\n{FABRIC}", "nvidia-fabricmanager-535"),
        (
            "fabric manager NVIDIA GPU driver interface version 550.54.15 don't match with driver version 580.95.05",
            "nvidia-fabricmanager-580",
        ),
        (
            "API mismatch: the client has driver version 550.54.14\nthis kernel module has the version 535.161.07\n"
            + FABRIC,
            "nvidia-fabricmanager-BRANCH",
        ),
        (GONE, "linux-modules-nvidia-BRANCH-$(uname -r)"),
        (f"ii nvidia-driver-535\nmodinfo: Kernel Module  580.95.05\n{GONE}", "linux-modules-nvidia-580-$(uname -r)"),
        (f"Tesla V100-SXM2-16GB with CUDA capability sm_70 {OLD_TORCH}", "TORCH_CUDA_ARCH_LIST=7.0"),
        (f"NVIDIA GeForce RTX 5090 with CUDA capability sm_120 {OLD_TORCH}", "TORCH_CUDA_ARCH_LIST=12.0"),
        ("The current PyTorch install supports CUDA capabilities sm_50 sm_70.", "TORCH_CUDA_ARCH_LIST=CAPABILITY"),
        (
            f"Tesla K80 with CUDA capability sm_37 {OLD_TORCH}\nTesla V100 with CUDA capability sm_70 {OLD_TORCH}",
            "TORCH_CUDA_ARCH_LIST=CAPABILITY",
        ),
    ],
)
def test_a_number_in_a_command_is_the_one_that_the_text_tells_and_else_a_blank(text: str, command: str) -> None:
    told = commands(text)
    assert [one for one in told if one.endswith(command) or f"{command} " in one], told


@pytest.mark.parametrize(
    ("snapshot", "branch"), [("dgx-a100", "580"), ("h100-nvswitch-no-fabric-manager", "580"), ("v100-418", "418")]
)
def test_a_number_in_a_command_is_the_one_that_the_host_tells_where_the_text_tells_none(
    snapshot: str, branch: str
) -> None:
    def host() -> Host:
        return decode((ROOT / "tests" / "snapshots" / f"{snapshot}.jsonl").read_bytes()).host

    assert f"nvidia-fabricmanager-{branch}" in " ".join(commands(FABRIC, host))
    assert "nvidia-fabricmanager-615" in " ".join(commands(f"Driver Version: 615.71.09\n{FABRIC}", host))

"""What must hold between the rows of tables: order, and that what a row names is there.

Each rule returns what is wrong, with its place. It is handed rows that are right by themselves. The rules about the
CUDA table have a file of their own: `cuda_table_rules.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

from gpuctl.command import Shell
from gpuctl.compat.tables.rows import Problem, Row
from gpuctl.compat.versions import docker_version, parts

Tables = Mapping[str, Sequence[Row]]
Rule = Callable[[Tables], Iterator[Problem]]

NEVER_RELEASED = {"7.1", "7.2", "7.3", "7.4", "12.7"}
"""NVIDIA released no such toolkit, although driver 565 reports CUDA 12.7."""

_Read = Callable[[str], tuple[int, ...]]
_ASCENDING: tuple[tuple[str, str, _Read], ...] = (
    ("toolkits", "release", parts),
    ("architectures", "compute_capability", parts),
    ("driver_branches", "branch", parts),
    ("cuda_errors", "code", lambda code: (int(code),)),
    ("minor_versions", "major", lambda major: (int(major),)),
    ("pci_ids", "device", lambda device: (int(device, 16),)),
    ("toolkit_releases", "version", docker_version),
    ("nvml_errors", "code", lambda code: (int(code),)),
    ("xids", "xid", lambda number: (int(number),)),
)
_NEVER_DESCENDING: tuple[tuple[str, str, _Read], ...] = (
    ("cuda_rows", "cuda", parts),
    ("forward_compat", "cuda", parts),
    ("images", "cuda", parts),
    ("minor_versions", "min_driver", parts),
    ("docker_features", "since", docker_version),
)
_CAPABILITY_FIELDS = {
    "cuda_rows": ("compute_capability", "except_compute_capability", "min_compute_capability"),
    "architectures": ("same_chip_as",),
    "pci_ids": ("compute_capability",),
}
_BRANCH_FIELDS = {
    "toolkits": ("branch",),
    "architectures": ("first_driver_branch", "last_driver_branch", "dropped_by_branch"),
    "forward_compat": ("base",),
}
_CUDA_FIELDS = {
    "toolkits": ("cuda",),
    "architectures": ("first_toolkit", "last_toolkit", "first_toolkit_without"),
    "driver_branches": ("max_cuda",),
    "forward_compat": ("cuda",),
    "images": ("cuda",),
}


def rows_ascend(tables: Tables) -> Iterator[Problem]:
    """Versions, branches and ids ascend from row to row."""
    for table, field, read in (*_ASCENDING, *_NEVER_DESCENDING):
        for before, row in pairwise(tables[table]):
            equal = read(row[field]) == read(before[field])
            if read(row[field]) < read(before[field]) or (equal and (table, field, read) in _ASCENDING):
                yield row.problem(f"`{field}` does not ascend from {before[field]} to {row[field]}.")


def capabilities_are_known(tables: Tables) -> Iterator[Problem]:
    """Every compute capability that a row names has a row of its own."""
    known = {row["compute_capability"] for row in tables["architectures"]}
    yield from _unknown(tables, _CAPABILITY_FIELDS, known, "Compute capability {} has no row in architectures.")
    for row in tables["gpus"]:
        for capability in row["variants"].keys() - known:
            yield row.problem(f"Compute capability {capability} has no row in architectures.")


def branches_are_known(tables: Tables) -> Iterator[Problem]:
    """Every driver branch that a row names has a row of its own."""
    known = {row["branch"] for row in tables["driver_branches"]}
    yield from _unknown(tables, _BRANCH_FIELDS, known, "Branch {} has no row in driver_branches.")


def cuda_versions_are_known(tables: Tables) -> Iterator[Problem]:
    """Every CUDA version that a row names has rows in the CUDA table, those before its oldest apart."""
    oldest = parts(tables["cuda_rows"][0]["cuda"])
    known = {row["cuda"] for row in tables["cuda_rows"]} | NEVER_RELEASED

    def minor(cuda: str) -> str | None:
        text = ".".join(cuda.split(".")[:2])
        return text if parts(text) >= oldest else None

    yield from _unknown(tables, _CUDA_FIELDS, known, "CUDA {} has no row in cuda_rows.", minor)


def _unknown(
    tables: Tables,
    fields: Mapping[str, tuple[str, ...]],
    known: set[str],
    message: str,
    read: Callable[[str], str | None] = str,
) -> Iterator[Problem]:
    for table, names in fields.items():
        for row in tables[table]:
            named = [read(row[name]) for name in names if row[name]]
            yield from (row.problem(message.format(one)) for one in named if one and one not in known)


def architectures_end_rightly(tables: Tables) -> Iterator[Problem]:
    """An architecture ends right after its last toolkit, and at a branch that says so."""
    cudas = list(dict.fromkeys(row["cuda"] for row in tables["cuda_rows"]))
    before = dict(zip(cudas[1:], cudas, strict=False))
    drops = {row["branch"]: row["drops"] for row in tables["driver_branches"]}
    for row in tables["architectures"]:
        last, without = row["last_toolkit"], row["first_toolkit_without"]
        if last != before.get(without, last) or (last is None) != (without is None):
            yield row.problem(f"Its last toolkit is {last}, and the first without it {without}.")
        branch, kept = row["dropped_by_branch"], row["last_driver_branch"]
        if branch and int(kept or branch) >= int(branch):
            yield row.problem(f"The last branch that drives it is {kept}, and branch {branch} drops it.")
        if branch and row["architecture"] not in drops.get(branch, row["architecture"]):
            yield row.problem(f"Branch {branch} drops it, but does not name {row['architecture']} in `drops`.")


def chips_fit_their_products(tables: Tables) -> Iterator[Problem]:
    """The chip gives a product its compute capability."""
    by_chip = _capability_of_chips(tables)
    for row in tables["gpus"]:
        for capability, chip in ((one, chip) for one, chips in row["variants"].items() for chip in chips):
            known = _of_chip(chip, by_chip)
            if known != capability:
                there = f"compute capability {known}" if known else "no row"
                yield row.problem(f"Chip {chip} has {there} in architectures, not compute capability {capability}.")


def devices_fit_their_architecture(tables: Tables) -> Iterator[Problem]:
    """A PCI device's chip gives its compute capability, and that its architecture; the row names what nothing gives."""
    named = {row["compute_capability"]: row["architecture"] for row in tables["architectures"]}
    by_chip = _capability_of_chips(tables)
    for row in tables["pci_ids"]:
        capability = row["compute_capability"] or _of_chip(row["chip"], by_chip)
        told = row["architecture"]
        known = named.get(capability, told)
        if known is None:
            yield row.problem("No compute capability is told, and no architecture either.")
        elif told not in (None, known):
            yield row.problem(f"Compute capability {capability} is {known}, not {told}.")


def _capability_of_chips(tables: Tables) -> dict[str, str]:
    return {chip: row["compute_capability"] for row in tables["architectures"] for chip in row["chips"]}


def _of_chip(chip: str, by_chip: Mapping[str, str]) -> str | None:
    """The compute capability of a chip: the longest name of the table that it begins with decides."""
    return by_chip.get(max((name for name in by_chip if chip.startswith(name)), key=len, default=""))


def toolkits_fit_their_branch(tables: Tables) -> Iterator[Problem]:
    """A toolkit's lowest driver lies in its branch, and that branch reports its CUDA version."""
    reported = {row["branch"]: row["max_cuda"] for row in tables["driver_branches"]}
    for row in tables["toolkits"]:
        branch, driver = row["branch"], row["min_driver"]
        if branch and reported.get(branch, row["cuda"]) != row["cuda"]:
            yield row.problem(f"Branch {branch} reports CUDA {reported[branch]}, not {row['cuda']}.")
        if branch and driver and driver.split(".")[0] != branch:
            yield row.problem(f"Driver {driver} is not of branch {branch}.")


def newer_branches_report_newer_cuda(tables: Tables) -> Iterator[Problem]:
    """A newer branch never reports an older CUDA version."""
    for before, row in pairwise(row for row in tables["driver_branches"] if row["max_cuda"]):
        if parts(row["max_cuda"]) < parts(before["max_cuda"]):
            elder = f"branch {before['branch']} reports {before['max_cuda']}"
            yield row.problem(f"Branch {row['branch']} reports CUDA {row['max_cuda']}, but {elder}.")


def packages_fit_their_base(tables: Tables) -> Iterator[Problem]:
    """A package has its CUDA version's name, a lowest driver of its base, and support only where the cell is C."""
    for row in tables["forward_compat"]:
        if row["package"] != f"cuda-compat-{row['cuda'].replace('.', '-')}":
            yield row.problem(f"{row['package']} is not the package of CUDA {row['cuda']}.")
        if row["min_driver"].split(".")[0] != row["base"]:
            yield row.problem(f"Driver {row['min_driver']} is not of branch {row['base']}.")
        if row["supported"] and row["cell"] != "C":
            yield row.problem(f"The cell is {row['cell']}, and only C can be supported.")


def holes_are_closed(tables: Tables) -> Iterator[Problem]:
    """The release that closes a hole of the NVIDIA Container Toolkit is not newer than the newest known."""
    newest = tables["toolkit_releases"][-1]["version"]
    for row in tables["toolkit_cves"]:
        if docker_version(row["fixed"]) > docker_version(newest):
            yield row.problem(f"{row['id']} is closed by {row['fixed']}, and toolkit_releases ends with {newest}.")


def consequences_are_known(tables: Tables) -> Iterator[Problem]:
    """Every family of failures that another explains has a row of its own."""
    known = {row["id"] for row in tables["failures"]}
    for row in tables["failures"]:
        for id in set(row["explains"] or ()) - known:
            yield row.problem(f"It explains {id}, which has no row.")


def faults_are_of_families(tables: Tables) -> Iterator[Problem]:
    """A fault of the toolkit begins before it ends, and the family that it shows as has a row."""
    families = {row["family"] for row in tables["family_checks"]}
    for row in tables["toolkit_faults"]:
        if row["family"] not in families:
            yield row.problem(f"Family {row['family']} has no row in family_checks.")
        if row["since"] and docker_version(row["since"]) >= docker_version(row["fixed"]):
            yield row.problem(f"It begins with {row['since']}, and ends before, with {row['fixed']}.")


def families_are_detected(tables: Tables) -> Iterator[Problem]:
    """A family that a host shows has a check for it, and any other says why a host does not show it."""
    for row in tables["family_checks"]:
        if row["seen_in"] != "run" and not row["checks"]:
            yield row.problem(f"It is seen in {row['seen_in']}, and no check looks there.")
        if row["seen_in"] != "host" and not row["why"]:
            yield row.problem(f"It is seen in {row['seen_in']} only, and does not say why.")


def words_are_of_families(tables: Tables) -> Iterator[Problem]:
    """The words in which failures are told, the lines that programs print, and the causes of symptoms are of families.

    Those are the ones with a row, and each error with a number.
    """
    known = {row["id"] for row in tables["failures"]}
    for kind, table, number in (
        ("cuda", "cuda_errors", "code"),
        ("nvml", "nvml_errors", "code"),
        ("xid", "xids", "xid"),
    ):
        known.update(f"{kind}-{row[number]}" for row in tables[table])
    told = [(row, row["family"]) for row in tables["family_words"]]
    told += [(row, family) for row in tables["printed_lines"] for family in row["families"]]
    told += [(row, family) for row in tables["symptoms"] for family in (*row["shown_by"], *row["causes"])]
    for row, family in told:
        if family not in known:
            yield row.problem(f"Family {family} has no row in failures, and is no error with a number.")


def downloads_have_a_folder(tables: Tables) -> Iterator[Problem]:
    """What is downloaded lies in a folder that its line has made, and nothing is done with it where that has failed."""
    told = [
        (row, row["commands"]) for table in ("install_commands", "cuda_errors", "nvml_errors") for row in tables[table]
    ]
    told += [(row, one.get("commands", ())) for row in tables["failures"] for one in row["remedies"]]
    for row, command in ((row, command) for row, commands in told for command in commands):
        fetches = any(program in command for program in ("curl", "wget")) and "-I" not in command  # which only asks
        if fetches and (command[0] != Shell.NEW_FOLDER.value or any(sign in command for sign in ("|", ";", ">"))):
            yield row.problem("What it downloads is not in a folder made by `mktemp -d`, or is not awaited with &&.")


def files_have_one_package(tables: Tables) -> Iterator[Problem]:
    """On a system that base_systems knows, a library is told to be in one package."""
    known = {row["os"] for row in tables["base_systems"]}
    for row in tables["library_packages"]:
        systems = [system for words in row["packages"].values() for system in words.split()]
        yield from (row.problem(f"{one} has no row in base_systems.") for one in systems if one not in known)
        twice = sorted({one for one in systems if systems.count(one) > 1})
        yield from (row.problem(f"Two packages hold {row['file']} on {one}.") for one in twice)


RULES: tuple[Rule, ...] = (
    rows_ascend,
    capabilities_are_known,
    branches_are_known,
    cuda_versions_are_known,
    architectures_end_rightly,
    chips_fit_their_products,
    devices_fit_their_architecture,
    toolkits_fit_their_branch,
    newer_branches_report_newer_cuda,
    packages_fit_their_base,
    holes_are_closed,
    consequences_are_known,
    faults_are_of_families,
    families_are_detected,
    words_are_of_families,
    downloads_have_a_folder,
    files_have_one_package,
)

"""How packages stand against what was wanted of them."""

from __future__ import annotations

from gpuctl.facts.packages.packages import probe_installed
from gpuctl.host.look.reading import Host
from gpuctl.provision.packages.plan import Before, PackageProblem
from gpuctl.provision.packages.runs import KEPT


def versions(host: Host, manager: str) -> dict[str, str]:
    """Returns what is there by name; a package that is not whole counts as another version than any."""
    found = probe_installed(host, manager).get() or {}
    return {name: one.version if one.whole else f"{one.version} in part" for name, one in found.items()}


def check_versions(host: Host, manager: str, wanted: Before) -> None:
    """Raises PackageProblem, with what is there, where something else is there than what is wanted."""
    now = versions(host, manager)
    wrong = [name for name, version in wanted.items() if (now.get(name) or None) != (version or None)]
    if wrong:
        states = ", ".join(f"{name} is {now.get(name) or 'not installed'}" for name in wrong)
        raise PackageProblem(f"The packages are not as they were to be: {states}.")


def needed(file: str | None, name: str, version: str) -> str:
    """Returns the file of a package that an undo needs. Raises PackageProblem where it is not there any more."""
    if file is None:
        raise PackageProblem(f"{name} {version} was not kept in {KEPT}: install it by hand.")
    return file

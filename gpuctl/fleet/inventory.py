"""An inventory as it lies here: what of it can be seen before, or where, Ansible cannot read it."""

from __future__ import annotations

from gpuctl.bounds import plain
from gpuctl.command import quoted
from gpuctl.host.look.local import LocalHost
from gpuctl.host.look.reading import Outcome, Reading
from gpuctl.host.write.files import is_stream

PASSED_OVER = (
    "it is a folder in which Ansible takes no file for an inventory: it passes over hidden ones, group_vars and "
    "host_vars, and names that end in .bak, .cfg, .md, .txt, ~ and the like"
)
"""Source: https://docs.ansible.com/ansible/latest/reference_appendices/config.html#inventory-ignore-exts"""


def unreadable(path: str) -> str:
    """Returns why nobody could read an inventory there, in words that go after its name; "" where nothing is seen."""
    if is_stream(path):  # it can be read once
        return ""
    here = LocalHost()
    if here.stat(path).outcome is Outcome.ABSENT:
        link = here.link(path)
        return f"it is a link to {plain(link.text)}, which is not there" if link.ok else "it is not there"
    inside = here.list(path)
    if inside.ok and not inside.text:
        return "it is an empty folder"
    return _denied(inside) or _denied(here.read(path))


def _denied(look: Reading) -> str:
    return "this user may not read it" if look.outcome is Outcome.DENIED else ""


def passed_over(path: str) -> str:
    """Returns why Ansible takes nothing there for an inventory and does not say why; "" where nothing is seen."""
    return unreadable(path) or (PASSED_OVER if LocalHost().list(path).ok else "")


def without_hosts(path: str) -> str:
    """Returns where to look why an inventory that Ansible has read has no hosts, as a sentence; "" for nowhere.

    Where a program fails or prints none, its own text may read as an empty inventory, and Ansible says nothing.
    """
    is_program = LocalHost().which(path if "/" in path else f"./{path}").ok
    return f"It is a program: see what {quoted(path)} --list prints." if is_program else ""

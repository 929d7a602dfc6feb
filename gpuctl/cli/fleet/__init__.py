"""`gpuctl fleet`: many hosts, reached through Ansible, judged here, and told in classes."""

from __future__ import annotations

from collections.abc import Callable

HELP = "Diagnose many hosts at once, by your Ansible inventory."
commands: tuple[Callable[..., None], ...] = ()

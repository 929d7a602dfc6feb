"""The toolkit's OCI hooks: the older way by which an engine without Docker's --gpus gives GPUs."""

from __future__ import annotations

from typing import Sequence, Tuple

from gpuctl.host.look.reading import Host
from gpuctl.model import Fact

FOLDERS = ("/usr/share/containers/oci/hooks.d", "/etc/containers/oci/hooks.d")
"""Where Podman looks for hooks, and CRI-O for the first of them: podman-run(1), --hooks-dir, and crio.conf(5)."""
RUN_FOLDER = "/run/containers/oci/hooks.d"
"""Where OpenShift has CRI-O look, too."""


def probe_hooks(host: Host, folders: Sequence[str] = FOLDERS) -> Fact[Tuple[str, ...]]:
    """Returns the hooks that name NVIDIA, as the toolkit's file oci-nvidia-hook.json does; absent where none does."""
    listings = [host.list(folder) for folder in folders]
    names = tuple(
        "%s/%s" % (one.source, name) for one in listings for name in one.text.splitlines() if "nvidia" in name
    )
    return Fact(names or None, ", ".join(folders))

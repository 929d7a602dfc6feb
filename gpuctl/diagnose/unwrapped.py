"""What engines wrap around the cause of a failure goes; the end of the text, where the cause stands, stays."""

from __future__ import annotations

import re

from gpuctl.bounds import with_end

LETTERS = 300
"""Of an error text that fit into a sentence."""
_LAYERS = re.compile(
    r"(?:docker: |Error(?: response from daemon)?: |(?:rpc )?error: code = \w+ desc = |\w+_linux\.go:\d+: "
    r"|failed to (?:create|start) (?:containerd |shim )?task(?: for container)?: |failed to create shim: "
    r"|(?:failed to )?start containerd task \S+: |cannot start a container that has stopped: "
    r"|failed to create pod sandbox: |container create failed: |OCI runtime (?:\w+ failed|error): "
    r"|(?:runc|crun) (?:create|run) failed: |unable to start container process: |error during container init: "
    r"|starting container process caused:? |container init caused:? "
    r"|[Rr]unning (?:prestart )?hook #?\d+:*(?: caused:?)? "
    r"|error (?:running|executing) (?:\w+ )?hook(?: #\d+)?: |exit status \d+, stdout: ,? ?stderr: "
    r"|Auto-detected mode as '?\w+'?,? |time=\"[^\"]*\" level=\w+ msg=|[\"'\\]+)+"
)
_TAIL = re.compile(r"(?:[\s\"\\.]|: unknown|\\n)+$|\s*Run 'docker run --help' for more information.*")


def unwrapped(error: str) -> str:
    """Returns the cause that an error text ends with, on one line and at most LETTERS long.

    docker: Error response from daemon: failed to create task for container: failed to create shim task: OCI runtime
    create failed: runc create failed: unable to start container process: error during container init: error running
    prestart hook #0: exit status 1, stdout: , stderr: nvidia-container-cli: initialization error: nvml error: unknown
    """
    line = " ".join(error.split())
    bare = line[found.end() :] if (found := _LAYERS.match(line)) else line
    while bare != (shorter := _TAIL.sub("", bare)):
        bare = shorter
    return with_end(bare or line, LETTERS)

"""What engines, orchestrators, loggers and terminals put around a core line, for tests of `gpuctl explain`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

Coat = Callable[[str], bytes]


def _text(around: str) -> Coat:
    before, after = around.split("LINE")
    return lambda line: f"{before}{line}{after}".encode()


def _escaped(depth: int, line: str) -> str:
    for _ in range(depth):
        line = json.dumps(line)[1:-1]
    return line


def _docker_2019(line: str) -> bytes:
    hook = f"nvidia-container-cli --load-kmods configure --require=cuda>=10.0\\n{_escaped(3, line)}\\n"
    return (
        "docker: Error response from daemon: OCI runtime create failed: container_linux.go:345: starting container "
        f'process caused "process_linux.go:430: container init caused \\"running prestart hook 1 caused \\\\\\"{hook}'
        '\\\\\\"\\"": unknown.\n'
    ).encode()


def _coloured(line: str) -> bytes:
    words = line.split(" ")
    return " ".join(f"\x1b[1;31m{word}\x1b[0m" for word in words).encode() + b"\x1b]8;;https://x\x07link\x1b]8;;\x07\n"


def _at_80_columns(line: str) -> bytes:
    text = f"Error: unable to start container process: error during container init: {line}"
    return "\n".join(text[start : start + 80] for start in range(0, len(text), 80)).encode()


def _numbers(line: str) -> bytes:
    return json.dumps({"MESSAGE": list(f"\x1b[31m{line}\x1b[0m\n".encode()), "PRIORITY": "3"}).encode()


def _in_binary(line: str) -> bytes:
    return bytes(range(128, 256)) * 3 + b"\0\xff\n" + line.encode() + b"\n\xff\xfe\0\0"


COATS: Mapping[str, Coat] = {
    "none": _text("LINE"),
    "crlf": _text("first\r\nLINE\r\nlast\r\n"),
    "docker 17 to 19.03": _docker_2019,
    "docker 20.10": _text("OCI runtime create failed: caused: Running hook #0:: exit status 1, stderr: LINE: unknown."),
    "docker 23": _text(
        "docker: Error response from daemon: failed to create task for container: failed to create shim task: OCI "
        "runtime create failed: runc create failed: unable to start container process: error during container init: "
        "error running prestart hook #0: exit status 1, stdout: , stderr: Auto-detected mode as 'legacy'\nLINE: "
        "unknown\n\nRun 'docker run --help' for more information\n"
    ),
    "docker-py": lambda line: f"APIError: 500 Server Error for http+docker://l/v1.43/x: ({line!r})\n".encode(),
    "compose 2": _text("Attaching to svc-1\nsvc-1  | LINE\nsvc-1 exited with code 1\n"),
    "compose 1": _text("\x1b[36mapp_1  |\x1b[0m LINE\nERROR: for app  Cannot start service app\n"),
    "kubelet": _text('E0524 08:28:03.908130    1 pod_workers.go:190] "Error syncing pod" err="LINE" pod="a/b"\n'),
    "kubectl describe": _text("  Warning  Failed     10s (x2 over 10s)  kubelet            Error: LINE\n"),
    "journal": _text("Nov 25 16:31:46 host dockerd[700]: LINE\n"),
    "journal as json": lambda line: json.dumps({"MESSAGE": line, "_PID": "7"}).encode(),
    "journal as numbers": _numbers,
    "syslog": lambda line: f"<11>Nov 25 host app: \\u003cb\\u003e#033[31m{line}#033[0m#012next".encode(),
    "logfmt": lambda line: f'time="2025-02-17T14:52:02Z" level=error msg="{_escaped(1, line)}" id=1\n'.encode(),
    "go json": lambda line: json.dumps({"level": "error", "error": _escaped(1, f"a\n{line}\nb")}).encode(),
    "kernel log": _text("[   12.345678] LINE\n"),
    "colours": _coloured,
    "progress": _text("Pulling 10%\rPulling 90%\rLINE\r\n"),
    "80 columns": _at_80_columns,
    "mail": _text("> > LINE\n"),
    "markdown": _text("```\n**LINE**\n```\n"),
    "html": lambda line: line.replace('"', "&#34;").replace("'", "&#39;").encode(),
    "curly quotes": lambda line: line.replace('"', "\u201c").replace("'", "\u2019").encode(),
    "capitals": lambda line: line.upper().encode(),
    "utf-8 with a mark": lambda line: f"\ufeffFehler: für {line}".encode(),
    "utf-16": lambda line: f"zuerst\r\n{line}\r\n".encode("utf-16"),
    "utf-16 without a mark": lambda line: f"{line}\n".encode("utf-16-be"),
    "latin-1": lambda line: f"Gerät für: {line}".encode("latin-1", "replace"),
    "binary": _in_binary,
}

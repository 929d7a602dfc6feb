"""Draws doctor.svg from what `gpuctl doctor` really prints, on the test bed's V100 host with a real dockerd.

python docs/picture.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import closing, suppress
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from simhost import Dockerd, SimHost, Toolkit, build, import_image  # noqa: E402


def doctors_words(folder: Path) -> str:
    """Returns the output, with its colours, on a host whose Docker does not know the NVIDIA runtime yet."""
    bed = build(folder)
    toolkit = Toolkit(bed, folder / "toolkit")
    toolkit.install("v100")
    with closing(Dockerd(path=[toolkit.directory])) as daemon:
        daemon.start()
        import_image(daemon)
        colours = {"TERM": "xterm-256color"}
        bare = ["/.dockerenv", "/etc/docker", "/etc/cdi"]
        with closing(SimHost(bed, "v100", toolkit=toolkit, dockerd=daemon, env=colours, absent=bare)) as host:
            return on_a_terminal(host, "doctor")


def on_a_terminal(host: SimHost, *argv: str) -> str:
    """Returns what gpuctl writes to a terminal, which alone gets colours."""
    ours, theirs = os.openpty()
    process = host.popen([sys.executable, "-m", "gpuctl", *argv], stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    pieces = []
    with suppress(OSError):  # the other end has been closed
        while piece := os.read(ours, 65536):
            pieces.append(piece)
    os.close(ours)
    process.wait()
    return b"".join(pieces).decode().replace("\r\n", "\n")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        Path(folder, "toolkit").mkdir()
        words = doctors_words(Path(folder))
    console = Console(record=True, width=118, file=sys.stderr, force_terminal=True)
    console.print(Text("$ gpuctl doctor", "bold"))
    console.print(Text.from_ansi(words))
    (HERE / "doctor.svg").write_text(console.export_svg(title="gpuctl doctor"), encoding="utf-8")


if __name__ == "__main__":
    main()

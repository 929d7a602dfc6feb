"""The door for the person at the terminal: `gpuctl` and `python -m gpuctl`."""

import gc
import signal

# Until the command line can say a sentence, Ctrl-C just ends the process.
signal.signal(signal.SIGINT, signal.SIG_DFL)
# To start makes tens of thousands of objects that stay: Python would look through them for circles again and again.
gc.set_threshold(50_000)

from gpuctl.cli.frame.app import run as main  # noqa: E402

__all__ = ["main"]


if __name__ == "__main__":
    main()

"""The door for the person at the terminal: `gpuctl` and `python -m gpuctl`."""

from gpuctl.cli.app import run as main

__all__ = ["main"]


if __name__ == "__main__":
    main()

"""What the toolkit's programs have in common: how they read config.toml, and which mode they make of it.

Placed before each of them when it is installed. `config` in gpusim.json beside the program is the file's text; a
simulated host is given the same text in its own /etc. Done as 1.17.8 to 1.20.0 do it: data/toolkit_settings.jsonl.
"""

import json
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(sys.argv[0]))
with open(os.path.join(HERE, "gpusim.json")) as _file:
    WANTED = json.load(_file)
ACCEPT = "accept-nvidia-visible-devices-envvar-when-unprivileged"
BOOLEANS = ("disable-require", ACCEPT, "nvidia-container-cli.no-cgroups")


class Config:
    """A config.toml by dotted names. Raises ValueError for one that the toolkit does not take."""

    def __init__(self):
        self.document = {}
        try:
            if WANTED.get("config"):
                import tomllib  # which the Python of an older root lacks

                self.document = tomllib.loads(WANTED["config"])
        except ValueError:
            raise ValueError("failed to load specified config file: (2, 1): expecting a value") from None
        for name in BOOLEANS:
            value = self.get(name, False)
            if not isinstance(value, bool):
                raise ValueError("failed to unmarshal config: (2, 1): Can't convert %s(string) to bool" % value)
        ldconfig = self.get("nvidia-container-cli.ldconfig", "@/sbin/ldconfig")
        if not ldconfig.startswith("@") and not self.get("features.allow-ldconfig-from-container", False):
            words = "nvidia-container-cli.ldconfig value \"%s\" is not host-relative (does not start with a '@')"
            raise ValueError(words % ldconfig)

    def get(self, name, default):
        """A setting, or what counts where it is not set."""
        found = self.document
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return default if found is None else found

    @property
    def mode(self):
        """The mode as it is written; auto where it is not."""
        return self.get("nvidia-container-runtime.mode", "auto")


def is_since(release):
    """Whether these programs are of that release or a later one, both numbers."""
    return tuple(int(part) for part in WANTED["version"].split(".")[:2]) >= release


def program(names):
    """The first of these programs that there is."""
    return next((found for found in map(shutil.which, names) if found), None)

"""nvidia-container-cli: says its version."""

import json
import os
import sys

with open(os.path.join(os.path.dirname(sys.argv[0]), "gpusim.json")) as file:
    version = json.load(file)["version"]
print("cli-version: %s\nlib-version: %s" % (version, version))
print("build date: 2025-05-30T13:47+00:00")
print("build revision: 6eda4d76c8c5f8fc174e4abca83e513fb4dd63b0")
print("build compiler: x86_64-linux-gnu-gcc-7 7.5.0")
print("build platform: x86_64")

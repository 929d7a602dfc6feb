"""nvidia-ctk: says its version."""

import json
import os
import sys

with open(os.path.join(os.path.dirname(sys.argv[0]), "gpusim.json")) as file:
    print("NVIDIA Container Toolkit CLI version %s" % json.load(file)["version"])
print("commit: f202b80a9b9d0db00d9b1d73c0128c8962c55f4d")

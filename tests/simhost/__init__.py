"""The test bed: a GPU host simulated at the machine's edge only.

gpuctl runs unchanged; what it looks at is simulated: `libnvidia-ml.so.1`, `libcuda.so.1` and `nvidia-smi` (native/,
one table of profiles), the toolkit's hook and runtime (programs/), and the trees in which the kernel shows PCI
devices, modules and device nodes. Docker and containerd are real daemons of the test's own. Needs root, gcc,
busybox-static, docker.io and containerd.
"""

from .bed import Bed, Gpu, Profile, build
from .containerd import Containerd, unpack
from .dockerd import Dockerd, import_image
from .host import SimHost
from .kernel import Node, PciFunction
from .process import Done, is_running, until
from .toolkit import Toolkit

__all__ = [
    "Bed",
    "Containerd",
    "Dockerd",
    "Done",
    "Gpu",
    "Node",
    "PciFunction",
    "Profile",
    "SimHost",
    "Toolkit",
    "build",
    "import_image",
    "is_running",
    "unpack",
    "until",
]

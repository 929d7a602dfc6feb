"""What a Compose file is rewritten for."""

from __future__ import annotations

from enum import Enum


class ComposeTarget(str, Enum):
    """Which Compose reads the file, and by which way GPUs are asked for."""

    COMPOSE = "compose"
    """docker-compose 1.28 and later, Compose 2 and later: deploy.resources.reservations.devices."""
    COMPOSE_2_30 = "compose-2.30"
    """Compose 2.30 and later: gpus."""
    CDI = "compose-cdi"
    """Compose 2 and Docker 25 or later, with a CDI specification: devices."""
    RUNTIME = "compose-runtime"
    """The file formats 2.3 and 2.4: runtime: nvidia."""
    SWARM = "swarm"
    """docker stack deploy: NVIDIA_VISIBLE_DEVICES, or generic resources, and the default runtime of each node."""

"""A machine's id as gpuctl alone knows it: machine-id(5) asks that the id itself is shown to nobody."""

from __future__ import annotations

from typing import Optional

from gpuctl.regex import regex

_OF_GPUCTL = bytes.fromhex("0f6b1d9a3f5c4f0c9f0be1a7c5d2b864")
_ID = regex(r"[0-9a-f]{32}")


def known_as(own: str) -> Optional[str]:
    """Returns the id of the machine that has this one in /etc/machine-id, or as its node's machineID; None for no id.

    It is made as systemd makes ids for applications (sd_id128_get_machine_app_specific(3)), but for the UUID's marks.
    """
    import hmac

    own = own.strip()
    return hmac.new(bytes.fromhex(own), _OF_GPUCTL, "sha256").hexdigest()[:32] if _ID.fullmatch(own) else None

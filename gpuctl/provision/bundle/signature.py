"""Whether a repository's index is signed by a key: gpgv says, the verifier of GnuPG, which trusts nothing else.

Source: gpgv(1), and https://github.com/gpg/gnupg/blob/master/doc/DETAILS ("VALIDSIG").
"""

from __future__ import annotations

from gpuctl.host.act.process import ask_program
from gpuctl.host.look.reading import Outcome, failure
from gpuctl.host.write.scratch import scratch
from gpuctl.model import ExitCode
from gpuctl.provision.bundle.openpgp import binary, fingerprints
from gpuctl.provision.result import Refused

_DEADLINE = 30.0
"""Seconds."""
_SPOILT = ("EXPSIG", "EXPKEYSIG", "REVKEYSIG", "BADSIG")
"""gpgv's words for a signature that counts no more, or never did."""


def signed(place: str, key: bytes, text: bytes, signature: bytes | None) -> bytes:
    """Returns what a key has signed: `text` by its `signature`, or without one what stands in a text that has its own.

    `place` is told where it is not signed. Raises Refused, and ValueError for what is no key.
    """
    trusted = fingerprints(key)
    files = {"key": binary(key), "text": text, **({"signature": signature} if signature is not None else {})}
    with scratch(files) as folder:
        read = (
            (f"{folder}/signature", f"{folder}/text") if signature is not None else ("--output", "-", f"{folder}/text")
        )
        argv = ("gpgv", "--homedir", folder, "--status-fd", "2", "--keyring", f"{folder}/key", *read)
        said = ask_program(argv, "", _DEADLINE)
    if said.outcome is not Outcome.OK:
        hint = "It comes with the package gpgv, or gnupg2."
        raise Refused(f"The signature of {place} cannot be verified: {failure(said)}. {hint}", ExitCode.UNDETERMINED)
    words = [line.split()[1:] for line in said.detail.splitlines() if line.startswith("[GNUPG:] ")]
    good = any(word[0] == "VALIDSIG" and word[-1] in trusted for word in words if word)
    if not (said.ok and good) or any(word[0] in _SPOILT for word in words if word):
        told = next(
            (" ".join(word[:2]) for word in words if word and word[0] in (*_SPOILT, "NO_PUBKEY")), "no signature"
        )
        raise Refused(f"{place} is not signed by this key (gpgv says: {told}).")
    return said.text.encode() if signature is None else text

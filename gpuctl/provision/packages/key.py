"""The public key that signs a package repository: the person's file, or what NVIDIA publishes."""

from __future__ import annotations

from gpuctl.host.write.files import FileProblem, read
from gpuctl.model import ExitCode
from gpuctl.provision.result import Refused

KEY_LIMIT = 256 << 10
KEY_DEADLINE = 30.0
"""Bytes, and seconds."""
_ARMOUR = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"
_PUBLIC_KEY_PACKETS = (b"\x98", b"\x99", b"\x9a", b"\xc6")
"""How an OpenPGP public key begins, in the old and in the new form of packets: RFC 9580, sections 4.2 and 5."""


def signing_key(key_file: str | None, address: str) -> bytes:
    """Returns the key in the file, else the one at the address. Raises Refused where it cannot be had, or is none."""
    key = _of_file(key_file) if key_file else _fetched(address)
    if not (is_armoured(key) or key[:1] in _PUBLIC_KEY_PACKETS):
        code = ExitCode.USAGE if key_file else ExitCode.PROBLEM
        raise Refused(f"{key_file or address} is no OpenPGP public key.", code)
    return key


def is_armoured(key: bytes) -> bool:
    """Returns whether the key is text, as gpg --armor writes it; else it is binary."""
    return key.lstrip().startswith(_ARMOUR)


def _of_file(path: str) -> bytes:
    try:
        key = read(path).raw
    except FileProblem as problem:
        raise Refused(str(problem), ExitCode.USAGE) from None
    if key is None:
        raise Refused(f"{path} does not exist.", ExitCode.USAGE)
    if len(key) > KEY_LIMIT:
        raise Refused(f"{path} is no OpenPGP public key: it is larger than {KEY_LIMIT >> 10} KiB.", ExitCode.USAGE)
    return key


def _fetched(address: str) -> bytes:
    from gpuctl.host.act.download import DownloadProblem, download  # TLS takes long to load

    try:
        return download(address, KEY_LIMIT, KEY_DEADLINE)
    except DownloadProblem as problem:
        hint = "Bring the repository's public key here by other means, and name it with --key-file."
        raise Refused(f"The key {address} could not be fetched: {problem} {hint}") from None

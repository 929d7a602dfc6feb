"""The file that is a bundle: what pack made is read back, and nothing else whatever it holds."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuctl.provision.bundle.archive import (
    Bundle,
    BundledFile,
    BundledPackage,
    BundleProblem,
    Manifest,
    content_of,
    manifest_json,
    pack,
    unpack,
)
from gpuctl.provision.bundle.openpgp import fingerprints

LONG = f"repodata/{'0123456789abcdef' * 8}-filelists.xml.gz"
FILES, MEMBERS = content_of(
    {"gpuctl.pyz": b"#!/usr/bin/env python3\n" * 30, "key.asc": b"a key"},
    {"InRelease": b"", LONG: b"y", "pool/a_1.0+b~1-1_amd64.deb": b"x" * 512},
)
MANIFEST = Manifest(
    os="ubuntu22.04",
    kind="deb",
    architecture="amd64",
    toolkit="1.20.0-1",
    repository="https://example.invalid/deb",
    fingerprint="0123456789ABCDEF0123456789ABCDEF01234567",
    packages=(BundledPackage("a", "1.0+b~1-1", "repository/pool/a_1.0+b~1-1_amd64.deb"),),
    files=MEMBERS,
)
RAW = pack(Bundle(MANIFEST, FILES))


def archive(files: dict[str, bytes], manifest: str = "", **member: Any) -> bytes:
    """A tar archive as anybody can make one; `member` is what is odd about its last member."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, raw in {"manifest.json": (manifest or manifest_json(MANIFEST)).encode(), **files}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(raw)
            for key, value in member.items() if name == list(files)[-1] else ():
                setattr(entry, key, value)
            tar.addfile(entry, io.BytesIO(raw))
    return out.getvalue()


def telling(**changes: Any) -> bytes:
    """An archive of the same files whose manifest tells something else."""
    told = json.loads(manifest_json(MANIFEST))
    return archive(FILES, json.dumps({**told, **changes}, indent=1) + "\n")


def test_what_was_packed_is_read_back_and_any_tar_opens_it() -> None:
    assert unpack(RAW) == Bundle(MANIFEST, FILES)
    assert pack(unpack(RAW)) == RAW
    assert set(unpack(RAW).repository) == {"InRelease", LONG, "pool/a_1.0+b~1-1_amd64.deb"}
    with tarfile.open(fileobj=io.BytesIO(RAW)) as tar:
        members = {one.name: one for one in tar.getmembers()}
        assert list(members) == ["manifest.json", *FILES]
        assert all((one.mtime, one.uid, one.gid, one.uname) == (0, 0, 0, "") for one in members.values())
        assert [one.name for one in members.values() if one.mode & 0o111] == ["gpuctl.pyz"]


@given(st.integers(0, len(RAW) - 1), st.integers(1, 255))
def test_no_byte_of_it_can_be_changed_but_for_words_of_the_manifest_that_then_says_so(at: int, by: int) -> None:
    changed = bytearray(RAW)
    changed[at] ^= by
    try:
        read = unpack(bytes(changed))
    except BundleProblem:
        return
    assert 512 <= at < 512 + len(manifest_json(MANIFEST))
    assert read.files == FILES
    assert read.manifest != MANIFEST


@given(st.integers(0, len(RAW) - 1))
def test_none_can_be_missing_at_its_end(length: int) -> None:
    with pytest.raises(BundleProblem):
        unpack(RAW[:length])


@given(st.binary(min_size=1, max_size=2000))
def test_none_can_be_added(more: bytes) -> None:
    with pytest.raises(BundleProblem, match="more in it"):
        unpack(RAW + more)


def file(path: str = "key.asc", size: int = 5, sha256: str = "0" * 64, place: str | None = None) -> dict[str, Any]:
    told = path.removeprefix("repository/") if path.startswith("repository/") else ""
    return {"path": path, "size": size, "sha256": sha256, "place": told if place is None else place}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "no bundle"),
        (bytes(10240), "no bundle"),
        (RAW[512:], "no bundle"),
        (archive(FILES), "there is something else"),  # another mode
        (archive({**FILES, "../../etc/cron.d/x": b"* * * * * root sh"}), "there is something else"),
        (archive({**FILES, "key.asc": b""}, type=tarfile.SYMTYPE, linkname="/etc/passwd"), "there is something else"),
        (telling(files=[file("../../etc/cron.d/x")]), "a file that no bundle has: '../../etc/cron.d/x'"),
        (telling(files=[file("/etc/passwd")]), "a file that no bundle has"),
        (telling(files=[file("repository/../key.asc")]), "a file that no bundle has"),
        (telling(files=[file("repository/./a")]), "a file that no bundle has"),
        (telling(files=[file("repository//a")]), "a file that no bundle has"),
        (telling(files=[file("repository/a\x1b[2J")]), "a file that no bundle has"),
        (telling(files=[file("repository/" + "a" * 300)]), "a file that no bundle has"),
        (telling(files=[file("repository/.config")]), "a file that no bundle has"),
        (telling(files=[file("repository/a", place="../../etc/cron.d/x")]), "has: '../../etc/cron.d/x'"),
        (telling(files=[file("repository/a", place="b")]), "a file that no bundle has"),
        (telling(files=[file("key.asc", place="key.asc")]), "a file that no bundle has"),
        (telling(files=[file(), file()]), "or of one twice"),
        (telling(files=[file(f"repository/{number}") for number in range(1000)]), "too many files"),
        (telling(files=[file("repository/a")]), "one key"),
        (telling(files=[file(size=(256 << 20) - 1)]), "larger than 256 MiB"),
        (telling(files=[file(size=1 << 62)]), "its size is out of range"),
        (telling(files=[file(size=-1)]), "its size is out of range"),
        (telling(files=[{**file(), "size": "5"}]), "its size is no whole number"),
        (telling(files=[file(sha256="x")]), "lacks a sum"),
        (telling(files="all"), "its files is no list"),
        (telling(kind="exe"), "what it is for"),
        (telling(os="\x1b[2J"), "what it is for"),
        (telling(fingerprint="ABC"), "lacks a fingerprint"),
        (telling(packages=[{"name": "a", "version": "1", "file": "/bin/sh"}]), "packages that are not in it"),
        (telling(schema="gpuctl.bundle-manifest/2"), "another version of gpuctl made it"),
        (telling(more="x" * (2 << 20)), "no bundle"),
        (archive(FILES, "[" * 10_000), "nested more than"),
        (archive(FILES, "{}"), "another version of gpuctl made it"),
        (archive(FILES, "\x00"), "it is not JSON"),
    ],
)
def test_what_pack_has_not_made_is_refused_by_a_clause(raw: bytes, words: str) -> None:
    with pytest.raises(BundleProblem, match=words):
        unpack(raw)


def test_what_no_reader_would_take_is_not_packed() -> None:
    odd = BundledFile("repository/../x", 1, "0" * 64)
    with pytest.raises(BundleProblem, match="a file that no bundle has"):
        pack(Bundle(replace(MANIFEST, files=(*MANIFEST.files, odd)), FILES))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_key_or_a_sentence(raw: bytes) -> None:
    for one in (raw, b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n" + raw + b"\n-----END PGP PUBLIC KEY BLOCK-----"):
        try:
            assert all(len(name) == 40 for name in fingerprints(one))
        except ValueError as error:
            assert str(error).startswith("it")

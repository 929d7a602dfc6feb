"""Package repositories as NVIDIA has them, signed, of small stand-in packages; built once and served from files."""

from __future__ import annotations

import lzma
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

VERSIONS = ("1.16.2", "1.17.8", "1.18.0")
_PARTS: Mapping[str, Sequence[str]] = {
    "libnvidia-container1": (),
    "libnvidia-container-tools": ("libnvidia-container1",),
    "nvidia-container-toolkit-base": (),
    "nvidia-container-toolkit": ("nvidia-container-toolkit-base", "libnvidia-container-tools"),
}
_SUMS = ("SHA256", "SHA512")
_SETTINGS = "/etc/nvidia-container-runtime/config.toml"


def run(*argv: str, folder: Path | None = None, **env: str) -> bytes:
    """Returns what a command of the test's own wrote to stdout. Raises where it failed."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent", "LC_ALL": "C", **env}
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


class Signer:
    """A key pair. `public` is a file of the public key in text, as NVIDIA has it."""

    def __init__(self, folder: Path) -> None:
        self.home = folder
        self.home.mkdir(mode=0o700)
        identity = "gpuctl's tests <tests@example.invalid>"
        self.gpg("--passphrase", "", "--quick-gen-key", identity, "rsa2048", "sign", "never")
        self.public = folder.with_suffix(".asc")
        self.public.write_bytes(self.gpg("--export", "--armor"))

    def gpg(self, *words: str, folder: Path | None = None) -> bytes:
        return run("gpg", "--batch", "--yes", "--quiet", *words, folder=folder, GNUPGHOME=str(self.home))

    def close(self) -> None:
        run("gpgconf", "--kill", "all", GNUPGHOME=str(self.home))


@dataclass(frozen=True)
class Repositories:
    """Addresses, and files of keys. `other` signs nothing here; `signer` can sign more, and keeps `key`."""

    place: Path
    apt: str
    key: str
    other: str
    signer: Signer


@contextmanager
def built_repositories() -> Iterator[Repositories]:
    """Gives them in a folder that all may read, and takes it away again."""
    with ExitStack() as stack:
        place = Path(tempfile.mkdtemp(prefix="repositories-"))
        stack.callback(shutil.rmtree, place)
        place.chmod(0o755)
        signer, other = Signer(place / "signer"), Signer(place / "other")
        stack.callback(signer.close)
        stack.callback(other.close)
        apt = build_apt(place / "deb", signer)
        build_rpm(place / "rpm", signer, ("1.17.8", "1.18.0"))
        build_apt(place / "distribution", signer, ("1.12.1",), old=False)
        yield Repositories(place, f"file://{apt}", str(signer.public), str(other.public), signer)


def build_apt(
    folder: Path,
    signer: Signer,
    versions: Sequence[str] = VERSIONS,
    old: bool = True,
    programs: Mapping[str, str] = {},
) -> Path:
    """Returns a flat repository of the toolkit in these versions; `old`: with nvidia-docker2 2.13.0 too.

    `programs` are files of nvidia-container-toolkit-base that can be run, by their paths.
    """
    folder.mkdir(parents=True)
    for version in versions:
        for name, needs in _PARTS.items():
            ours = programs if name == "nvidia-container-toolkit-base" else {}
            _deb(folder, name, f"{version}-1", [f"{need} (= {version}-1)" for need in needs], ours)
    if old:
        _deb(folder, "nvidia-docker2", "2.13.0-1", ["nvidia-container-toolkit (>= 1.13.0-1)"])
    packages = run("apt-ftparchive", "packages", ".", folder=folder)
    (folder / "Packages").write_bytes(packages)
    (folder / "Packages.xz").write_bytes(lzma.compress(packages))
    sign_apt(folder, signer)
    return folder


def sign_apt(folder: Path, signer: Signer, *sums: str) -> None:
    """Writes InRelease for the lists that are there, with these sums: as NVIDIA does, SHA512 alone."""
    for name in ("Release", "InRelease"):
        (folder / name).unlink(missing_ok=True)
    settings = {"Origin": "tests", **{name: str(name in (sums or ("SHA512",))) for name in ("MD5", "SHA1", *_SUMS)}}
    options = (word for name, value in settings.items() for word in ("-o", f"APT::FTPArchive::Release::{name}={value}"))
    release = run("apt-ftparchive", *options, "release", ".", folder=folder)
    (folder / "Release").write_bytes(release)
    signer.gpg("--clearsign", "-o", "InRelease", "Release", folder=folder)


def _deb(folder: Path, name: str, version: str, needs: Sequence[str], programs: Mapping[str, str] = {}) -> None:
    tree = folder / "build"
    (tree / "DEBIAN").mkdir(parents=True)
    fields = {
        "Package": name,
        "Version": version,
        "Architecture": "amd64",
        "Maintainer": "tests <tests@example.invalid>",
        **({"Depends": ", ".join(needs)} if needs else {}),
        "Description": "stand-in",
    }
    (tree / "DEBIAN/control").write_text("".join(f"{field}: {value}\n" for field, value in fields.items()))
    for path, text in {**_files(name, version), **programs}.items():
        (tree / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (tree / path.lstrip("/")).write_text(text)
        (tree / path.lstrip("/")).chmod(0o755 if path in programs else 0o644)
    if name == "nvidia-container-toolkit-base":
        (tree / "DEBIAN/conffiles").write_text(f"{_SETTINGS}\n")
    # Time enough for a test to kill what installs it, and a script that fails.
    (tree / "DEBIAN/postinst").write_text("#!/bin/sh\n[ ! -e /srv/slow ] || sleep 3\n[ ! -e /srv/broken ]\n")
    (tree / "DEBIAN/postinst").chmod(0o755)
    run("dpkg-deb", "--root-owner-group", "-Zgzip", "-b", str(tree), f"{folder}/{name}_{version}_amd64.deb")
    shutil.rmtree(tree)


def _files(name: str, version: str) -> dict[str, str]:
    files = {f"/usr/share/gpuctl-tests/{name}": version}
    if name == "nvidia-container-toolkit-base":
        files[_SETTINGS] = "# settings\n"
    return files


def build_rpm(folder: Path, signer: Signer, versions: Sequence[str] = VERSIONS) -> Path:
    """Returns a repository of rpm packages of the toolkit in these versions, with nvidia-docker2 2.13.0."""
    packages = folder / "x86_64"
    packages.mkdir(parents=True)
    for version in versions:
        for name, needs in _PARTS.items():
            _rpm(packages, name, version, [f"{need} = {version}-1" for need in needs])
    _rpm(packages, "nvidia-docker2", "2.13.0", ["nvidia-container-toolkit >= 1.13.0"])
    run("createrepo_c", "--quiet", "--checksum", "sha512", "--no-database", str(packages))
    signer.gpg("--detach-sign", "--armor", "repodata/repomd.xml", folder=packages)
    shutil.copy(signer.public, packages / "repodata/repomd.xml.key")
    return packages


def _rpm(folder: Path, name: str, version: str, needs: Sequence[str]) -> None:
    file = f"/usr/share/gpuctl-tests/{name}"
    lines = [
        *(f"Name: {name}", f"Version: {version}", "Release: 1", "Summary: stand-in", "License: none"),
        *("BuildArch: x86_64", *(f"Requires: {need}" for need in needs), "%description", "stand-in"),
        *("%install", f"mkdir -p %{{buildroot}}{file.rpartition('/')[0]}", f"echo {version} > %{{buildroot}}{file}"),
        *("%files", file),
    ]
    spec = folder.parent / f"{name}.spec"
    spec.write_text("\n".join(lines) + "\n")
    places = {
        "_topdir": folder.parent / "build",
        "_rpmdir": folder,
        "_build_name_fmt": f"{name}-{version}-1.x86_64.rpm",
    }
    defines = (word for key, value in places.items() for word in ("--define", f"{key} {value}"))
    run("rpmbuild", "-bb", "--target", "x86_64", "--quiet", *defines, str(spec))

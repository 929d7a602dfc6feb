"""Writes data/library_packages.jsonl: which packages of distributions hold what applications need.

    python data/build_library_packages.py CONTENTS CHISEL PLAYWRIGHT…

CONTENTS is a folder with Debian's indices of files (dists/bookworm/main/Contents-amd64.gz of a mirror) by the name
bookworm.gz; CHISEL a clone of github.com/canonical/chisel-releases with its branches, which say of Ubuntu's
packages what lies in them; PLAYWRIGHT files of playwright-core (npm) that hold its table lib2package. Rows whose source
is none of these are kept. Not part of any test: what it reads is not bundled.
"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

TABLE = Path(__file__).with_name("library_packages.jsonl")
DEBIAN = {"bullseye": "debian11", "bookworm": "debian12", "trixie": "debian13"}
UBUNTU = ("20.04", "22.04", "24.04", "26.04")
DEBIAN_SOURCE = "deb.debian.org (main/Contents-amd64.gz)"
CHISEL = "canonical/chisel-releases"
PLAYWRIGHT = "npm's playwright-core (lib2package)"
_NOT_MEANT = ("libc6", "libelogind0")
"""What the patterns or names of others catch besides."""
LIBRARIES = """
libgomp.so.1 libgcc_s.so.1 libstdc++.so.6 libatomic.so.1 libquadmath.so.0 libgfortran.so.5 libitm.so.1 libomp.so.5
libtbb.so.2 libtbb.so.12 libtbbmalloc.so.2 libhwloc.so.15 libnuma.so.1 libnl-3.so.200 libnl-route-3.so.200
libibverbs.so.1 librdmacm.so.1 libmlx5.so.1 libucp.so.0 libmpi.so.40 libmpi_cxx.so.40 libpmix.so.2 libfabric.so.1
libz.so.1 libbz2.so.1.0 liblzma.so.5 libzstd.so.1 liblz4.so.1 libsnappy.so.1 libarchive.so.13 libminizip.so.1
libssl.so.1.0.0 libssl.so.1.0.2 libssl.so.1.1 libssl.so.3 libcrypto.so.1.0.0 libcrypto.so.1.0.2 libcrypto.so.1.1
libcrypto.so.3 libgcrypt.so.20 libgnutls.so.30 libsodium.so.23 libcurl.so.4 libcurl-gnutls.so.4 libnghttp2.so.14
libssh2.so.1 libssh.so.4 libidn2.so.0 libkrb5.so.3 libgssapi_krb5.so.2 libldap-2.4.so.2 libldap-2.5.so.0
libldap.so.2 libsasl2.so.2 libexpat.so.1 libxml2.so.2 libxml2.so.16 libxslt.so.1 libyaml-0.so.2 libjansson.so.4
libpcre.so.3 libpcre2-8.so.0 libreadline.so.8 libncurses.so.5 libncurses.so.6 libncursesw.so.6 libtinfo.so.5
libtinfo.so.6 libuuid.so.1 libcap.so.2 libseccomp.so.2 libselinux.so.1 libdbus-1.so.3 libudev.so.1 libsystemd.so.0
libusb-1.0.so.0 libsqlite3.so.0 libpq.so.5 libmysqlclient.so.21 libmariadb.so.3 libodbc.so.2 libdb-5.3.so
libhiredis.so.0.14 libevent-2.1.so.6 libevent-2.1.so.7 libuv.so.1 libev.so.4 libffi.so.7 libffi.so.8
libglib-2.0.so.0 libgthread-2.0.so.0 libgobject-2.0.so.0 libgio-2.0.so.0 libgmodule-2.0.so.0 libpython2.7.so.1.0
libpython3.9.so.1.0 libpython3.11.so.1.0 libpython3.12.so.1.0 libpython3.13.so.1.0 liblua5.1.so.0 liblua5.3.so.0
libruby-2.7.so.2.7 libperl.so.5.32 libperl.so.5.36 libR.so libjemalloc.so.2 libtcmalloc.so.4
libtcmalloc_minimal.so.4 libprofiler.so.0 libunwind.so.8 libelf.so.1 libdw.so.1 libbsd.so.0 libtirpc.so.3
libnsl.so.2 libcrypt.so.1 libaio.so.1 libaio.so.1t64 liburing.so.2 libblas.so.3 liblapack.so.3 libopenblas.so.0
libatlas.so.3 libcblas.so.3 libfftw3.so.3 libfftw3f.so.3 libgsl.so.25 libgsl.so.27 libgsl.so.28 libgmp.so.10
libmpfr.so.6 libhdf5_serial.so.103 libnetcdf.so.18 libnetcdf.so.19 libprotobuf.so.23 libprotobuf.so.32 libglog.so.0
libgflags.so.2.2 libleveldb.so.1d liblmdb.so.0 libzmq.so.5 librdkafka.so.1 libboost_system.so.1.74.0
libboost_filesystem.so.1.74.0 libboost_thread.so.1.74.0 libboost_program_options.so.1.74.0
libboost_python39.so.1.74.0 libjpeg.so.8 libjpeg.so.62 libturbojpeg.so.0 libpng16.so.16 libtiff.so.5 libtiff.so.6
libwebp.so.6 libwebp.so.7 libwebpdemux.so.2 libopenjp2.so.7 libgif.so.7 liblcms2.so.2 libfreetype.so.6
libfontconfig.so.1 libharfbuzz.so.0 libcairo.so.2 libpango-1.0.so.0 libpangocairo-1.0.so.0 libgdk_pixbuf-2.0.so.0
libgtk-x11-2.0.so.0 libgdk-x11-2.0.so.0 libgtk-3.so.0 libgdk-3.so.0 libgtk-4.so.1 libavcodec.so.58 libavcodec.so.59
libavcodec.so.61 libavformat.so.58 libavformat.so.59 libavformat.so.61 libavutil.so.56 libavutil.so.57
libavutil.so.59 libswscale.so.5 libswscale.so.6 libswscale.so.8 libswresample.so.3 libswresample.so.4
libswresample.so.5 libx264.so.160 libx264.so.164 libvpx.so.6 libvpx.so.7 libvpx.so.9 libopus.so.0 libogg.so.0
libvorbis.so.0 libsndfile.so.1 libsamplerate.so.0 libmp3lame.so.0 libasound.so.2 libpulse.so.0 libportaudio.so.2
libsox.so.3 libgstreamer-1.0.so.0 libgstbase-1.0.so.0 libgstapp-1.0.so.0 libgstvideo-1.0.so.0
libgstallocators-1.0.so.0 libgstaudio-1.0.so.0 libgstpbutils-1.0.so.0 libgsttag-1.0.so.0 libpulse-simple.so.0
libpulse-mainloop-glib.so.0 libva.so.2 libva-drm.so.2 libva-x11.so.2 libvdpau.so.1 libavfilter.so.7 libavfilter.so.8
libavfilter.so.10 libavdevice.so.58 libavdevice.so.59 libavdevice.so.61 libopencv_core.so.406 libopencv_core.so.4.5
libSDL2-2.0.so.0 libopenal.so.1 libGL.so.1 libGLX.so.0 libEGL.so.1 libGLdispatch.so.0 libOpenGL.so.0 libGLESv2.so.2
libGLU.so.1 libglut.so.3 libGLEW.so.2.1 libGLEW.so.2.2 libglfw.so.3 libvulkan.so.1 libgbm.so.1 libdrm.so.2
libOpenCL.so.1 libOSMesa.so.8 libX11.so.6 libX11-xcb.so.1 libXext.so.6 libXrender.so.1 libXi.so.6 libXrandr.so.2
libXcursor.so.1 libXfixes.so.3 libXinerama.so.1 libXdamage.so.1 libXcomposite.so.1 libXtst.so.6 libXt.so.6
libXmu.so.6 libXxf86vm.so.1 libXss.so.1 libXft.so.2 libSM.so.6 libICE.so.6 libXpm.so.4 libXv.so.1 libXau.so.6
libXdmcp.so.6 libxcb.so.1 libxcb-glx.so.0 libxcb-randr.so.0 libxcb-render.so.0 libxcb-shape.so.0 libxcb-sync.so.1
libxcb-xfixes.so.0 libxcb-xkb.so.1 libxcb-util.so.1 libxcb-shm.so.0 libxcb-dri3.so.0 libxcb-icccm.so.4
libxcb-image.so.0 libxcb-keysyms.so.1 libxcb-render-util.so.0 libxcb-xinerama.so.0 libxcb-cursor.so.0
libxkbcommon.so.0 libxkbcommon-x11.so.0 libxshmfence.so.1 libwayland-client.so.0 libwayland-egl.so.1
libwayland-server.so.0 libwayland-cursor.so.0 libcairo-gobject.so.2 libspeechd.so.2 libatk-1.0.so.0
libatk-bridge-2.0.so.0 libatspi.so.0 libcups.so.2 libnss3.so libnssutil3.so libnspr4.so libsmime3.so libpcap.so.0.8
libzbar.so.0 libtesseract.so.4 libtesseract.so.5 libgdal.so.28 libgdal.so.32 libgeos_c.so.1 libproj.so.19
libproj.so.25 libxerces-c-3.2.so libfmt.so.7 libfmt.so.9 libspdlog.so.1 libyaml-cpp.so.0.6 libyaml-cpp.so.0.7
libjsoncpp.so.24 libjsoncpp.so.25 libassimp.so.5 libre2.so.9 libgrpc++.so.1 libdouble-conversion.so.3
libsecret-1.so.0 libnotify.so.4 libepoxy.so.0 libQt5Core.so.5 libQt5Gui.so.5 libQt5Widgets.so.5 libQt6Core.so.6
libpostproc.so.55 libpostproc.so.56 libxxhash.so.0 libass.so.9 libevent_core-2.1.so.7 libevent_pthreads-2.1.so.7
libopen-pal.so.40 libopen-rte.so.40 liboshmem.so.40 liblept.so.5 libicuuc.so.66 libicuuc.so.67 libicuuc.so.70
libicuuc.so.72 libicuuc.so.74 libicuuc.so.76 libicuuc.so.78 libicui18n.so.66 libicui18n.so.67 libicui18n.so.70
libicui18n.so.72 libicui18n.so.74 libicui18n.so.76 libicui18n.so.78 libicudata.so.66 libicudata.so.67
libicudata.so.70 libicudata.so.72 libicudata.so.74 libicudata.so.76 libicudata.so.78 libheif.so.1
libOpenEXR-3_1.so.30 libImath-3_1.so.29 libavif.so.15 libavif.so.16 libbluray.so.2 libuchardet.so.0
libpipewire-0.3.so.0 libopencv_imgproc.so.406 libopencv_imgcodecs.so.406 libopencv_videoio.so.406
libopencv_highgui.so.406 libopencv_dnn.so.406 libopencv_calib3d.so.406 libopencv_features2d.so.406
libopencv_flann.so.406 libopencv_ml.so.406 libopencv_objdetect.so.406 libopencv_video.so.406 libopencv_photo.so.406
libmosquitto.so.1 libcjson.so.1 libbrotlidec.so.1 libbrotlicommon.so.1 libdeflate.so.0 libaec.so.0 libltdl.so.7
libedit.so.2 libcares.so.2 liblua5.4.so.0 librsvg-2.so.2 libsoup-2.4.so.1 libsoup-3.0.so.0 libjson-glib-1.0.so.0
libmpc.so.3 libraw1394.so.11 libdc1394.so.25 libavahi-client.so.3 libavahi-common.so.3 libopenslide.so.0
libboost_system.so.1.83.0 libboost_filesystem.so.1.83.0 libboost_thread.so.1.83.0 libboost_program_options.so.1.83.0
libbz2.so.1 libsasl2.so.3 libpcap.so.1 libcrypt.so.2 libedit.so.0 libnsl.so.1 libprotobuf.so.30
libmagic.so.1 libkmod.so.2 libacl.so.1 libattr.so.1 libpam.so.0 libmount.so.1 libblkid.so.1 libgdbm.so.6
librtmp.so.1 libpsl.so.5 libtasn1.so.6 libp11-kit.so.0 libhogweed.so.6 libnettle.so.8 libunistring.so.2
libunistring.so.5 libjack.so.0 libcaca.so.0 libcolord.so.2 libgphoto2.so.6
""".split()  # noqa: SIM905  # as a list, one a line
PROGRAMS = """
bash perl python3 python2.7 python3.9 python3.11 python3.13 ruby lua5.3 node nodejs tcsh zsh ksh93 gawk Rscript expect
""".split()  # noqa: SIM905


def main(contents: Path, chisel: Path, bundles: list[Path]) -> None:
    """Writes the table, its rows in the order of the lists above."""
    found: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for code, system in DEBIAN.items():
        for file, package in _debian(contents / f"{code}.gz"):
            found[file, package][DEBIAN_SOURCE].add(system)
    told = {(file, package.removesuffix("t64")) for file, package in found}
    for version in UBUNTU:
        for file, package, exact in _chisel(chisel, version):
            # libssl.so.* in a slice of libssl3 is no word on libssl.so.1.1: Debian tells which of them is meant.
            if exact or (file, package.removesuffix("t64")) in told:
                found[file, package][CHISEL].add(f"ubuntu{version}")
    for bundle in bundles:
        for file, package, system in _playwright(bundle.read_text(encoding="utf-8")):
            found[file, package][PLAYWRIGHT].add(system)
    replace({key: told for key, told in found.items() if key[1] not in _NOT_MEANT})


def replace(found: Mapping[tuple[str, str], Mapping[str, set[str]]]) -> None:
    """Puts what sources tell in the place of what the table has from them and of their systems; the rest stays.

    `found`: by file and package, on which systems each source has it.
    """
    sources = {source for told in found.values() for source in told}
    systems = {system for told in found.values() for named in told.values() for system in named}
    rows = {row["file"]: row for row in map(json.loads, TABLE.read_text().splitlines())}
    for row in rows.values():
        kept = {
            package: " ".join(one for one in on.split() if one not in systems)
            for package, on in row["packages"].items()
        }
        row["packages"] = {package: on for package, on in kept.items() if on}
        row["source"] = "; ".join(one for one in row["source"].split("; ") if one not in sources)
    for (file, package), told in found.items():
        row = rows.setdefault(file, {"file": file, "packages": {}, "source": ""})
        named = set(row["packages"].get(package, "").split()).union(*told.values())
        row["packages"][package] = " ".join(sorted(named))
        row["source"] = "; ".join(dict.fromkeys((*filter(None, row["source"].split("; ")), *sorted(told))))
    order = {name: number for number, name in enumerate((*LIBRARIES, *PROGRAMS))}
    full = sorted((row for row in rows.values() if row["packages"]), key=lambda row: order.get(row["file"], len(order)))
    TABLE.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in full))


def _debian(path: Path) -> Iterator[tuple[str, str]]:
    """usr/lib/x86_64-linux-gnu/libnuma.so.1                   libs/libnuma1"""
    libraries, programs = set(LIBRARIES), set(PROGRAMS)
    place = re.compile(
        r"(?:usr/)?lib/(?:x86_64-linux-gnu/)?(?:(?:blas|lapack|R/lib)/|openblas-pthread/(?=libopenblas))?([^/\s]+)"
    )
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            name, _, packages = line.rstrip("\n").rpartition(" ")
            library, program = place.fullmatch(name.rstrip()), re.fullmatch(r"(?:usr/)?bin/(\S+)", name.rstrip())
            hit = (library and library[1] in libraries and library[1]) or (
                program and program[1] in programs and program[1]
            )
            if hit:
                yield hit, _plainest(packages)


def _plainest(packages: str) -> str:
    """Of packages that hold the same file, the one with the shortest name is the one that others vary."""
    return min((one.rpartition("/")[2] for one in packages.split(",")), key=lambda name: (len(name), name))


def _chisel(clone: Path, version: str) -> Iterator[tuple[str, str, bool]]:
    """package: libnuma1 … /usr/lib/*-linux-*/libnuma.so.*: and whether the file is named itself"""

    def git(*words: str) -> str:
        argv = ("git", "-C", str(clone), *words)
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    for path in git("ls-tree", "-r", "--name-only", f"ubuntu-{version}", "slices").split():
        text = git("show", f"ubuntu-{version}:{path}")
        package = re.search(r"^package: (\S+)", text, re.MULTILINE)
        patterns = re.findall(r"^\s+/(?:usr/)?lib/(?:\*-linux-\*/)?([^\s/]*\.so[^\s/:]*):", text, re.MULTILINE)
        for pattern in patterns if package else []:
            hits = [file for file in LIBRARIES if re.fullmatch(_as_regex(pattern), file)]
            yield from ((file, package[1], file == pattern) for file in hits)


def _as_regex(glob: str) -> str:
    return re.escape(glob).replace(r"\*", ".*").replace(r"\?", ".")


def _playwright(text: str) -> Iterator[tuple[str, str, str]]:
    """ "ubuntu22.04-x64": { … lib2package: { "libasound.so.2": "libasound2", …"""
    starts = list(re.finditer(r"""["'](ubuntu|debian)([0-9.]+)(?:-x64)?["']: \{""", text))
    for start, end in zip(starts, [*(one.start() for one in starts[1:]), len(text)], strict=True):
        body = re.search(r"lib2package: \{(.*?)\}", text[start.end() : end], re.DOTALL)
        pairs = re.findall(r"""["'](lib[^"']+\.so[^"']*)["']: ["']([^"']+)["']""", body[1] if body else "")
        yield from ((file, package, start[1] + start[2]) for file, package in pairs if file in LIBRARIES)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [Path(one) for one in sys.argv[3:]])

"""`gpuctl bundle`: all that an air-gapped host needs for NVIDIA's toolkit, in one file."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from gpuctl.cli.frame.endings import refused
from gpuctl.cli.frame.options import Json, text_option
from gpuctl.model import ExitCode


def command(
    os: Annotated[str, text_option("--os", metavar="NAME", help="The hosts' distribution: ubuntu22.04, rhel9.")],
    output: Annotated[str, text_option("-o", "--output", metavar="FILE", help="The file to write, - for stdout.")],
    toolkit: Annotated[
        str | None,
        text_option("--toolkit", metavar="VERSION", help="This version of the toolkit, instead of the newest."),
    ] = None,
    arch: Annotated[Literal["amd64", "arm64"], typer.Option("--arch", help="The hosts' processors.")] = "amd64",
    zipapp: Annotated[
        str | None,
        text_option("--zipapp", metavar="FILE", help="gpuctl.pyz of this release, to take along."),
    ] = None,
    repo_url: Annotated[
        str | None,
        text_option("--repo-url", metavar="URL", help="A mirror of NVIDIA's repository."),
    ] = None,
    key_file: Annotated[
        str | None,
        text_option("--key-file", metavar="FILE", help="The key that signs the repository."),
    ] = None,
    json: Json = False,
) -> None:
    """Put the packages of NVIDIA's toolkit into one file, verified, for hosts without a network."""
    import sys

    from gpuctl.host.write.output import is_stdout
    from gpuctl.provision.bundle.archive import BundleProblem, pack
    from gpuctl.provision.bundle.build import BundleWish, build_bundle
    from gpuctl.provision.result import Refused
    from gpuctl.render.draw.progress import working
    from gpuctl.render.views.bundle import bundle_json, bundle_text

    printed = is_stdout(output)
    if printed and json:
        raise typer.BadParameter("the bundle itself goes to stdout: leave out --json, or name a file")
    if printed and sys.stdout.isatty():
        raise typer.BadParameter("a bundle is no text for a terminal: name a file, or pipe it on", param_hint="-o")
    wish = BundleWish(_known_os(os), arch, toolkit, repo_url, key_file, _zipapp(zipapp))
    try:
        with working("Fetching the packages"):
            bundle = build_bundle(wish)
        raw = pack(bundle)
    except Refused as problem:
        raise refused(str(problem), problem.code) from None
    except BundleProblem as problem:
        raise refused(f"No bundle can hold this: {problem}.", ExitCode.PROBLEM) from None
    _write(output, raw)
    if json:
        typer.echo(bundle_json(bundle.manifest, output, raw))
    else:
        bundle_text(bundle.manifest, None if printed else output, len(raw), key_file).show(
            sys.stderr if printed else sys.stdout
        )


def _known_os(name: str) -> str:
    from gpuctl.provision.bundle.build import manager_of

    try:
        manager_of(name)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--os") from None
    return name


def _zipapp(path: str | None) -> bytes | None:
    from gpuctl.host.write.files import FileProblem, read_named
    from gpuctl.provision.bundle.build import check_zipapp
    from gpuctl.render.draw.text import plain

    if path is None:
        return None
    try:
        raw = read_named(path)
        check_zipapp(raw)
    except FileProblem as problem:
        raise refused(str(problem)) from None
    except ValueError as error:
        raise typer.BadParameter(plain(f"{path}: {error}"), param_hint="--zipapp") from None
    return raw


def _write(path: str, raw: bytes) -> None:
    from gpuctl.host.write.output import FileProblem, NoPlaceForFile, write_whole
    from gpuctl.render.draw.text import plain

    try:
        write_whole(path, raw, 0o644)
    except NoPlaceForFile as problem:
        raise typer.BadParameter(plain(str(problem)), param_hint="--output") from None
    except FileProblem as problem:
        raise refused(str(problem), ExitCode.PROBLEM) from None

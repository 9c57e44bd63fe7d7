"""The verbs of a student's life: fetched, looked at, taken back; signed and released."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from lorgnette._output import STUDENT, Key, progress_bar
from lorgnette.errors import InvalidConfiguration
from lorgnette.text import visible

Url = Annotated[str, typer.Argument(help="Address of the service.")]
Name = Annotated[str | None, typer.Argument(help="Which student.", show_default="its only one")]
PublicKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--public-key",
        envvar="LORGNETTE_PUBLIC_KEY",
        help="Take only what this Ed25519 key signed (base64; repeatable).",
        show_default=False,
    ),
]
Signer = Annotated[
    Path | None, typer.Option("--key", help="The private key that signs.", show_default=False)
]
Bundled = Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle's directory.")]


def pull(
    url: Url,
    name: Name = None,
    *,
    to: Annotated[Path, typer.Option(help="The directory that becomes the bundle.")] = STUDENT,
    key: Key = None,
    public_keys: PublicKeys = None,
) -> None:
    """Fetch a student bundle from a service, or bring one up to date.

    Every file is verified before the directory is replaced; what was cut goes
    on where it stopped. What was replaced is kept: `lorgnette rollback`.

    \b
    Examples:
      lorgnette pull http://127.0.0.1:8080
      lorgnette pull https://photos.example student --to models/student
    """
    from lorgnette.pull import pull_bundle

    with ExitStack() as stack:
        bundle = pull_bundle(
            url,
            name,
            to=to,
            key=key,
            on_progress=progress_bar(stack),
            public_keys=public_keys or (),
        )
    manifest = bundle.manifest
    typer.echo(f"{to} holds {manifest.name} {manifest.version} of space {manifest.space.id}")


def models(url: Url, *, key: Key = None) -> None:
    """List the students that a service hands out.

    \b
    Examples:
      lorgnette models http://127.0.0.1:8080
    """
    from lorgnette.client import Client

    with Client(url, key=key) as client:
        found = client.models()
    if not found:
        typer.echo("the service hands out no student")
    for student in found:
        columns = (student.name, student.version, student.space)
        typer.echo("  ".join(visible(column) for column in columns))


def rollback(
    directory: Annotated[
        Path, typer.Argument(metavar="DIRECTORY", help="Where the student is.")
    ] = STUDENT,
    *,
    public_keys: PublicKeys = None,
) -> None:
    """Put the student that was in use before back in use, without a network.

    The other one is kept in its place: a second rollback brings it back. An
    application that updates by itself does not fetch it again.

    \b
    Examples:
      lorgnette rollback
      lorgnette rollback models/student
    """
    from lorgnette.models.store import ModelStore

    # No address is asked: nothing is sent.
    store = ModelStore("http://localhost", directory, public_keys=public_keys or ())
    manifest = store.rollback().bundle.manifest
    typer.echo(f"{directory} holds {manifest.name} {manifest.version} again")


def sign(
    bundle: Annotated[
        Path | None, typer.Argument(metavar="[BUNDLE]", help="The bundle's directory.")
    ] = None,
    *,
    key: Signer = None,
    new_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Make a private key and print its public key."),
    ] = None,
) -> None:
    """Sign a bundle's manifest and release, so that devices know who made them.

    Keep the private key off the server. Devices are given the public key
    (`lorgnette pull --public-key`, `ModelStore(public_keys=...)`).

    \b
    Examples:
      lorgnette sign --new-key release.key
      lorgnette sign models/student --key release.key
    """
    from lorgnette.bundle import read_manifest
    from lorgnette.models import signing

    if key is not None and new_key is not None:
        raise InvalidConfiguration("--new-key makes the key that --key names: give one of them")
    if bundle is not None:
        read_manifest(bundle)
    if new_key is not None:
        typer.echo(signing.new_key(new_key))
    if bundle is not None:
        signer = key or new_key
        if signer is None:
            raise InvalidConfiguration("what signs? add --key FILE (--new-key FILE makes one)")
        public = _sign_all(bundle, signer)
        typer.echo(f"{bundle} is signed; its public key is {public}")
    elif new_key is None:
        raise InvalidConfiguration("nothing to do: name a bundle, or make a key with --new-key")


def release(
    bundle: Bundled,
    *,
    rollout: Annotated[int, typer.Option(min=0, max=100, help="Percent of the devices.")] = 100,
    min_sdk: Annotated[str, typer.Option(help="The oldest SDK that may have it.")] = "0.0.0",
    key: Signer = None,
) -> None:
    """Say which devices may have a student: a share of them, and from which SDK on.

    Writes release.json beside the manifest; the running service hands it out
    at once. Widen a rollout by running it again with more.

    \b
    Examples:
      lorgnette release models/student --rollout 5 --key release.key
      lorgnette release models/student --rollout 100 --min-sdk 0.2.0
    """
    from pydantic import ValidationError

    from lorgnette.bundle import MANIFEST_NAME, read_manifest
    from lorgnette.durable import replace_file
    from lorgnette.models.release import RELEASE_NAME, Release
    from lorgnette.models.signing import SIGNATURE_SUFFIX

    read_manifest(bundle)
    digest = hashlib.sha256((bundle / MANIFEST_NAME).read_bytes()).hexdigest()
    try:
        said = Release(
            schema_version=1, manifest_sha256=digest, min_sdk=min_sdk, rollout_percent=rollout
        )
    except ValidationError as error:
        raise InvalidConfiguration(f"--min-sdk is {min_sdk!r}: expected 1.2.3") from error
    is_signed = (bundle / (MANIFEST_NAME + SIGNATURE_SUFFIX)).exists()
    if is_signed and key is None:
        raise InvalidConfiguration(f"{bundle} is signed, so must be its release: add --key FILE")
    replace_file(bundle / RELEASE_NAME, said.dump())
    if key is not None:
        _sign_all(bundle, key)
    typer.echo(f"{bundle}: {rollout} % of the devices, lorgnette {min_sdk} or newer")


def _sign_all(bundle: Path, key: Path) -> str:
    """Sign the manifest and the release if there is one; return the public key."""
    from lorgnette.bundle import MANIFEST_NAME, read_manifest
    from lorgnette.durable import replace_file
    from lorgnette.models import signing
    from lorgnette.models.release import RELEASE_NAME

    private = signing.read_key(key)
    read_manifest(bundle)
    for name in (MANIFEST_NAME, RELEASE_NAME):
        if (bundle / name).exists():
            content = signing.sign((bundle / name).read_bytes(), private)
            replace_file(bundle / (name + signing.SIGNATURE_SUFFIX), content)
    return signing.public_key(private)

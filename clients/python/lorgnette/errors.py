"""Every error lorgnette raises on purpose, in one tree.

    LorgnetteError
      x InvalidInput                what the caller gave cannot be used
        - InvalidImage              not an image we read, or a broken one
          · ImageTooLarge           refused before it was decoded
        - InvalidVector             wrong length, not finite, or zero
        - InvalidRequest            any other part of a request or an argument
          · BodyTooLarge            the request is longer than the server reads
      x SpaceMismatch               vectors of two spaces were about to be compared
      x InvalidBundle               a bundle directory is incomplete or malformed
        - BundleCorrupt             a file does not have the sha256 its manifest states
        - InvalidSignature          none of the configured keys signed it
        - SdkTooOld                 its release needs a newer SDK than this one
        - GoldenMismatch            the model does not reproduce its golden vectors
        - ExportMismatch            an exported graph is not the trained network
      x RefusedByServer             the server understood and said no
        - Unauthorized              no key, or an unknown one
        - Forbidden                 the key does not open this door
        - NotFound
        - Conflict                  something else is in the way; try again later
        - TooManyRequests
      x Unreachable                 no answer was had
        - Unavailable               the server is loading, draining or overloaded
        - ServerFault               the server failed; its log knows the request id
        - TimedOut
      x InvalidConfiguration        settings or command line that cannot work
        - MissingExtra              an optional part is not installed
        - InvalidDataset            a data set that is incomplete, in another layout, or broken
          · UnsafeFile              an archive or a pickle that would do more than hold data
          · ChecksumMismatch        a download is not the file that was expected
      x GalleryBusy                 another process is writing to this gallery
      x InvalidGallery              a data directory that cannot be read or trusted
      x DiskFull                    no space left to write to
      x NotEnoughMemory             the work would not fit; it was not begun

`code` is stable: it ends a problem's `type` (RFC 9457); `lorgnette.error_codes` maps it back.
"""

from __future__ import annotations

from typing import ClassVar


class LorgnetteError(Exception):
    """Base of the tree. `str(error)` says what was expected, what was found, and the way out."""

    code: ClassVar[str] = "error"

    def __init_subclass__(cls, *, code: str | None = None) -> None:
        """Give the class its code. One without travels as its parent."""
        super().__init_subclass__()
        if code is not None:
            cls.code = code


class InvalidInput(LorgnetteError, code="invalid-input"):
    """What the caller gave cannot be used; trying again unchanged will not help."""


class InvalidImage(InvalidInput, code="invalid-image"):
    """Not an image of a supported format, or one that ends too early."""


class ImageTooLarge(InvalidImage, code="image-too-large"):
    """More pixels than the cap; refused from the header, before anything was decoded."""


class InvalidVector(InvalidInput, code="invalid-vector"):
    """Wrong length, NaN or infinite (also after the cast to float16), or without direction."""


class InvalidRequest(InvalidInput, code="invalid-request"):
    """Any other part of a request or an argument that cannot be used."""


class BodyTooLarge(InvalidRequest, code="body-too-large"):
    """The request body is longer than the server reads."""


class SpaceMismatch(LorgnetteError, code="space-mismatch"):
    """Vectors of two different spaces were about to be compared.

    expected: the space id(s) the other side speaks. found: the one that was offered.
    students: names of the bundles, served under `/models`, whose vectors would fit.
    """

    def __init__(
        self,
        message: str,
        *,
        expected: tuple[str, ...] = (),
        found: str = "",
        students: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.expected = expected
        self.found = found
        self.students = students


class InvalidBundle(LorgnetteError, code="invalid-bundle"):
    """A bundle directory that is incomplete or whose manifest does not validate."""


class BundleCorrupt(InvalidBundle, code="bundle-corrupt"):
    """A file's sha256 or size is not the one its manifest states."""


class InvalidSignature(InvalidBundle, code="invalid-signature"):
    """A manifest or a release that is unsigned, or signed by none of the configured keys."""


class SdkTooOld(InvalidBundle, code="sdk-too-old"):
    """The bundle's release needs a newer SDK than this one; what is held goes on."""


class GoldenMismatch(InvalidBundle, code="golden-mismatch"):
    """This machine's runtime does not reproduce the bundle's golden vectors."""


class ExportMismatch(InvalidBundle, code="export-mismatch"):
    """An exported graph does not compute what the trained network computes; nothing was written."""


class RefusedByServer(LorgnetteError, code="refused"):
    """The server understood the request and declined it."""


class Unauthorized(RefusedByServer, code="unauthorized"):
    """No key was sent, or one the server does not know."""


class Forbidden(RefusedByServer, code="forbidden"):
    """The key is known but does not open this door."""


class NotFound(RefusedByServer, code="not-found"):
    """No such item, model, job or route."""


class Conflict(RefusedByServer, code="conflict"):
    """Something else is in the way, such as a running reindex; not retried automatically."""


class TooManyRequests(RefusedByServer, code="too-many-requests"):
    """Rate limited. The client has already waited and retried as often as it was told to."""


class Unreachable(LorgnetteError, code="unreachable"):
    """No answer was had from the server."""


class Unavailable(Unreachable, code="unavailable"):
    """The server is up but not ready: loading, draining or overloaded."""


class ServerFault(Unreachable, code="server-fault"):
    """The server failed while answering; its log holds the cause under the request id."""


class TimedOut(Unreachable, code="timed-out"):
    """The time allowed for the call ran out."""


class InvalidConfiguration(LorgnetteError, code="invalid-configuration"):
    """Settings, an environment variable or a command line that cannot work."""


class MissingExtra(InvalidConfiguration, code="missing-extra"):
    """An optional part of the application is not installed."""


class InvalidDataset(InvalidConfiguration, code="invalid-dataset"):
    """A data set that is incomplete, in another layout than expected, or has broken labels."""


class UnsafeFile(InvalidDataset, code="unsafe-file"):
    """An archive or a pickle that would do more than hold data; nothing of it was used."""


class ChecksumMismatch(InvalidDataset, code="checksum-mismatch"):
    """A download has not the checksum, or the length, of the file that was expected."""


class GalleryBusy(LorgnetteError, code="gallery-busy"):
    """Another process is writing to this gallery."""


class InvalidGallery(LorgnetteError, code="invalid-gallery"):
    """A data directory, catalogue or generation that cannot be read or trusted."""


class DiskFull(LorgnetteError, code="disk-full"):
    """No space left to write to; what was acknowledged before is kept."""


class NotEnoughMemory(LorgnetteError, code="not-enough-memory"):
    """The work needs more memory than there is; it was refused, or ended with nothing changed."""

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

Names = tuple[str, ...]


class LorgnetteError(Exception):
    """Base of the tree. `str(error)` says what was expected, what was found, and the way out."""

    code = "error"


class InvalidInput(LorgnetteError):
    """What the caller gave cannot be used; trying again unchanged will not help."""

    code = "invalid-input"


class InvalidImage(InvalidInput):
    """Not an image of a supported format, or one that ends too early."""

    code = "invalid-image"


class ImageTooLarge(InvalidImage):
    """More pixels than the cap; refused from the header, before anything was decoded."""

    code = "image-too-large"


class InvalidVector(InvalidInput):
    """Wrong length, NaN or infinite (also after the cast to float16), or without direction."""

    code = "invalid-vector"


class InvalidRequest(InvalidInput):
    """Any other part of a request or an argument that cannot be used."""

    code = "invalid-request"


class BodyTooLarge(InvalidRequest):
    """The request body is longer than the server reads."""

    code = "body-too-large"


class SpaceMismatch(LorgnetteError):
    """Vectors of two spaces were about to be compared. students: names of bundles that fit.

    expected: the space id(s) that the other side speaks. found: the one that was offered."""

    code = "space-mismatch"

    def __init__(
        self, message: str, *, expected: Names = (), found: str = "", students: Names = ()
    ) -> None:
        super().__init__(message)
        self.expected = expected
        self.found = found
        self.students = students


class InvalidBundle(LorgnetteError):
    """A bundle directory that is incomplete or whose manifest does not validate."""

    code = "invalid-bundle"


class BundleCorrupt(InvalidBundle):
    """A file's sha256 or size is not the one its manifest states."""

    code = "bundle-corrupt"


class InvalidSignature(InvalidBundle):
    """A manifest or a release that is unsigned, or signed by none of the configured keys."""

    code = "invalid-signature"


class SdkTooOld(InvalidBundle):
    """The bundle's release needs a newer SDK than this one; what is held goes on."""

    code = "sdk-too-old"


class GoldenMismatch(InvalidBundle):
    """This machine's runtime does not reproduce the bundle's golden vectors."""

    code = "golden-mismatch"


class ExportMismatch(InvalidBundle):
    """An exported graph does not compute what the trained network computes; nothing was written."""

    code = "export-mismatch"


class RefusedByServer(LorgnetteError):
    """The server understood the request and declined it."""

    code = "refused"


class Unauthorized(RefusedByServer):
    """No key was sent, or one the server does not know."""

    code = "unauthorized"


class Forbidden(RefusedByServer):
    """The key is known but does not open this door."""

    code = "forbidden"


class NotFound(RefusedByServer):
    """No such item, model, job or route."""

    code = "not-found"


class Conflict(RefusedByServer):
    """Something else is in the way, such as a running reindex; not retried automatically."""

    code = "conflict"


class TooManyRequests(RefusedByServer):
    """Rate limited. The client has already waited and retried as often as it was told to."""

    code = "too-many-requests"


class Unreachable(LorgnetteError):
    """No answer was had from the server."""

    code = "unreachable"


class Unavailable(Unreachable):
    """The server is up but not ready: loading, draining or overloaded."""

    code = "unavailable"


class ServerFault(Unreachable):
    """The server failed while answering; its log holds the cause under the request id."""

    code = "server-fault"


class TimedOut(Unreachable):
    """The time allowed for the call ran out."""

    code = "timed-out"


class InvalidConfiguration(LorgnetteError):
    """Settings, an environment variable or a command line that cannot work."""

    code = "invalid-configuration"


class MissingExtra(InvalidConfiguration):
    """An optional part of the application is not installed."""

    code = "missing-extra"


class InvalidDataset(InvalidConfiguration):
    """A data set that is incomplete, in another layout than expected, or has broken labels."""

    code = "invalid-dataset"


class UnsafeFile(InvalidDataset):
    """An archive or a pickle that would do more than hold data; nothing of it was used."""

    code = "unsafe-file"


class ChecksumMismatch(InvalidDataset):
    """A download has not the checksum, or the length, of the file that was expected."""

    code = "checksum-mismatch"


class GalleryBusy(LorgnetteError):
    """Another process is writing to this gallery."""

    code = "gallery-busy"


class InvalidGallery(LorgnetteError):
    """A data directory, catalogue or generation that cannot be read or trusted."""

    code = "invalid-gallery"


class DiskFull(LorgnetteError):
    """No space left to write to; what was acknowledged before is kept."""

    code = "disk-full"


class NotEnoughMemory(LorgnetteError):
    """The work needs more memory than there is; it was refused, or ended with nothing changed."""

    code = "not-enough-memory"

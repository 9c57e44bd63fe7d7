/**
 * Every error lorgnette throws on purpose, in one tree: the Python SDK's, class by class and code by
 * code, so that one text about errors serves both. Some are only ever thrown by a server or by the
 * Python application; they are here because a `code` travels, and is met again as its class.
 *
 * `code` is stable: it is the last part of a problem's `type` (RFC 9457).
 */

/** Base of the tree. `message` says what was expected, what was found, and the way out. */
export class LorgnetteError extends Error {
  static readonly code: string = "error";

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.errorName;
  }

  /** The stable code of this error's class. */
  get code(): string {
    return (this.constructor as typeof LorgnetteError).code;
  }

  /** Stated, for a minifier renames classes. */
  protected static get errorName(): string {
    return Object.entries(classes).find(([, kind]) => kind === this)?.[0] ?? "LorgnetteError";
  }
}

/** What the caller gave cannot be used; trying again unchanged will not help. */
export class InvalidInput extends LorgnetteError {
  static override readonly code: string = "invalid-input";
}

/** Not an image of a supported format, or one that ends too early. */
export class InvalidImage extends InvalidInput {
  static override readonly code: string = "invalid-image";
}

/** More pixels than the cap; refused from the header, before anything was decoded. */
export class ImageTooLarge extends InvalidImage {
  static override readonly code: string = "image-too-large";
}

/** Wrong length, NaN or infinite (also after the cast to float16), or without direction. */
export class InvalidVector extends InvalidInput {
  static override readonly code: string = "invalid-vector";
}

/** Any other part of a request or an argument that cannot be used. */
export class InvalidRequest extends InvalidInput {
  static override readonly code: string = "invalid-request";
}

/** The request body is longer than the server reads. */
export class BodyTooLarge extends InvalidRequest {
  static override readonly code: string = "body-too-large";
}

/** What a `SpaceMismatch` knows beside its message. */
export interface MismatchDetails {
  /** The space ids the other side speaks. */
  readonly expected?: readonly string[];
  /** The space id that was offered. */
  readonly found?: string;
  /** Names of the bundles, served under `/models`, whose vectors would fit. */
  readonly students?: readonly string[];
}

/** Vectors of two different spaces were about to be compared. */
export class SpaceMismatch extends LorgnetteError {
  static override readonly code: string = "space-mismatch";
  readonly expected: readonly string[];
  readonly found: string;
  readonly students: readonly string[];

  constructor(message: string, details: MismatchDetails & ErrorOptions = {}) {
    super(message, details);
    this.expected = details.expected ?? [];
    this.found = details.found ?? "";
    this.students = details.students ?? [];
  }
}

/** A bundle that is incomplete or whose manifest does not validate. */
export class InvalidBundle extends LorgnetteError {
  static override readonly code: string = "invalid-bundle";
}

/** A file's sha256 or size is not the one its manifest states. */
export class BundleCorrupt extends InvalidBundle {
  static override readonly code: string = "bundle-corrupt";
}

/** A manifest or a release that is unsigned, or signed by none of the configured keys. */
export class InvalidSignature extends InvalidBundle {
  static override readonly code: string = "invalid-signature";
}

/** The bundle's release needs a newer SDK than this one; what is held goes on. */
export class SdkTooOld extends InvalidBundle {
  static override readonly code: string = "sdk-too-old";
}

/** This device's runtime does not reproduce the bundle's golden vectors. */
export class GoldenMismatch extends InvalidBundle {
  static override readonly code: string = "golden-mismatch";
}

/** An exported graph does not compute what the trained network computes; nothing was written. */
export class ExportMismatch extends InvalidBundle {
  static override readonly code: string = "export-mismatch";
}

/** The server understood the request and declined it. */
export class RefusedByServer extends LorgnetteError {
  static override readonly code: string = "refused";
}

/** No key was sent, or one the server does not know. */
export class Unauthorized extends RefusedByServer {
  static override readonly code: string = "unauthorized";
}

/** The key is known but does not open this door. */
export class Forbidden extends RefusedByServer {
  static override readonly code: string = "forbidden";
}

/** No such item, model, job or route. */
export class NotFound extends RefusedByServer {
  static override readonly code: string = "not-found";
}

/** Something else is in the way, such as a running reindex; not retried automatically. */
export class Conflict extends RefusedByServer {
  static override readonly code: string = "conflict";
}

/** Rate limited. The client has already waited and retried as often as it was told to. */
export class TooManyRequests extends RefusedByServer {
  static override readonly code: string = "too-many-requests";
}

/** No answer was had from the server. */
export class Unreachable extends LorgnetteError {
  static override readonly code: string = "unreachable";
}

/** The server is up but not ready: loading, draining or overloaded. */
export class Unavailable extends Unreachable {
  static override readonly code: string = "unavailable";
}

/** The server failed while answering; its log holds the cause under the request id. */
export class ServerFault extends Unreachable {
  static override readonly code: string = "server-fault";
}

/** The time allowed for the call ran out. */
export class TimedOut extends Unreachable {
  static override readonly code: string = "timed-out";
}

/** Settings or arguments that cannot work, whatever the server says. */
export class InvalidConfiguration extends LorgnetteError {
  static override readonly code: string = "invalid-configuration";
}

/** An optional part (here: a peer dependency) is not installed. */
export class MissingExtra extends InvalidConfiguration {
  static override readonly code: string = "missing-extra";
}

/** A data set that is incomplete, in another layout than expected, or has broken labels. */
export class InvalidDataset extends InvalidConfiguration {
  static override readonly code: string = "invalid-dataset";
}

/** An archive or a pickle that would do more than hold data; nothing of it was used. */
export class UnsafeFile extends InvalidDataset {
  static override readonly code: string = "unsafe-file";
}

/** A download has not the checksum, or the length, of the file that was expected. */
export class ChecksumMismatch extends InvalidDataset {
  static override readonly code: string = "checksum-mismatch";
}

/** Another process is writing to this gallery. */
export class GalleryBusy extends LorgnetteError {
  static override readonly code: string = "gallery-busy";
}

/** A data directory, catalogue or generation that cannot be read or trusted. */
export class InvalidGallery extends LorgnetteError {
  static override readonly code: string = "invalid-gallery";
}

/** No space left to write to; what was acknowledged before is kept. */
export class DiskFull extends LorgnetteError {
  static override readonly code: string = "disk-full";
}

/** The work would need more memory than there is; refused before it began. */
export class NotEnoughMemory extends LorgnetteError {
  static override readonly code: string = "not-enough-memory";
}

const classes = {
  LorgnetteError, InvalidInput, InvalidImage, ImageTooLarge, InvalidVector, InvalidRequest,
  BodyTooLarge, SpaceMismatch, InvalidBundle, BundleCorrupt, InvalidSignature, SdkTooOld,
  GoldenMismatch, ExportMismatch,
  RefusedByServer, Unauthorized, Forbidden, NotFound, Conflict, TooManyRequests, Unreachable,
  Unavailable, ServerFault, TimedOut, InvalidConfiguration, MissingExtra, InvalidDataset, UnsafeFile,
  ChecksumMismatch, GalleryBusy, InvalidGallery, DiskFull, NotEnoughMemory,
} as const;

/** A class of the tree. */
export type ErrorClass = new (message: string, options?: ErrorOptions) => LorgnetteError;

/** The class whose `code` this is; `LorgnetteError` for a code newer than this SDK. */
export function errorClass(code: string): ErrorClass {
  return Object.values(classes).find((kind) => kind.code === code) ?? LorgnetteError;
}

/** Every class of the tree by name: what a test compares with the Python SDK's. */
export const errorClasses: Readonly<Record<string, ErrorClass & { readonly code: string }>> = classes;

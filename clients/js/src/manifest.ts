/**
 * The contract that travels with a model: which space it speaks, what it eats, how it is checked.
 *
 * Unknown keys are refused and no field has a default: a manifest that does not say its
 * interpolation is an error, never "bicubic". Field names are the document's own.
 */

import { InvalidBundle } from "./errors.js";
import {
  anything, checked, exactly, list, Malformed, nullable, number, oneOf, optional, record, text, that,
  whole,
} from "./shape.js";
import type { JsonValue } from "./wire.js";

/** What makes two vectors comparable. Unequal ids are never compared. */
export interface Space {
  /** `<name>-<12 hex>`. */
  readonly id: string;
  /** The vectors' length. */
  readonly dim: number;
}

/** Which end of a search a bundle serves. */
export type Role = "gallery" | "query";

/** One build of the network. `fp32`, `fp16` and `int8` are encoders; `net` and `pre` are parts. */
export type Variant = "fp32" | "fp16" | "int8" | "net" | "pre";

/** A variant an encoder can run. */
export type EncoderVariant = "fp32" | "fp16" | "int8";

/** How a decoded image becomes the network's input; it happens inside the ONNX graph. */
export interface InputSpec {
  readonly size_px: number;
  readonly resize: "antialiased-bilinear-uint8";
  readonly aspect: "squash";
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** One file of the bundle. */
export interface BundleFile {
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
  /** Recall lost against fp32; null when it was not measured. */
  readonly recall_delta: number | null;
}

/** An image (lossless PNG) and the vector it must give: base64 float32 `[1, D]`. */
export interface Golden {
  readonly image: BundleFile;
  readonly vector_b64: string;
}

/** Where the weights came from: enough to make them again, or to doubt them. */
export interface Provenance {
  readonly created: string;
  readonly git_commit: string;
  readonly config_sha256: string;
  readonly command: string;
  readonly weights: string;
  readonly data: readonly string[];
  readonly licences: readonly string[];
  readonly metrics: { readonly [name: string]: JsonValue };
}

/** `manifest.json` of a bundle. */
export interface Manifest {
  readonly schema_version: 1;
  readonly role: Role;
  readonly name: string;
  readonly version: string;
  readonly space: Space;
  readonly input: InputSpec;
  readonly files: { readonly [V in Variant]?: BundleFile };
  readonly golden: readonly Golden[];
  readonly provenance: Provenance;
}

/** Longer than this is not a manifest. */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;

const NAME = text(/^[a-z0-9][a-z0-9._-]{0,63}$/, "a name of a-z, 0-9, dot, dash, underscore");
const SHA256 = text(/^[0-9a-f]{64}$/, "64 hexadecimal digits");

/** A plain relative POSIX path below the bundle, so that no manifest can escape. */
const INSIDE = that("a plain relative path inside the bundle", (value) => {
  if (typeof value !== "string" || /[\\:\0]/.test(value)) return false;
  return value.split("/").every((part) => !["", ".", ".."].includes(part));
});

const SPACE = exactly({
  id: text(/^[a-z0-9][a-z0-9._-]{0,63}-[0-9a-f]{12}$/, "<name>-<12 hexadecimal digits>"),
  dim: whole(1, 65536),
});

const FILE = exactly({
  path: INSIDE,
  sha256: SHA256,
  bytes: whole(1),
  recall_delta: nullable(number),
});

const MANIFEST = exactly({
  schema_version: oneOf(1),
  role: oneOf("gallery", "query"),
  name: NAME,
  version: NAME,
  space: SPACE,
  input: exactly({
    size_px: whole(16, 4096),
    resize: oneOf("antialiased-bilinear-uint8"),
    aspect: oneOf("squash"),
    mean: list(number, 3, 3),
    std: list(number, 3, 3),
  }),
  files: exactly({
    fp32: optional(FILE),
    fp16: optional(FILE),
    int8: optional(FILE),
    net: optional(FILE),
    pre: optional(FILE),
  }),
  golden: list(exactly({ image: FILE, vector_b64: text() }), 1),
  provenance: exactly({
    created: text(),
    git_commit: text(),
    config_sha256: text(),
    command: text(),
    weights: text(),
    data: list(text()),
    licences: list(text()),
    metrics: record(anything),
  }),
});

/** Validate manifest bytes from a store or a server. Throws `InvalidBundle` naming `origin`. */
export function parseManifest(raw: Uint8Array, origin: string): Manifest {
  if (raw.length > MAX_MANIFEST_BYTES) {
    throw new InvalidBundle(`${origin} is longer than ${MAX_MANIFEST_BYTES} bytes: not a manifest`);
  }
  try {
    const document: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(raw));
    const manifest = checked<Manifest>(document, MANIFEST);
    requireConsistent(manifest);
    return manifest;
  } catch (error) {
    if (error instanceof InvalidBundle) throw error;
    const why = error instanceof Malformed ? error.message : "it is not JSON";
    throw new InvalidBundle(`${origin} does not validate: ${why}`, { cause: error });
  }
}

/** Every file the bundle holds beside `manifest.json`. */
export function allFiles(manifest: Manifest): readonly BundleFile[] {
  return [...Object.values(manifest.files), ...manifest.golden.map((golden) => golden.image)];
}

function requireConsistent(manifest: Manifest): void {
  const { fp32, fp16, int8 } = manifest.files;
  if (!fp32 && !fp16 && !int8) {
    throw new Malformed(["files"], "at least one of the variants fp32, fp16, int8");
  }
  const paths = ["manifest.json", ...allFiles(manifest).map((file) => file.path)];
  const names = new Set(paths);
  if (names.size !== paths.length) throw new Malformed(["files"], "a file of its own per entry");
  const folders = paths.flatMap((path) =>
    path.split("/").slice(0, -1).map((_part, i, parts) => parts.slice(0, i + 1).join("/")),
  );
  if (folders.some((folder) => names.has(folder))) {
    throw new Malformed(["files"], "no entry inside another, which is a file");
  }
}

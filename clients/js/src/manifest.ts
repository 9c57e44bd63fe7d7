/**
 * The contract that travels with a model: which space it speaks, what it eats, how it is checked.
 *
 * Unknown keys are refused and no field has a default: a manifest that does not say its
 * interpolation is an error, never "bicubic". Field names are the document's own.
 */

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

/** What an encoder is, whatever runs it: pixels in, a unit row of the bundle's space out. */

import type { Bundle } from "./bundle.js";
import type { EncoderVariant, Space } from "./manifest.js";

/** Decoded pixels: 8-bit RGB, row-major `[height, width, 3]`, sRGB, upright, alpha over white. */
export interface Pixels {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
}

/** A vector and what it cost. */
export interface Embedding {
  /** The unit row `[D]`. */
  readonly vector: Float32Array;
  /** Size of what was embedded, upright and after the cap. */
  readonly width: number;
  readonly height: number;
  readonly decode_ms: number;
  readonly encode_ms: number;
}

/** Options of one call that takes time. */
export interface Abortable {
  /** Stops the wait; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Embeds photographs of type `Image`; what a `Client` needs to search with one. */
export interface QueryEncoder<Image> {
  /** The space the vectors belong to. */
  readonly space: Space;
  /** The unit row `[D]` of one photograph. Throws `InvalidImage`. */
  encode(image: Image, options?: Abortable): Promise<Float32Array>;
}

/** An encoder opened from a bundle: one session of one variant. */
export interface BundleEncoder<Image> extends QueryEncoder<Image> {
  readonly bundle: Bundle;
  readonly variant: EncoderVariant;
  /** `encode`, with the times it took. */
  embed(image: Image, options?: Abortable): Promise<Embedding>;
  /** Embed decoded pixels. */
  encodePixels(pixels: Pixels, options?: Abortable): Promise<Float32Array>;
  /** Compare with the golden vectors, once. Throws `GoldenMismatch` with the figure found. */
  check(): Promise<void>;
  /** Free the session. The encoder cannot be used afterwards. */
  close(): Promise<void>;
}

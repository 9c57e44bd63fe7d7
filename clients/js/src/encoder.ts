/** What an encoder is, whatever runs it: pixels in, a unit row of the bundle's space out. */

import type { Bundle } from "./bundle.js";
import { GoldenMismatch, InvalidImage } from "./errors.js";
import type { EncoderVariant, Space } from "./manifest.js";
import { cosine } from "./vectors.js";

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
  /** `<name>@<version>`: who embeds, so that the gallery may align the vectors with its own. */
  readonly identity?: string;
  /** The unit row `[D]` of one photograph. Throws `InvalidImage`. */
  encode(image: Image, options?: Abortable): Promise<Float32Array>;
}

/**
 * An encoder opened from a bundle: one session of one variant.
 *
 * One that opened has reproduced the bundle's golden vectors with this device's runtime.
 */
export interface BundleEncoder<Image> extends QueryEncoder<Image> {
  readonly bundle: Bundle;
  readonly identity: string;
  readonly variant: EncoderVariant;
  /** `encode`, with the times it took. */
  embed(image: Image, options?: Abortable): Promise<Embedding>;
  /** Embed decoded pixels. */
  encodePixels(pixels: Pixels, options?: Abortable): Promise<Float32Array>;
  /** Free the session. The encoder cannot be used afterwards. */
  close(): Promise<void>;
}

/** The name of the graphs' one input. */
export const INPUT_NAME = "image_u8";

/** Same pixels, another runtime: measured 1.0000000 for fp32, 0.99997 for fp16 storage. */
const GOLDEN_MIN_COSINE: Readonly<Record<EncoderVariant, number>> = {
  fp32: 0.9999,
  fp16: 0.9995,
  int8: 0.97,
};

/** Compare with the golden vectors. Throws `GoldenMismatch` with the figure found. */
export async function checkGolden(
  bundle: Bundle,
  variant: EncoderVariant,
  run: (pixels: Pixels) => Promise<Float32Array>,
): Promise<void> {
  const floor = GOLDEN_MIN_COSINE[variant];
  for (const { name, pixels, vector } of await bundle.golden()) {
    const found = cosine(await run(pixels), vector);
    if (found >= floor) continue;
    throw new GoldenMismatch(
      `${bundle.manifest.name} (${variant}) gives cosine ${found.toFixed(6)} on ${name}, expected ` +
        `at least ${floor}: the runtime on this device computes something else; use another ` +
        "variant or ONNX Runtime version",
    );
  }
}

/** Throw `InvalidImage` unless these are whole RGB pixels. */
export function requirePixels({ data, width, height }: Pixels): void {
  const isWhole = Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0;
  if (isWhole && data.length === width * height * 3) return;
  throw new InvalidImage(
    `expected 8-bit RGB pixels, height × width × 3 numbers, found ${data.length} for ` +
      `${width} × ${height}`,
  );
}

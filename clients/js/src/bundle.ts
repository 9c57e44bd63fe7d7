/** A bundle: a manifest, ONNX files and the golden vectors they must give. */

import type { EncoderVariant, Manifest, Space } from "./manifest.js";
import type { Pixels } from "./encoder.js";

/** An image and the unit row `[D]` it must give. */
export interface GoldenCase {
  readonly name: string;
  readonly pixels: Pixels;
  readonly vector: Float32Array;
}

/** Where a bundle's files are read from, each already verified. */
export type ReadFile = (path: string) => Promise<Uint8Array>;

/** An opened bundle. Made by a `ModelStore`, or by `openBundle` of `lorgnette/node`. */
export class Bundle {
  constructor(
    readonly manifest: Manifest,
    readonly readFile: ReadFile,
  ) {}

  /** The space this bundle's vectors belong to. */
  get space(): Space {
    return this.manifest.space;
  }

  /** A variant's ONNX file. Throws `InvalidBundle` when the bundle lacks it. */
  async model(variant: EncoderVariant): Promise<Uint8Array> {
    throw new Error(`not built yet: ${variant}`);
  }

  /** The golden images and vectors, decoded. Throws `InvalidBundle` for malformed ones. */
  async golden(): Promise<readonly GoldenCase[]> {
    throw new Error("not built yet");
  }
}

/** A bundle: a manifest, ONNX files and the golden vectors they must give. */

import type { Pixels } from "./encoder.js";
import { sha256Hex } from "./digest.js";
import { BundleCorrupt, InvalidBundle, InvalidVector } from "./errors.js";
import type { BundleFile, EncoderVariant, Manifest, Space } from "./manifest.js";
import { decodePlainPng } from "./png.js";
import { fromBase64, fromBytes } from "./vectors.js";

/** An image and the unit row `[D]` it must give. */
export interface GoldenCase {
  readonly name: string;
  readonly pixels: Pixels;
  readonly vector: Float32Array;
}

/** Gives a file of the bundle; what it gives is verified by the bundle. */
export type ReadFile = (file: BundleFile) => Promise<Uint8Array>;

/** An opened bundle; each file is verified when it is read. */
export class Bundle {
  constructor(
    readonly manifest: Manifest,
    private readonly readFile: ReadFile,
  ) {}

  /** The space this bundle's vectors belong to. */
  get space(): Space {
    return this.manifest.space;
  }

  /** `<name>@<version>`: what a search says of who embedded its vectors. */
  get identity(): string {
    return `${this.manifest.name}@${this.manifest.version}`;
  }

  /** The first of these variants that the bundle has. Throws `InvalidBundle` when it has none. */
  pick(...preferred: readonly EncoderVariant[]): EncoderVariant {
    const found = preferred.find((variant) => this.manifest.files[variant] !== undefined);
    if (found !== undefined) return found;
    const has = Object.keys(this.manifest.files).sort().join(", ");
    throw new InvalidBundle(
      `bundle '${this.manifest.name}' has no variant ${preferred.join(" or ")}, only ${has}: ` +
        "choose one of these, or export it again with that variant",
    );
  }

  /** A variant's ONNX file. Throws `InvalidBundle`, or `BundleCorrupt` for another file. */
  async model(variant: EncoderVariant): Promise<Uint8Array> {
    return this.read(this.manifest.files[this.pick(variant)] as BundleFile);
  }

  /** The golden images and vectors, decoded. Throws `InvalidBundle` for malformed ones. */
  golden(): Promise<readonly GoldenCase[]> {
    return Promise.all(
      this.manifest.golden.map(async ({ image, vector_b64 }) => ({
        name: image.path,
        pixels: await decodePlainPng(await this.read(image)),
        vector: goldenVector(vector_b64, this.space.dim),
      })),
    );
  }

  /** One file, verified. Throws `BundleCorrupt` for another one than the manifest describes. */
  async read(file: BundleFile): Promise<Uint8Array> {
    const raw = await this.readFile(file);
    await verify(raw, file);
    return raw;
  }
}

/** Throw `BundleCorrupt` unless these bytes are the file that the manifest describes. */
export async function verify(raw: Uint8Array, file: BundleFile): Promise<void> {
  const digest = await sha256Hex(raw);
  if (raw.length === file.bytes && digest === file.sha256) return;
  throw new BundleCorrupt(
    `bundle file ${file.path} is not the one its manifest describes (expected ${file.bytes} ` +
      `bytes, sha256 ${file.sha256.slice(0, 12)}…; found ${raw.length} bytes, ` +
      `${digest.slice(0, 12)}…): fetch or export the bundle again`,
  );
}

function goldenVector(text: string, dim: number): Float32Array {
  try {
    return fromBytes(fromBase64(text), "f32", dim)[0] as Float32Array;
  } catch (error) {
    if (!(error instanceof InvalidVector)) throw error;
    throw new InvalidBundle(`a golden vector of the manifest is malformed: ${error.message}`, {
      cause: error,
    });
  }
}

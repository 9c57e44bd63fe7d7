/** An encoder in Node, over onnxruntime-node. */

import { readFile } from "node:fs/promises";
import type { InferenceSession } from "onnxruntime-node";
import type { Bundle } from "../bundle.js";
import {
  checkGolden, INPUT_NAME, requirePixels, type Abortable, type BundleEncoder, type Embedding,
  type Pixels,
} from "../encoder.js";
import { InvalidBundle, InvalidImage, MissingExtra } from "../errors.js";
import type { EncoderVariant, Space } from "../manifest.js";
import { unitRows } from "../vectors.js";
import { untilAborted } from "../waiting.js";
import { hasInt8DotProduct } from "./processor.js";

/** A photograph: its path, or its encoded bytes. */
export type NodeImage = string | Uint8Array;

/** Turns encoded bytes into pixels: upright, sRGB, alpha over white. */
export type Decode = (photo: Uint8Array) => Promise<Pixels>;

/** How ONNX Runtime is started. */
export interface NodeOptions {
  /** Decodes photographs, mostly `sharpDecoder()`; without it only pixels can be embedded. */
  readonly decode?: Decode;
  /** The variant; the fastest that keeps the recall unless said. */
  readonly variant?: EncoderVariant;
  /** Threads of one encoding; 1 unless said. */
  readonly threads?: number;
}

type Runtime = typeof import("onnxruntime-node");

/** int8 is only taken when its manifest says that it loses no more recall than this. */
const MOST_RECALL_LOST = 0.01;

/** An encoder opened from a bundle, on the processor. */
export class NodeEncoder implements BundleEncoder<NodeImage> {
  private constructor(
    readonly bundle: Bundle,
    readonly variant: EncoderVariant,
    private readonly runtime: Runtime,
    private readonly session: InferenceSession,
    private readonly decode: Decode | undefined,
  ) {}

  /**
   * Load the bundle's model and check it against the golden vectors.
   *
   * Throws `MissingExtra` without onnxruntime-node, `GoldenMismatch` or another `InvalidBundle` for
   * the model.
   */
  static async open(bundle: Bundle, options: NodeOptions & Abortable = {}): Promise<NodeEncoder> {
    const variant = variantOf(bundle, options);
    const runtime = await importRuntime();
    const session = await createSession(runtime, await bundle.model(variant), options.threads ?? 1);
    const encoder = new NodeEncoder(bundle, variant, runtime, session, options.decode);
    try {
      await checkGolden(bundle, variant, (pixels) => encoder.encodePixels(pixels, options));
      return encoder;
    } catch (error) {
      await encoder.close();
      throw error;
    }
  }

  get space(): Space {
    return this.bundle.space;
  }

  get identity(): string {
    return this.bundle.identity;
  }

  async encode(image: NodeImage, options: Abortable = {}): Promise<Float32Array> {
    return (await this.embed(image, options)).vector;
  }

  async embed(image: NodeImage, options: Abortable = {}): Promise<Embedding> {
    const start = performance.now();
    const pixels = await untilAborted(this.decoded(image), options.signal);
    const decoded = performance.now();
    const vector = await this.encodePixels(pixels, options);
    const { width, height } = pixels;
    const encode_ms = performance.now() - decoded;
    return { vector, width, height, decode_ms: decoded - start, encode_ms };
  }

  async encodePixels(pixels: Pixels, options: Abortable = {}): Promise<Float32Array> {
    requirePixels(pixels);
    return untilAborted(this.run(pixels), options.signal);
  }

  async close(): Promise<void> {
    await this.session.release();
  }

  private async run({ data, width, height }: Pixels): Promise<Float32Array> {
    const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
    const input = new this.runtime.Tensor("uint8", bytes, [height, width, 3]);
    const results = await this.session.run({ [INPUT_NAME]: input });
    const row = Float32Array.from(Object.values(results)[0]?.data as Float32Array);
    return unitRows([row], this.space.dim)[0] as Float32Array;
  }

  private async decoded(image: NodeImage): Promise<Pixels> {
    if (this.decode === undefined) {
      throw new MissingExtra(
        "this encoder has no decoder: npm install sharp, and open it with " +
          "{ decode: sharpDecoder() }, or give it pixels (encodePixels)",
      );
    }
    return this.decode(typeof image === "string" ? await bytesOf(image) : image);
  }
}

/** The variant that an encoder takes here. Throws `InvalidBundle` when the bundle has none. */
export function variantOf(bundle: Bundle, { variant }: NodeOptions): EncoderVariant {
  return variant === undefined ? fastVariant(bundle, hasInt8DotProduct()) : bundle.pick(variant);
}

/** int8 where it is fast and its measured loss is small; else fp16, fp32, and int8 at last. */
export function fastVariant(bundle: Bundle, hasDotProduct: boolean): EncoderVariant {
  const lost = bundle.manifest.files.int8?.recall_delta ?? Infinity;
  return hasDotProduct && lost <= MOST_RECALL_LOST ? "int8" : bundle.pick("fp16", "fp32", "int8");
}

async function bytesOf(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new InvalidImage(`${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

async function importRuntime(): Promise<Runtime> {
  // From 1.32 on ONNX Runtime sends events to its makers unless told not to before it is loaded.
  process.env["ORT_DISABLE_TELEMETRY"] ??= "1";
  try {
    return await import("onnxruntime-node");
  } catch (error) {
    throw new MissingExtra(
      "onnxruntime-node cannot be loaded: ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node",
      { cause: error },
    );
  }
}

async function createSession(
  runtime: Runtime,
  model: Uint8Array,
  threads: number,
): Promise<InferenceSession> {
  let session: InferenceSession;
  try {
    session = await runtime.InferenceSession.create(model, {
      executionProviders: ["cpu"],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      logSeverityLevel: 3,
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new InvalidBundle(`ONNX Runtime cannot load the model: ${reason}`, { cause: error });
  }
  if (session.inputNames.join() !== INPUT_NAME || session.outputNames.length !== 1) {
    throw new InvalidBundle(`the model is not an encoder: expected one input '${INPUT_NAME}'`);
  }
  return session;
}

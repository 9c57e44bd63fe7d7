/**
 * The encoder in a browser, over onnxruntime-web.
 *
 *     const store = openStore({ client: new Client(origin), runtimePath: "/ort/" });
 *     const encoder = await store.latest({ onProgress });
 *     const client = new Client(origin, { encoder });
 *     const hits = await client.search(file);
 */

import type { Bundle } from "../bundle.js";
import type { Abortable, BundleEncoder, Embedding, Pixels } from "../encoder.js";
import type { EncoderVariant, Space } from "../manifest.js";
import type { ModelStore, StoreOptions } from "../store.js";

/** What a browser takes for a photograph: a file as picked, dropped or pasted, or a drawn one. */
export type WebImage = Blob | ImageBitmap | ImageData;

/** Where the network runs. */
export type Device = "wasm" | "webgpu";

/** How ONNX Runtime is started. */
export interface RuntimeOptions {
  /**
   * The folder of the app's own server, ending in `/`, that holds onnxruntime-web's
   * `ort-wasm-simd-threaded.mjs` and `.wasm` (and, for WebGPU, the `.asyncify` ones).
   */
  readonly runtimePath: string;
  /** Threads, when the page is cross-origin isolated; its cores, at most 4, unless said. */
  readonly threads?: number;
  /** `wasm` unless said. `webgpu` is taken only when the browser has an adapter. */
  readonly device?: Device;
  /** The variant; the fastest here unless said. */
  readonly variant?: EncoderVariant;
  /** Makes the worker, for bundlers that do not follow `new URL(…, import.meta.url)`. */
  readonly createWorker?: () => Worker;
}

/** An encoder in a Web Worker of its own; on the page's thread where no worker can be had. */
export class WebEncoder implements BundleEncoder<WebImage> {
  private constructor(
    readonly bundle: Bundle,
    readonly variant: EncoderVariant,
    /** Where it runs, after what was asked for was tried. */
    readonly device: Device,
    readonly threads: number,
    /** False where no worker could be started: encoding then blocks the page. */
    readonly isInWorker: boolean,
  ) {}

  /** Start the runtime and load the bundle's model. */
  static async open(_bundle: Bundle, _options: RuntimeOptions & Abortable): Promise<WebEncoder> {
    throw new Error("not built yet");
  }

  get space(): Space {
    return this.bundle.space;
  }

  async embed(_image: WebImage, _options: Abortable = {}): Promise<Embedding> {
    throw new Error("not built yet");
  }

  async encode(image: WebImage, options: Abortable = {}): Promise<Float32Array> {
    return (await this.embed(image, options)).vector;
  }

  async encodePixels(_pixels: Pixels, _options: Abortable = {}): Promise<Float32Array> {
    throw new Error("not built yet");
  }

  async check(): Promise<void> {
    throw new Error("not built yet");
  }

  async close(): Promise<void> {
    throw new Error("not built yet");
  }
}

/** A store in the browser's Cache API; in memory where there is none or it is full. */
export function openStore(
  _options: StoreOptions & RuntimeOptions,
): ModelStore<WebImage, WebEncoder> {
  throw new Error("not built yet");
}

/** Decode a photograph as the encoder does. Throws `InvalidImage`, `ImageTooLarge` at once. */
export async function readImage(_image: WebImage, _options: Abortable = {}): Promise<Pixels> {
  throw new Error("not built yet");
}

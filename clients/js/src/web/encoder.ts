/** An encoder in a browser: in a worker where one can be had, as fast as the page allows. */

import type { Bundle } from "../bundle.js";
import { checkGolden, type Abortable, type BundleEncoder, type Embedding, type Pixels } from "../encoder.js";
import { GoldenMismatch, InvalidConfiguration } from "../errors.js";
import type { EncoderVariant, Space } from "../manifest.js";
import { untilAborted } from "../waiting.js";
import type { Device, SessionSettings, WebImage } from "./messages.js";
import { NoWorker, RemoteSession } from "./remote.js";
import { WebSession } from "./session.js";

/** More threads than this gain a small network nothing. */
const MOST_THREADS = 4;

/** int8 is last: WebAssembly lacks the instructions that make it fast (1.4 times fp16's time). */
const PREFERENCE: readonly EncoderVariant[] = ["fp16", "fp32", "int8"];

/** How ONNX Runtime is started. */
export interface RuntimeOptions {
  /**
   * The folder of the app's own server that holds onnxruntime-web's `ort-wasm-simd-threaded.mjs` and
   * `.wasm` (and, for WebGPU, the `.asyncify` ones): `"/ort/"`.
   */
  readonly runtimePath: string;
  /** Threads, on a cross-origin isolated page; its cores, at most 4, unless said. */
  readonly threads?: number;
  /** `wasm` unless said. `webgpu` falls back to it without an adapter, or when it computes wrongly. */
  readonly device?: Device;
  /** The variant; the fastest here unless said. */
  readonly variant?: EncoderVariant;
  /** Makes the worker, for bundlers that do not follow `new URL("./worker.js", import.meta.url)`. */
  readonly createWorker?: () => Worker;
}

type Session = WebSession | RemoteSession;

/** An encoder in a Web Worker of its own; on the page's thread where no worker can be had. */
export class WebEncoder implements BundleEncoder<WebImage> {
  private constructor(
    readonly bundle: Bundle,
    readonly variant: EncoderVariant,
    private readonly session: Session,
    private readonly settings: SessionSettings,
  ) {}

  /**
   * Start the runtime, load the bundle's model and check it against the golden vectors.
   *
   * What cannot be had is left out: the adapter, then the threads, then the worker.
   * Throws `MissingExtra` without WebAssembly, `InvalidConfiguration` when the runtime's files are
   * not there, `GoldenMismatch` or another `InvalidBundle` for the model.
   */
  static async open(bundle: Bundle, options: RuntimeOptions & Abortable): Promise<WebEncoder> {
    const variant = variantOf(bundle, options);
    const model = await bundle.model(variant);
    const ladder = settingsOf(options);
    for (const [rung, settings] of ladder.entries()) {
      options.signal?.throwIfAborted();
      try {
        const session = await openSession(model, settings, options);
        return await proved(new WebEncoder(bundle, variant, session, settings));
      } catch (error) {
        const mayFallBack = error instanceof InvalidConfiguration || error instanceof GoldenMismatch;
        if (!mayFallBack || rung === ladder.length - 1) throw error;
      }
    }
    throw new Error("unreachable: the last rung returns or throws");
  }

  get space(): Space {
    return this.bundle.space;
  }

  get identity(): string {
    return this.bundle.identity;
  }

  /** Where it runs, after what was asked for was tried. */
  get device(): Device {
    return this.settings.device;
  }

  get threads(): number {
    return this.settings.threads;
  }

  /** False where no worker could be started: encoding then blocks the page. */
  get isInWorker(): boolean {
    return this.session instanceof RemoteSession;
  }

  async encode(image: WebImage, options: Abortable = {}): Promise<Float32Array> {
    return (await this.embed(image, options)).vector;
  }

  async embed(image: WebImage, options: Abortable = {}): Promise<Embedding> {
    return untilAborted(this.session.embed(image), options.signal);
  }

  async encodePixels(pixels: Pixels, options: Abortable = {}): Promise<Float32Array> {
    return untilAborted(this.session.run(pixels), options.signal);
  }

  async close(): Promise<void> {
    await this.session.close();
  }
}

/** The variant that an encoder takes here. Throws `InvalidBundle` when the bundle has none. */
export function variantOf(bundle: Bundle, { variant }: RuntimeOptions): EncoderVariant {
  return variant === undefined ? bundle.pick(...PREFERENCE) : bundle.pick(variant);
}

async function proved(encoder: WebEncoder): Promise<WebEncoder> {
  try {
    await checkGolden(encoder.bundle, encoder.variant, (pixels) => encoder.encodePixels(pixels));
    return encoder;
  } catch (error) {
    await encoder.close();
    throw error;
  }
}

async function openSession(
  model: Uint8Array,
  settings: SessionSettings,
  { createWorker = ownWorker }: RuntimeOptions,
): Promise<Session> {
  try {
    return await RemoteSession.open(createWorker, model, settings);
  } catch (error) {
    if (!(error instanceof NoWorker)) throw error;
    return WebSession.open(model, settings);
  }
}

/** What to try, best first. */
function settingsOf(options: RuntimeOptions): readonly SessionSettings[] {
  const base: string = globalThis.document?.baseURI ?? globalThis.location.href;
  const runtimeUrl = new URL(options.runtimePath.replace(/\/*$/, "/"), base).href;
  const cores = Math.min(globalThis.navigator.hardwareConcurrency || 1, MOST_THREADS);
  // A thread is a worker; where none can be had, ONNX Runtime would wait for it in vain.
  const mayThread = globalThis.crossOriginIsolated && typeof Worker !== "undefined";
  const threads = mayThread ? Math.max(1, options.threads ?? cores) : 1;
  const gpu = options.device === "webgpu" ? [{ runtimeUrl, device: "webgpu", threads: 1 }] : [];
  const parallel = threads > 1 ? [{ runtimeUrl, device: "wasm", threads }] : [];
  return [...gpu, ...parallel, { runtimeUrl, device: "wasm", threads: 1 }] as SessionSettings[];
}

function ownWorker(): Worker {
  return new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "lorgnette" });
}

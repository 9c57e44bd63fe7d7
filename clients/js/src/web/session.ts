/** ONNX Runtime in a browser: one session, one run at a time. */

import type { InferenceSession } from "onnxruntime-web/wasm";
import { INPUT_NAME, requirePixels, type Embedding, type Pixels } from "../encoder.js";
import { InvalidBundle, InvalidConfiguration, MissingExtra } from "../errors.js";
import { unitRows } from "../vectors.js";
import { embedding } from "./decode.js";
import type { SessionSettings, WebImage } from "./messages.js";

type Runtime = typeof import("onnxruntime-web/wasm");

/** Milliseconds in which threads must have started; where their scripts are blocked they never do. */
const THREADS_START_MS = 60_000;

/** A model at work, in a worker or on the page's own thread. */
export class WebSession {
  private last: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly runtime: Runtime,
    private readonly session: InferenceSession,
  ) {}

  /**
   * Start the runtime and load a model.
   *
   * Throws `MissingExtra` without WebAssembly, `InvalidConfiguration` when the runtime's files or
   * the adapter cannot be had, `InvalidBundle` for a file that is no encoder.
   */
  static async open(model: Uint8Array, settings: SessionSettings): Promise<WebSession> {
    const runtime = await startedRuntime(settings);
    const session = await createSession(runtime, model, settings);
    if (session.inputNames.join() !== INPUT_NAME || session.outputNames.length !== 1) {
      throw new InvalidBundle(`the model is not an encoder: expected one input '${INPUT_NAME}'`);
    }
    return new WebSession(runtime, session);
  }

  /** Decode and embed, with the time that each took. */
  embed(image: WebImage): Promise<Embedding> {
    return embedding(image, (pixels) => this.run(pixels));
  }

  /** Embed decoded pixels. The caller's buffer stays the caller's. */
  run(pixels: Pixels): Promise<Float32Array> {
    requirePixels(pixels);
    // A session runs one thing at a time.
    const mine = this.last.then(() => this.runAlone(pixels));
    this.last = mine.catch(() => undefined);
    return mine;
  }

  /** Free the model's memory. */
  async close(): Promise<void> {
    await this.last;
    await this.session.release();
  }

  private async runAlone({ data, width, height }: Pixels): Promise<Float32Array> {
    const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
    const input = new this.runtime.Tensor("uint8", bytes, [height, width, 3]);
    const results = await this.session.run({ [INPUT_NAME]: input });
    const [output] = Object.values(results);
    const row = Float32Array.from((await output?.getData()) as Float32Array);
    return unitRows([row], row.length)[0] as Float32Array;
  }
}

async function startedRuntime(settings: SessionSettings): Promise<Runtime> {
  if (typeof WebAssembly === "undefined") {
    throw new MissingExtra(
      "this browser has no WebAssembly, so photographs cannot be embedded here: send the " +
        "photograph itself (searchImage), or use another browser",
    );
  }
  const runtime = await importRuntime(settings);
  runtime.env.logLevel = "error";
  runtime.env.wasm.wasmPaths = settings.runtimeUrl;
  runtime.env.wasm.numThreads = settings.threads;
  // ONNX Runtime's own worker would detach the buffers it is given; this one has its own.
  runtime.env.wasm.proxy = false;
  runtime.env.wasm.initTimeout = settings.threads > 1 ? THREADS_START_MS : 0;
  return runtime;
}

async function importRuntime({ device }: SessionSettings): Promise<Runtime> {
  if (device === "webgpu") await requireAdapter();
  try {
    return device === "webgpu"
      ? ((await import("onnxruntime-web/webgpu")) as unknown as Runtime)
      : await import("onnxruntime-web/wasm");
  } catch (error) {
    throw new MissingExtra("onnxruntime-web cannot be loaded: npm install onnxruntime-web", {
      cause: error,
    });
  }
}

/** `navigator.gpu` alone says nothing: it is there without an adapter, too. */
async function requireAdapter(): Promise<void> {
  const gpu = globalThis.navigator.gpu as GPU | undefined;
  const adapter = await gpu?.requestAdapter().catch(() => null);
  if (adapter) return;
  throw new InvalidConfiguration("this browser has no WebGPU adapter: use the device 'wasm'");
}

async function createSession(
  runtime: Runtime,
  model: Uint8Array,
  { device, runtimeUrl }: SessionSettings,
): Promise<InferenceSession> {
  try {
    return await runtime.InferenceSession.create(model, { executionProviders: [device] });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (/backend|wasm|fetch|import/i.test(reason)) {
      throw new InvalidConfiguration(
        `ONNX Runtime did not start (${reason}): are its files served under ${runtimeUrl}?`,
        { cause: error },
      );
    }
    throw new InvalidBundle(`ONNX Runtime cannot load the model: ${reason}`, { cause: error });
  }
}

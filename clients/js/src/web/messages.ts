/** What the page and its worker say to each other. */

import type { Embedding, Pixels } from "../encoder.js";
import { errorClass, LorgnetteError } from "../errors.js";

/** What a browser takes for a photograph: a file as picked, dropped or pasted, or a drawn one. */
export type WebImage = Blob | ImageBitmap | ImageData;

/** Where the network runs. */
export type Device = "wasm" | "webgpu";

/** How ONNX Runtime is started. */
export interface SessionSettings {
  /** Absolute address of the folder with onnxruntime-web's files. */
  readonly runtimeUrl: string;
  readonly device: Device;
  readonly threads: number;
}

/** What a worker can be asked, by name, and what it answers. */
export interface Tasks {
  open: (model: Uint8Array, settings: SessionSettings) => Promise<void>;
  embed: (image: WebImage) => Promise<Embedding>;
  run: (pixels: Pixels) => Promise<Float32Array>;
}

/** The name of a task. */
export type TaskName = keyof Tasks;

/** A question to the worker. */
export interface Question {
  readonly id: number;
  readonly task: TaskName;
  readonly given: readonly unknown[];
}

/** Its answer. The one of id 0 says that the worker has started. */
export type Reply =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: { readonly code: string; readonly message: string } };

/** An error as it travels: classes do not survive a `postMessage`, their codes do. */
export function packError(error: unknown): { readonly code: string; readonly message: string } {
  if (error instanceof LorgnetteError) return { code: error.code, message: error.message };
  return { code: "error", message: error instanceof Error ? error.message : String(error) };
}

/** The error again, of the class it had. */
export function unpackError(packed: { readonly code: string; readonly message: string }): Error {
  return new (errorClass(packed.code))(packed.message);
}

/** A session in a worker, as the page sees it. */

import type { Embedding, Pixels } from "../encoder.js";
import { InvalidConfiguration } from "../errors.js";
import { embedding } from "./decode.js";
import {
  unpackError, type Question, type Reply, type SessionSettings, type TaskName, type Tasks,
  type WebImage,
} from "./messages.js";

interface Waiting {
  readonly resolve: (result: never) => void;
  readonly reject: (error: unknown) => void;
}

/** No worker can be had here: the page's own thread must do. */
export class NoWorker extends InvalidConfiguration {}

/** The same tasks as `WebSession`, done elsewhere. */
export class RemoteSession {
  private readonly waiting = new Map<number, Waiting>();
  private next = 1;
  private lost: Error | undefined;

  private constructor(private readonly worker: Worker) {
    worker.addEventListener("message", (event: MessageEvent<Reply>) => this.settle(event.data));
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.fail(`the encoder's worker stopped: ${event.message || "its script cannot be loaded"}`);
    });
  }

  /** Start a worker and load a model in it. Throws `NoWorker`, or what `WebSession.open` does. */
  static async open(
    createWorker: () => Worker,
    model: Uint8Array,
    settings: SessionSettings,
  ): Promise<RemoteSession> {
    const remote = new RemoteSession(startedWorker(createWorker));
    try {
      await remote.started();
      await remote.ask("open", model, settings);
      return remote;
    } catch (error) {
      await remote.close();
      throw error;
    }
  }

  /** See `WebSession.embed`. */
  embed(image: WebImage): Promise<Embedding> {
    // An older browser's workers have no canvas: then the page decodes.
    if (typeof OffscreenCanvas === "undefined") {
      return embedding(image, (pixels) => this.run(pixels));
    }
    return this.ask("embed", image);
  }

  /** See `WebSession.run`. */
  run(pixels: Pixels): Promise<Float32Array> {
    return this.ask("run", pixels);
  }

  /** End the worker; what was asked of it and not answered fails. */
  async close(): Promise<void> {
    this.worker.terminate();
    this.fail("the encoder was closed");
  }

  private started(): Promise<void> {
    return new Promise((resolve, reject) => {
      const refused = (error: unknown): void =>
        reject(new NoWorker((error as Error).message, { cause: error }));
      this.waiting.set(0, { resolve, reject: refused });
    });
  }

  private ask<T extends TaskName>(task: T, ...given: Parameters<Tasks[T]>): ReturnType<Tasks[T]> {
    const id = this.next++;
    const answer = new Promise((resolve, reject) => {
      if (this.lost) return reject(this.lost);
      this.waiting.set(id, { resolve, reject });
      // Copied, not transferred: the caller's pixels and model stay usable.
      const question: Question = { id, task, given };
      this.worker.postMessage(question);
    });
    return answer as ReturnType<Tasks[T]>;
  }

  private settle(reply: Reply): void {
    const waiting = this.waiting.get(reply.id);
    this.waiting.delete(reply.id);
    if ("error" in reply) waiting?.reject(unpackError(reply.error));
    else waiting?.resolve(reply.result as never);
  }

  private fail(message: string): void {
    this.lost = new InvalidConfiguration(`${message}: open the encoder again`);
    for (const { reject } of this.waiting.values()) reject(this.lost);
    this.waiting.clear();
  }
}

function startedWorker(createWorker: () => Worker): Worker {
  try {
    return createWorker();
  } catch (error) {
    throw new NoWorker("this browser starts no worker", { cause: error });
  }
}

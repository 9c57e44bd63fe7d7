/** The encoder on this device: fetched, opened, kept current. */

import {
  InvalidBundle, InvalidImage, LorgnetteError, SdkTooOld, type Embedding, type LoadOptions, type ModelStore,
} from "lorgnette";
import { openStore, type WebEncoder } from "lorgnette/web";
import { told, type WayOn } from "./messages.js";
import { client } from "./service.js";

declare const WORKER_URL: string;
declare const RUNTIME_URL: string;

/** How far the encoder is. */
export type Progress =
  | { readonly state: "looking" }
  | { readonly state: "fetching"; readonly have: number; readonly total: number }
  | { readonly state: "starting" }
  | { readonly state: "ready"; readonly encoder: WebEncoder }
  | { readonly state: "failed"; readonly text: string; readonly wayOn: WayOn };

/** The student, and who wants to know about it. */
export class Student {
  private encoder: Promise<WebEncoder> | undefined;
  /** Settled when every embed so far is. */
  private embeds: Promise<void> = Promise.resolve();

  /**
   * onProgress: told of every change. onNotice: told what happened behind the visitor's back: a
   * newer encoder in place, one that was refused, or one that cannot be kept.
   */
  constructor(
    private readonly onProgress: (progress: Progress) => void,
    private readonly onNotice: (text: string) => void,
  ) {}

  /** The encoder, started at the first call; a failed start is tried again at the next. */
  ready(): Promise<WebEncoder> {
    this.encoder ??= this.start().catch((error: unknown) => {
      this.encoder = undefined;
      this.onProgress({ state: "failed", ...told(error) });
      throw error;
    });
    return this.encoder;
  }

  /** Embed with an encoder that `ready` or `renew` gave; one that stopped is given up. */
  embed(encoder: WebEncoder, photo: Blob, signal: AbortSignal): Promise<Embedding> {
    const embedding = encoder.embed(photo, { signal }).catch((error: unknown) => {
      // Its worker died, or its memory ran out: it will not come back by itself.
      if (error instanceof LorgnetteError && !(error instanceof InvalidImage)) this.lose(encoder);
      throw error;
    });
    this.embeds = Promise.allSettled([this.embeds, embedding]).then(() => undefined);
    return embedding;
  }

  /** The server's newest, once; for when it no longer speaks this one's space. */
  async renew(): Promise<WebEncoder> {
    const store = await this.store();
    const encoder = await store.latest(this.options());
    this.use(encoder);
    return encoder;
  }

  private async start(): Promise<WebEncoder> {
    this.onProgress({ state: "looking" });
    const store = await this.store();
    const { encoder, update } = await store.localThenUpdate(this.options());
    update.then(
      (newer) => newer && this.replace(newer),
      (error: unknown) => this.refused(error),
    );
    this.onProgress({ state: "ready", encoder });
    if (!store.isKept) this.onNotice("This browser has no room to keep the encoder: all works, and the next visit fetches it again.");
    return encoder;
  }

  /** The next `ready` starts another. */
  private lose(lost: WebEncoder): void {
    void this.encoder?.then((encoder) => {
      if (encoder === lost) this.encoder = undefined;
    });
    void lost.close();
  }

  private replace(newer: WebEncoder): void {
    this.use(newer);
    this.onNotice("A newer encoder was fetched, checked and put in place.");
  }

  private refused(error: unknown): void {
    if (!(error instanceof InvalidBundle)) return;
    this.onNotice(
      error instanceof SdkTooOld
        ? "A newer encoder needs a newer version of this page: reload it; until then the present one goes on."
        : "A newer encoder was offered, but failed its check and was refused: the present one goes on.",
    );
  }

  /** Put an encoder in place; the one before ends with its last embed. */
  private use(encoder: WebEncoder): void {
    const ended = async (before: WebEncoder): Promise<void> => {
      await this.embeds;
      await before.close();
    };
    this.encoder?.then(ended, () => undefined);
    this.encoder = Promise.resolve(encoder);
    this.onProgress({ state: "ready", encoder });
  }

  private store(): Promise<ModelStore<WebEncoder>> {
    return openStore({
      client: client(),
      runtimePath: RUNTIME_URL,
      createWorker: () => new Worker(WORKER_URL, { type: "module", name: "lorgnette" }),
    });
  }

  private options(): LoadOptions {
    return {
      onProgress: (have, total) => {
        const state = have < total ? "fetching" : "starting";
        this.onProgress({ state, have, total });
      },
    };
  }
}

/** One photograph's way: embed here, send the vector, and remember what each step took. */

import { SpaceMismatch, type Client, type Embedding, type SearchResponse } from "lorgnette";
import type { WebEncoder, WebImage } from "lorgnette/web";
import { currentKey } from "../key.js";
import { client } from "../service.js";
import type { Student } from "../student.js";

/** How many results are asked for. */
export const K = 12;

/** What was found, and what it cost. */
export interface Outcome {
  readonly answer: SearchResponse;
  readonly embedding: Embedding;
  /** There and back, without the service's own time. */
  readonly network_ms: number;
  /** The request's body. */
  readonly sent_bytes: number;
}

/** Told when the embedding is done and the question is on its way. */
export type OnSent = () => void;

/** Searches, one after another, over one client: the handshake is made once. */
export class Searcher {
  private asking: { readonly client: Client<WebImage>; readonly key: string | undefined } | undefined;
  private last = { sent_bytes: 0, took_ms: 0 };

  constructor(private readonly student: Student) {}

  /**
   * Search with a photograph. When the gallery no longer speaks the encoder's space, the newest
   * encoder is fetched once; if that is of the same space, the error is final.
   */
  async search(photo: Blob, onSent: OnSent, signal: AbortSignal): Promise<Outcome> {
    const encoder = await this.student.ready();
    signal.throwIfAborted();
    try {
      return await this.searchWith(encoder, photo, onSent, signal);
    } catch (error) {
      if (!(error instanceof SpaceMismatch)) throw error;
      const renewed = await this.student.renew();
      if (renewed.space.id === encoder.space.id) throw error;
      return this.searchWith(renewed, photo, onSent, signal);
    }
  }

  private async searchWith(
    encoder: WebEncoder,
    photo: Blob,
    onSent: OnSent,
    signal: AbortSignal,
  ): Promise<Outcome> {
    const embedding = await this.student.embed(encoder, photo, signal);
    onSent();
    const rows = [embedding.vector];
    const options = { k: K, student: encoder.identity };
    const answer = await this.client().searchVectors(rows, encoder.space, options, { signal });
    const { sent_bytes, took_ms } = this.last;
    return { answer, embedding, network_ms: Math.max(0, took_ms - answer.took_ms), sent_bytes };
  }

  /** The client, made anew when the visitor gave another key. */
  private client(): Client<WebImage> {
    const key = currentKey();
    if (this.asking === undefined || this.asking.key !== key) {
      const made = client((exchange) => {
        if (exchange.path === "/search") this.last = exchange;
      });
      this.asking = { client: made, key };
    }
    return this.asking.client;
  }
}

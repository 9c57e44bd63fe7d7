/** One photograph's way: embed here, send the vector, and remember what each step took. */

import { SpaceMismatch, type Embedding, type SearchResponse } from "lorgnette";
import type { WebEncoder } from "lorgnette/web";
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

/**
 * Search with a photograph. When the gallery no longer speaks the encoder's space, the newest
 * encoder is fetched once; if that is of the same space, the error is final.
 */
export async function search(
  student: Student,
  photo: Blob,
  onSent: OnSent,
  signal: AbortSignal,
): Promise<Outcome> {
  const encoder = await student.ready();
  signal.throwIfAborted();
  try {
    return await searchWith(encoder, photo, onSent, signal);
  } catch (error) {
    if (!(error instanceof SpaceMismatch)) throw error;
    const renewed = await student.renew();
    if (renewed.space.id === encoder.space.id) throw error;
    return searchWith(renewed, photo, onSent, signal);
  }
}

async function searchWith(
  encoder: WebEncoder,
  photo: Blob,
  onSent: OnSent,
  signal: AbortSignal,
): Promise<Outcome> {
  const embedding = await encoder.embed(photo, { signal });
  onSent();
  let [sent_bytes, took_ms] = [0, 0];
  const asking = client((exchange) => {
    if (exchange.path === "/search") ({ sent_bytes, took_ms } = exchange);
  });
  const answer = await asking.searchVectors([embedding.vector], encoder.space, { k: K }, { signal });
  const network_ms = Math.max(0, took_ms - answer.took_ms);
  return { answer, embedding, network_ms, sent_bytes };
}

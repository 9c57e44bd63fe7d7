/** The client: photographs or vectors in, hits out. */

import type { Abortable, QueryEncoder } from "./encoder.js";
import type { Space } from "./manifest.js";
import type { Hit, Job, SearchOptions, SearchResponse, SpaceInfo, StudentInfo } from "./wire.js";

/** One request and its answer, as told to `onExchange`. */
export interface Exchange {
  readonly method: string;
  /** Path on the server, without the query string. */
  readonly path: string;
  readonly status: number;
  /** Bytes of the request's body. */
  readonly sent_bytes: number;
  /** Bytes of the answer's body, decompressed. */
  readonly received_bytes: number;
  /** From the request's start to the answer's last byte, this attempt alone. */
  readonly took_ms: number;
}

/** How a client reaches its server. */
export interface ConnectionOptions {
  /** The API key, sent as a bearer token. */
  readonly key?: string;
  /** Milliseconds one attempt may take; 10,000 unless said. */
  readonly timeoutMs?: number;
  /** A call makes at most `1 + maxRetries` attempts; 2 unless said. */
  readonly maxRetries?: number;
  /** Sends the requests; the platform's `fetch` unless said. */
  readonly fetch?: typeof globalThis.fetch;
  /** Told of every attempt that had an answer. */
  readonly onExchange?: (exchange: Exchange) => void;
}

/** Options of a client. */
export interface ClientOptions<Image> extends ConnectionOptions {
  /** Embeds photographs here; needed by `search` alone. */
  readonly encoder?: QueryEncoder<Image>;
}

/** Options of one call. */
export interface CallOptions extends Abortable {
  /** Milliseconds one attempt may take. */
  readonly timeoutMs?: number;
}

/** Rows to search with: one `[D]`, or several. */
export type Rows = Float32Array | readonly number[] | readonly Float32Array[] | readonly (readonly number[])[];

/**
 * A client of one lorgnette service.
 *
 *     const client = new Client("http://127.0.0.1:8080", { encoder });
 *     for (const hit of await client.search(photo, { k: 5 })) console.log(hit.id, hit.score);
 */
export class Client<Image = never> {
  readonly encoder: QueryEncoder<Image> | undefined;

  constructor(
    readonly baseUrl: string,
    options: ClientOptions<Image> = {},
  ) {
    this.encoder = options.encoder;
  }

  /**
   * Embed a photograph here and ask who is near: at most k hits, best first.
   *
   * Throws `InvalidImage` for the photograph, and `SpaceMismatch`, naming the students that fit,
   * before anything is embedded when the server does not speak the encoder's space.
   */
  async search(_image: Image, _options: SearchOptions = {}, _call: CallOptions = {}): Promise<readonly Hit[]> {
    throw new Error("not built yet");
  }

  /** Ask about vectors of a space embedded elsewhere; `results[i]` is row i's. */
  async searchVectors(
    _rows: Rows,
    _space: Space,
    _options: SearchOptions = {},
    _call: CallOptions = {},
  ): Promise<SearchResponse> {
    throw new Error("not built yet");
  }

  /** Send the photograph itself (encoded bytes); the server's student embeds it. */
  async searchImage(
    _photo: Blob | Uint8Array,
    _options: SearchOptions & { readonly space?: string } = {},
    _call: CallOptions = {},
  ): Promise<readonly Hit[]> {
    throw new Error("not built yet");
  }

  /** The live spaces, with their counts and the students that fit. */
  async spaces(_call: CallOptions = {}): Promise<readonly SpaceInfo[]> {
    throw new Error("not built yet");
  }

  /** The student bundles the server hands out; a `ModelStore` fetches one. */
  async models(_call: CallOptions = {}): Promise<readonly StudentInfo[]> {
    throw new Error("not built yet");
  }

  /** The state of a job (needs an admin key). Throws `NotFound`. */
  async job(_id: string, _call: CallOptions = {}): Promise<Job> {
    throw new Error("not built yet");
  }

  /**
   * Start a reindex (needs an admin key). Throws `Conflict` when one runs already.
   *
   * After `TimedOut` or `Unreachable` the reindex may have started: it is not asked for twice.
   */
  async reindex(_options: { readonly factory?: string } = {}, _call: CallOptions = {}): Promise<Job> {
    throw new Error("not built yet");
  }

  /**
   * Any other route, as JSON, with the client's key, retries and errors: `GET /admin/generations`.
   *
   * Only GET, HEAD, PUT and DELETE are tried again.
   */
  async request<T>(_method: string, _path: string, _options: RequestOptions = {}): Promise<T> {
    throw new Error("not built yet");
  }
}

/** Options of `Client.request`. */
export interface RequestOptions extends CallOptions {
  readonly query?: { readonly [name: string]: string | readonly string[] };
  /** Sent as JSON. */
  readonly json?: unknown;
}

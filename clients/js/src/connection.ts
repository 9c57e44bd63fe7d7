/** Sending requests: one attempt, its time limit, and the attempts after it. */

import type { Answer } from "./answers.js";
import { attempt, Limit, plain, type Reader } from "./attempt.js";
import { InvalidConfiguration, ServerFault, Unreachable } from "./errors.js";
import { isRetriedStatus, pause, pauseMs, wasNeverSent } from "./retry.js";

/** An answer longer than this is not read to its end. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_RETRIES = 2;

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

/** Options of one call. */
export interface CallOptions {
  /** Stops the call; its promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Milliseconds one attempt may take. */
  readonly timeoutMs?: number;
}

/** One request. */
export interface Call {
  readonly method: string;
  readonly path: string;
  readonly body?: Uint8Array | Blob;
  readonly contentType?: string;
  readonly query?: { readonly [name: string]: string | readonly string[] };
  readonly headers?: { readonly [name: string]: string };
  /** False when doing it twice is not the same as doing it once. */
  readonly isRepeatable?: boolean;
}

/** One server, and how long to insist. */
export class Connection {
  /** The server's address, without a slash at its end. */
  readonly origin: string;
  private readonly fetch: typeof globalThis.fetch;
  private readonly timeoutMs: number;
  private readonly maxRetries: number;

  constructor(
    baseUrl: string,
    private readonly options: ConnectionOptions,
  ) {
    this.origin = serverAddress(baseUrl);
    // Called as a function of its own: browsers refuse `fetch` with another `this`.
    this.fetch = options.fetch ?? ((...given) => globalThis.fetch(...given));
    this.timeoutMs = checkedTimeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    this.maxRetries = options.maxRetries ?? DEFAULT_RETRIES;
    if (!Number.isInteger(this.maxRetries) || this.maxRetries < 0) {
      throw new InvalidConfiguration(`maxRetries is ${this.maxRetries}: expected 0 or more`);
    }
    if (options.key !== undefined && !/^[!-~]+$/.test(options.key)) {
      throw new InvalidConfiguration("the key is empty or holds characters no header can carry");
    }
  }

  /** One call, with its retries. Throws `Unreachable` or `TimedOut` when no answer came. */
  send(call: Call, options: CallOptions = {}): Promise<Answer> {
    return this.insist(call, options, async () => {
      const body = new Body();
      return { ...(await this.attempt(call, options, body)), body: body.joined() };
    });
  }

  /** Repeat attempts at the call while the policy allows; give the last one's answer or error. */
  async insist(call: Call, options: CallOptions, once: () => Promise<Answer>): Promise<Answer> {
    for (let count = 1; ; count += 1) {
      const outcome = await once().catch((error: unknown) => new Failure(error));
      const isLast = count > this.maxRetries;
      if (outcome instanceof Failure) {
        if (isLast || !mayFollow(call, outcome.error)) throw outcome.error;
      } else if (isLast || call.isRepeatable === false || !isRetriedStatus(outcome.status)) {
        return outcome;
      }
      const answer = outcome instanceof Failure ? undefined : outcome;
      await pause(pauseMs(count, answer), options.signal);
    }
  }

  /** One attempt. Its body goes to `reader`; the answer's own is empty. */
  async attempt(call: Call, options: CallOptions, reader: Reader): Promise<Answer> {
    const limit = new Limit(checkedTimeout(options.timeoutMs ?? this.timeoutMs), options.signal);
    const request = { url: this.url(call), init: this.init(call) };
    const start = performance.now();
    const { status, headers, received } = await attempt(this.fetch, request, reader, limit);
    this.options.onExchange?.({
      method: call.method,
      path: call.path,
      status,
      sent_bytes: call.body instanceof Blob ? call.body.size : (call.body?.length ?? 0),
      received_bytes: received,
      took_ms: performance.now() - start,
    });
    return { status, headers, body: new Uint8Array(), url: plain(request.url) };
  }

  private url(call: Call): URL {
    const url = new URL(this.origin + call.path);
    for (const [name, value] of Object.entries(call.query ?? {})) {
      const values = typeof value === "string" ? [value] : value;
      values.forEach((one) => url.searchParams.append(name, one));
    }
    return url;
  }

  private init(call: Call): RequestInit {
    const headers: Record<string, string> = { Accept: "application/json", ...call.headers };
    if (this.options.key !== undefined) headers["Authorization"] = `Bearer ${this.options.key}`;
    if (call.contentType !== undefined) headers["Content-Type"] = call.contentType;
    const body = call.body === undefined ? {} : { body: call.body as BodyInit };
    // A key must not follow a redirect to a stranger.
    return { method: call.method, headers, redirect: "manual", ...body };
  }
}

class Failure {
  constructor(readonly error: unknown) {}
}

/** A body in memory, up to a size. */
export class Body implements Reader {
  private readonly pieces: Uint8Array[] = [];
  private size = 0;

  chunk(piece: Uint8Array): void {
    this.size += piece.length;
    if (this.size > MAX_ANSWER_BYTES) {
      throw new ServerFault(`an answer is longer than ${MAX_ANSWER_BYTES} bytes: ask for less`);
    }
    this.pieces.push(piece);
  }

  joined(): Uint8Array {
    return concatenated(this.pieces);
  }
}

/** Pieces as one. */
function concatenated(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function mayFollow(call: Call, error: unknown): boolean {
  if (!(error instanceof Unreachable) || error instanceof ServerFault) return false;
  return call.isRepeatable !== false || wasNeverSent(error.cause);
}

function checkedTimeout(milliseconds: number): number {
  if (milliseconds > 0) return milliseconds;
  throw new InvalidConfiguration(`timeoutMs is ${milliseconds}: expected milliseconds above 0`);
}

/** baseUrl: absolute, or relative to the page. */
function serverAddress(baseUrl: string): string {
  const page: string | undefined = globalThis.location?.href;
  const url = URL.canParse(baseUrl, page) ? new URL(baseUrl, page) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new InvalidConfiguration(
      `'${baseUrl}' is not a server's address: expected http://… or https://…`,
    );
  }
  return (url.origin + url.pathname).replace(/\/+$/, "");
}

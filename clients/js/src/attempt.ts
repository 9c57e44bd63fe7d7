/** One request over `fetch`: its time limit, and its body piece by piece. */

import { LorgnetteError, TimedOut, Unreachable } from "./errors.js";

/** Who reads an answer's body. */
export interface Reader {
  /** The status and headers are here. */
  start?(head: Head): void;
  /** A piece of the body; a promise is waited for. limit: to be restarted by who reads slowly. */
  chunk(piece: Uint8Array, limit: Limit): void | Promise<void>;
}

/** The start of an answer. */
export interface Head {
  readonly status: number;
  readonly headers: Headers;
}

/** An attempt that had an answer: its start, and how many bytes of body came. */
export interface Attempted extends Head {
  readonly received: number;
}

/** What `fetch` or a body's stream threw, as against what a `Reader` did. */
class Cut extends Error {}

/** The time one attempt may take, and the caller's own signal, as one signal. */
export class Limit {
  private readonly controller = new AbortController();
  private readonly stop = (): void => this.controller.abort();
  private timer: ReturnType<typeof setTimeout>;
  private isOver = false;

  constructor(
    private readonly milliseconds: number,
    private readonly asked: AbortSignal | undefined,
  ) {
    this.timer = this.started();
    if (asked?.aborted) this.stop();
    else asked?.addEventListener("abort", this.stop, { once: true });
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Begin again: for a body that may take long in all, as long as it keeps coming. */
  restart(): void {
    clearTimeout(this.timer);
    this.timer = this.started();
  }

  /** What an error of the attempt means to the caller. */
  meaning(error: unknown, url: string): unknown {
    if (this.asked?.aborted) return this.asked.reason;
    const cause: unknown = error instanceof Cut ? error.cause : error;
    if (this.isOver) {
      const found = `${url} did not answer within ${this.milliseconds} ms`;
      return new TimedOut(`${found}: raise timeoutMs`, { cause });
    }
    if (!(error instanceof Cut) || cause instanceof LorgnetteError) return cause;
    const reason = `no answer from ${url}: ${reasonOf(cause)}`;
    return new Unreachable(`${reason}; is the server running there?`, { cause });
  }

  end(): void {
    clearTimeout(this.timer);
    this.asked?.removeEventListener("abort", this.stop);
    this.stop();
  }

  private started(): ReturnType<typeof setTimeout> {
    return setTimeout(() => {
      this.isOver = true;
      this.stop();
    }, this.milliseconds);
  }
}

/** Send and read to the end. Throws what `Limit.meaning` makes of a failure. */
export async function attempt(
  fetch: typeof globalThis.fetch,
  request: { readonly url: URL; readonly init: RequestInit },
  reader: Reader,
  limit: Limit,
): Promise<Attempted> {
  try {
    const init = { ...request.init, signal: limit.signal };
    const response = await fetch(request.url, init).catch(cut);
    // A browser hides where a redirect leads, and even its status.
    const status = response.type === "opaqueredirect" ? 302 : response.status;
    const head = { status, headers: response.headers };
    reader.start?.(head);
    return { ...head, received: await read(response, reader, limit) };
  } catch (error) {
    throw limit.meaning(error, plain(request.url));
  } finally {
    limit.end();
  }
}

/** An address without its query string, which may hold what a log should not. */
export function plain(url: URL): string {
  return url.origin + url.pathname;
}

async function read(response: Response, reader: Reader, limit: Limit): Promise<number> {
  const stream = response.body?.getReader();
  let received = 0;
  for (;;) {
    const piece = await stream?.read().catch(cut);
    if (piece === undefined || piece.done) return received;
    received += piece.value.length;
    await reader.chunk(piece.value, limit);
  }
}

function cut(error: unknown): never {
  throw new Cut("cut off", { cause: error });
}

function reasonOf(cause: unknown): string {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  if (inner instanceof AggregateError) return inner.errors.map(reasonOf).join(", ");
  return inner instanceof Error ? inner.message || inner.name : String(inner);
}

/** When a call is tried again, and after how long: the Python SDK's policy. */

import type { Answer } from "./answers.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8_000;
/** A server that asks for a longer pause than this is asked again after this one. */
const LONGEST_RETRY_AFTER_MS = 30_000;

const RETRIED_STATUSES: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);

/** Node's names for a request that never left this machine; browsers do not say. */
const NEVER_SENT: ReadonlySet<string> = new Set([
  "ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "UND_ERR_CONNECT_TIMEOUT",
]);

/** Whether an answer asks for patience. A 409 never does. */
export function isRetriedStatus(status: number): boolean {
  return RETRIED_STATUSES.has(status);
}

/** Whether a failed `fetch` had not sent its request, so that even one with an effect may go again. */
export function wasNeverSent(error: unknown): boolean {
  const cause: unknown = error instanceof Error ? error.cause : undefined;
  if (cause instanceof AggregateError) return cause.errors.every(isUnsentCode);
  return isUnsentCode(cause);
}

function isUnsentCode(cause: unknown): boolean {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  return typeof code === "string" && NEVER_SENT.has(code);
}

/** Milliseconds a `Retry-After` header asks for, as seconds or an HTTP date. */
export function retryAfterMs(text: string | null, now: number): number | undefined {
  const given = (text ?? "").trim();
  if (/^\d+$/.test(given)) return Number(given) * 1000;
  const moment = Date.parse(given);
  return Number.isNaN(moment) ? undefined : Math.max(0, moment - now);
}

/** The pause after attempt number `attempt` (from 1); answer: what it gave, if anything. */
export function pauseMs(attempt: number, answer: Answer | undefined): number {
  const asked = retryAfterMs(answer?.headers.get("retry-after") ?? null, Date.now());
  if (asked !== undefined) return Math.min(asked, LONGEST_RETRY_AFTER_MS);
  const backoff = Math.min(FIRST_WAIT_MS * 2 ** (attempt - 1), LONGEST_WAIT_MS);
  return backoff + (Math.random() * FIRST_WAIT_MS) / 2;
}

/** Wait; rejects with the signal's reason when it is aborted first. */
export function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}

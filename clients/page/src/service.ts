/** The service this page came from. */

import { Client, type Exchange } from "lorgnette";
import type { WebImage } from "lorgnette/web";
import { currentKey } from "./key.js";

/** One attempt; a slow gallery is told apart from a dead one by the sentence meanwhile. */
const TIMEOUT_MS = 10_000;

/** A client with the key as it is now. onExchange: told of every answer. */
export function client(onExchange?: (exchange: Exchange) => void): Client<WebImage> {
  const key = currentKey();
  return new Client<WebImage>("/", {
    timeoutMs: TIMEOUT_MS,
    maxRetries: 1,
    ...(key !== undefined && { key }),
    ...(onExchange !== undefined && { onExchange }),
  });
}

/** The key as a header, for what is fetched without the client. */
export function keyHeader(): Record<string, string> {
  const key = currentKey();
  return key === undefined ? {} : { Authorization: `Bearer ${key}` };
}

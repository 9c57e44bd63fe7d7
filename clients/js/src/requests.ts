/** What a search is asked, as a JSON body or as a query string. */

import { InvalidRequest } from "./errors.js";
import type { PackedVectors } from "./vectors.js";
import { DEFAULT_K, type SearchOptions } from "./wire.js";

/** The body of `POST /search`, of which only what was given is sent. Throws `InvalidRequest`. */
export function asBody(
  request: { readonly space: string; readonly vectors: PackedVectors },
  options: SearchOptions,
): object {
  return { ...request, ...options, k: checkedK(options) };
}

/** The query string of `POST /search/image`. Throws `InvalidRequest`. */
export function asQuery(
  options: SearchOptions & { readonly space?: string },
): Record<string, string | readonly string[]> {
  const query: Record<string, string | readonly string[]> = { k: String(checkedK(options)) };
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || name === "k") continue;
    query[name] = queryValue(name, value);
  }
  return query;
}

function queryValue(name: string, value: unknown): string | readonly string[] {
  if (name === "filter") return JSON.stringify(value);
  // A query string has no empty list: one empty name stands for it.
  if (Array.isArray(value)) return value.length ? value.map(String) : [""];
  return String(value);
}

function checkedK(options: SearchOptions): number {
  const { k = DEFAULT_K } = options;
  if (Number.isInteger(k) && k >= 1) return k;
  throw new InvalidRequest(`k is ${k}: expected the number of hits wanted, 1 or more`);
}

/**
 * What travels between client and service, as JSON. Names are the wire's own (snake_case), so that
 * the service's documentation, its OpenAPI and a network log all read alike.
 */

import type { Filter } from "./filters.js";
import type { Space } from "./manifest.js";

/** A problem's `type` is this followed by the error's `code`. */
export const PROBLEM_TYPE = "urn:lorgnette:problem:";

/** Hits asked for when nothing is said. */
export const DEFAULT_K = 10;

/** A value of JSON. */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

/** Orders the best of a plain search again, by the gallery's own vectors. */
export type Rerank = "alpha-qe" | "super-global";

/** What may be asked of every search; what is not given is left to the server. */
export interface SearchOptions {
  /** Hits wanted per row, or groups with `group_by`: 1 or more. */
  readonly k?: number;
  /** So many of the best are left out. */
  readonly offset?: number;
  /** Hits below are left out. */
  readonly score_threshold?: number;
  /** Which items may be found. */
  readonly filter?: Filter;
  /** A metadata field, of each of whose values at most `group_size` hits are given. */
  readonly group_by?: string;
  /** Hits of each group, 1 to 100. */
  readonly group_size?: number;
  /** Of the metadata, the ones wanted; none for an empty list. */
  readonly fields?: readonly string[];
  /** A second opinion on the order. */
  readonly rerank?: Rerank;
}

/** One item of the gallery. */
export interface Hit {
  readonly id: string;
  /** Cosine in [-1, 1], higher is nearer; re-ranked, the re-ranking's own score. */
  readonly score: number;
  readonly metadata: { readonly [name: string]: JsonValue };
  /** With `group_by`, the value that was grouped by; an item without one is a group of its own. */
  readonly group?: string | boolean | number | null;
}

/** `results[i]` are the hits of row i, best first; all from one generation of one space. */
export interface SearchResponse {
  readonly space: string;
  readonly generation: number;
  readonly results: readonly (readonly Hit[])[];
  /** The server's own time. */
  readonly took_ms: number;
  /** How many items the filter lets through. */
  readonly matching?: number | null;
  /** Whether the rows were mapped by their student's alignment: scores are about its mean then. */
  readonly is_aligned?: boolean;
  /** What `took_ms` was spent on. */
  readonly stages_ms?: { readonly [stage: string]: number };
}

/** A query bundle the server hands out. */
export interface StudentInfo {
  readonly name: string;
  readonly version: string;
  readonly space: string;
  /** Path of its manifest on the server. */
  readonly manifest: string;
}

/** What the gallery has learned about one student's vectors, from so many photographs. */
export interface AlignmentInfo {
  readonly student: string;
  readonly photographs: number;
  /** Mean cosine, on photographs left out, without the alignment and with it. */
  readonly before: number;
  readonly after: number;
  readonly learned_at: string;
}

/** A live space: how many items answer in it, and the students whose vectors fit. */
export interface SpaceInfo {
  readonly space: Space;
  readonly generation: number;
  readonly count: number;
  readonly students: readonly StudentInfo[];
  readonly alignments?: readonly AlignmentInfo[];
}

/** An error as problem+json (RFC 9457). `type` ends in the error's `code`. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly instance?: string | null;
  readonly expected?: readonly string[];
  readonly found?: string;
  readonly students?: readonly string[];
}

/** Where a job is in its life. */
export type JobState =
  | "queued"
  | "running"
  | "succeeded"
  | "failed"
  | "cancelled"
  | "interrupted";

/** A long task of the service. `done` and `total` count photographs. */
export interface Job {
  readonly id: string;
  readonly kind: string;
  readonly state: JobState;
  readonly stage: string;
  readonly done: number;
  readonly total: number;
  readonly rate: number | null;
  /** Null when unknown. */
  readonly eta_s: number | null;
  readonly created_at: string;
  readonly heartbeat_at: string;
  readonly result: { readonly [name: string]: JsonValue } | null;
  readonly error: Problem | null;
}

/** The student on this device: fetched, verified, proved, put in place, rolled back. */

import type { Abortable, BundleEncoder } from "./encoder.js";
import type { Client } from "./client.js";
import type { Manifest } from "./manifest.js";

/** Told how far a download is; `total_bytes` counts every file that is needed. */
export type OnProgress = (have_bytes: number, total_bytes: number) => void;

/** Options of a store, whatever it keeps its files in. */
export interface StoreOptions {
  /** The server that hands out the student. */
  readonly client: Client<never>;
  /** Which student; needed when the server hands out several. */
  readonly name?: string;
  /** Ed25519 public keys, base64; when given, a manifest none of them signed is refused. */
  readonly publicKeys?: readonly string[];
}

/** Options of a call that may download. */
export interface LoadOptions extends Abortable {
  readonly onProgress?: OnProgress;
}

/** What the device holds of a student. */
export interface Held {
  readonly active: Manifest | undefined;
  readonly previous: Manifest | undefined;
}

/** A usable encoder at once, and what became of looking for a newer one behind it. */
export interface Started<E> {
  readonly encoder: E;
  /** The newer encoder, proved and in place; undefined when there is none, or no server. */
  readonly update: Promise<E | undefined>;
}

/**
 * Keeps one student on the device and opens encoders of it.
 *
 * An encoder it gives was verified (sha256 of each file, the signature when keys are configured) and
 * has reproduced its golden vectors on this device before anything was replaced. After any error
 * what is held is what was held before.
 */
export interface ModelStore<E extends BundleEncoder<never>> {
  /** Whether files outlive the page or the process: false where there is no storage, or it is full. */
  readonly isKept: boolean;
  /** What is held, without a question to the server. */
  held(): Promise<Held>;
  /** The one that is held, without a question to the server. Throws `NotFound`. */
  local(options?: Abortable): Promise<E>;
  /** The server's newest, downloaded when it is not held. Throws `Unreachable` offline. */
  latest(options?: LoadOptions): Promise<E>;
  /** The held one at once (else the newest), and the newest behind it: starts offline. */
  localThenUpdate(options?: LoadOptions): Promise<Started<E>>;
  /** Put the previous one back in place. Throws `NotFound` when there is none. */
  rollback(options?: Abortable): Promise<E>;
  /** Forget everything that this store holds. */
  clear(): Promise<void>;
}

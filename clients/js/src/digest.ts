/** sha256, by the platform where it offers it. */

import { sha256 } from "@noble/hashes/sha2.js";

/** Hex sha256 of some bytes. */
export async function sha256Hex(raw: Uint8Array): Promise<string> {
  // Browsers offer `crypto.subtle` to pages over https and on localhost alone.
  const subtle: SubtleCrypto | undefined = globalThis.crypto?.subtle;
  const digest = subtle
    ? new Uint8Array(await subtle.digest("SHA-256", raw as Uint8Array<ArrayBuffer>))
    : sha256(raw);
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

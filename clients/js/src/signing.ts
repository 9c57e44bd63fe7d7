/**
 * Ed25519 signatures of a student's documents: who made them, which a sha256 cannot say.
 *
 * A signature is base64 of the 64 bytes that RFC 8032 makes of a document, byte for byte; a public key
 * is base64 of its 32 bytes. See docs/devices.md.
 */

import { hashes, verify as verifyEd25519 } from "@noble/ed25519";
import { sha512 } from "@noble/hashes/sha2.js";
import { InvalidConfiguration, InvalidSignature, InvalidVector } from "./errors.js";
import { fromBase64 } from "./vectors.js";

const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;

/** A signed document: its bytes, and what its `.sig` says, if there is one. */
export interface Signed {
  readonly document: Uint8Array;
  readonly signature: string | undefined;
}

/**
 * Accept a document that one of the public keys signed; without keys, accept any.
 *
 * Throws `InvalidSignature` naming `origin`, `InvalidConfiguration` for a malformed key.
 */
export function verifySigned(signed: Signed, keys: readonly string[], origin: string): void {
  if (!keys.length) return;
  const known = keys.map(publicKey);
  if (signed.signature === undefined) {
    throw new InvalidSignature(
      `${origin} is not signed, and only what the configured public keys signed is taken here: ` +
        "nothing was changed; ask the server's operator to sign it",
    );
  }
  const raw = decoded(signed.signature.trim());
  const isOurs = (key: Uint8Array): boolean => isSignedBy(key, raw, signed.document);
  if (raw?.length === SIGNATURE_BYTES && known.some(isOurs)) return;
  throw new InvalidSignature(
    `${origin} was signed by none of the ${keys.length} configured public keys: nothing was ` +
      "changed; ask the server's operator which key signs now",
  );
}

function isSignedBy(key: Uint8Array, raw: Uint8Array | undefined, document: Uint8Array): boolean {
  // Set here, not on import; WebCrypto's own Ed25519 is not in every browser, nor on plain http.
  hashes.sha512 = sha512;
  try {
    return raw !== undefined && verifyEd25519(raw, document, key, { zip215: false });
  } catch {
    return false;
  }
}

function publicKey(text: string): Uint8Array {
  const raw = decoded(text);
  if (raw?.length === KEY_BYTES) return raw;
  throw new InvalidConfiguration(
    `'${text}' is not an Ed25519 public key: expected base64 of ${KEY_BYTES} bytes`,
  );
}

function decoded(text: string): Uint8Array | undefined {
  try {
    return fromBase64(text);
  } catch (error) {
    if (error instanceof InvalidVector) return undefined;
    throw error;
  }
}

/** What a shelf says of a student: which manifest is in use, and which was before. */

import { sha256Hex } from "./digest.js";
import { InvalidBundle } from "./errors.js";
import { parseManifest, type Manifest } from "./manifest.js";
import { checked, exactly, nullable, text } from "./shape.js";
import type { Shelf } from "./shelf.js";

/** A manifest as the server gave it, byte for byte. */
export interface Kept {
  readonly text: string;
  /** Of the text: the entity tag by which the server knows it. */
  readonly sha256: string;
  readonly manifest: Manifest;
  /** What its `.sig` says; undefined when it is not signed, or no keys were configured. */
  readonly signature: string | undefined;
}

/** The two manifests of a student. Replaced as a whole, so that no start sees half of a change. */
export interface StudentRecord {
  readonly active: Kept | undefined;
  readonly previous: Kept | undefined;
  /** sha256 of the manifest that was rolled back, which no update brings again by itself. */
  readonly refused: string | undefined;
}

/** Nothing held yet. */
export const EMPTY: StudentRecord = { active: undefined, previous: undefined, refused: undefined };

const KEPT = nullable(exactly({ text: text(), signature: nullable(text()) }));

const RECORD = exactly({ active: KEPT, previous: KEPT, refused: nullable(text()) });

interface Written {
  readonly text: string;
  readonly signature: string | null;
}

interface WrittenRecord {
  readonly active: Written | null;
  readonly previous: Written | null;
  readonly refused: string | null;
}

/** The record under a key. One that this SDK cannot read counts as none: it is only a cache. */
export async function readRecord(shelf: Shelf, key: string): Promise<StudentRecord> {
  const raw = await shelf.read(key);
  if (raw === undefined) return EMPTY;
  try {
    const document: unknown = JSON.parse(new TextDecoder().decode(raw));
    const found = checked<WrittenRecord>(document, RECORD);
    return {
      active: await keptOf(found.active),
      previous: await keptOf(found.previous),
      refused: found.refused ?? undefined,
    };
  } catch {
    return EMPTY;
  }
}

/** Put a record in place. */
export async function writeRecord(shelf: Shelf, key: string, record: StudentRecord): Promise<void> {
  const { active, previous, refused } = record;
  const said = { active: written(active), previous: written(previous), refused: refused ?? null };
  await shelf.write(key, new TextEncoder().encode(JSON.stringify(said)));
}

/** A manifest's own bytes, validated. Throws `InvalidBundle` naming `origin`. */
export async function keep(
  raw: Uint8Array,
  signature: string | undefined,
  origin: string,
): Promise<Kept> {
  const manifest = parseManifest(raw, origin);
  const sha256 = await sha256Hex(raw);
  return { text: new TextDecoder().decode(raw), sha256, manifest, signature };
}

function written(kept: Kept | undefined): Written | null {
  return kept === undefined ? null : { text: kept.text, signature: kept.signature ?? null };
}

/** A manifest that a newer SDK kept may not validate here: it is then not held. */
async function keptOf(found: Written | null): Promise<Kept | undefined> {
  if (found === null) return undefined;
  try {
    const raw = new TextEncoder().encode(found.text);
    return await keep(raw, found.signature ?? undefined, "the held manifest");
  } catch (error) {
    if (error instanceof InvalidBundle) return undefined;
    throw error;
  }
}

/** What the server has under a student's name, and bringing its files here. */

import { requireSuccess, type Answer } from "./answers.js";
import { verify } from "./bundle.js";
import { segment } from "./client.js";
import type { CallOptions } from "./connection.js";
import { download, fileKey } from "./download.js";
import {
  BundleCorrupt, InvalidBundle, InvalidRequest, InvalidSignature, NotFound,
} from "./errors.js";
import type { BundleFile } from "./manifest.js";
import { keep, type Kept } from "./record.js";
import { parseRelease, requireSdk, type Release } from "./release.js";
import type { Shelf } from "./shelf.js";
import { verifySigned } from "./signing.js";
import type { LoadOptions, StoreOptions } from "./store.js";
import { VERSION } from "./version.js";

/** A manifest that states more than this is refused before anything is downloaded. */
const MAX_BUNDLE_BYTES = 1024 ** 3;

/** What the server has under a student's name, checked. */
export interface Offer {
  /** The name on the server. */
  readonly name: string;
  readonly kept: Kept;
  /** Who may have it; undefined is everybody. */
  readonly release: Release | undefined;
}

/**
 * Ask for the manifest, and for the rest only when it is not the one that is held.
 *
 * Throws `InvalidSignature`, `SdkTooOld`, another `InvalidBundle`, `NotFound`, `Unreachable`.
 */
export async function fetchOffer(
  options: StoreOptions,
  held: Kept | undefined,
  call: CallOptions,
): Promise<Offer> {
  const { client, publicKeys: keys = [] } = options;
  const name = options.name ?? (await onlyStudent(client.models(call)));
  const asking = { client, name, call };
  const headers: Record<string, string> = held ? { "If-None-Match": `"${held.sha256}"` } : {};
  const answer = await ask(asking, "manifest.json", headers);
  requireSuccess(answer);
  const isHeld = answer.status === 304 && held !== undefined;
  const document = isHeld ? bytesOf(held) : answer.body;
  const origin = `the manifest of '${name}'`;
  if (isHeld && isSignedKept(held, keys)) return { name, kept: held, release: undefined };
  const signature = keys.length ? await optional(asking, "manifest.sig") : undefined;
  const said = signature && new TextDecoder().decode(signature);
  verifySigned({ document, signature: said }, keys, origin);
  const kept = await keep(document, said, origin);
  return { name, kept, release: isHeld ? undefined : await releaseOf(asking, kept, keys) };
}

/** Check the signature of a student that is held. Throws `InvalidSignature`. */
export function verifyKept(kept: Kept, keys: readonly string[]): void {
  verifySigned({ document: bytesOf(kept), signature: kept.signature }, keys, "the held manifest");
}

/** Bring each file that is not on the shelf, verified. See `download` for what is thrown. */
export async function bringFiles(
  { client }: StoreOptions,
  offer: Offer,
  files: readonly BundleFile[],
  shelf: Shelf,
  options: LoadOptions,
): Promise<void> {
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  if (total > MAX_BUNDLE_BYTES) {
    throw new InvalidBundle(
      `'${offer.name}' states ${total} bytes, more than the ${MAX_BUNDLE_BYTES} that are accepted`,
    );
  }
  let before = 0;
  for (const file of files) {
    const onBytes = (have: number): void => options.onProgress?.(before + have, total);
    if (!(await isHeld(shelf, file))) {
      const path = filePath(offer.name, file.path);
      const call = { method: "GET", path, query: { sha256: file.sha256 } };
      const source = { connection: client.connection, call, file };
      await download(source, shelf, onBytes, callOptions(options));
    }
    onBytes(file.bytes);
    before += file.bytes;
  }
}

/** Of the options of a load, those of one call. */
export function callOptions({ signal }: LoadOptions): CallOptions {
  return signal === undefined ? {} : { signal };
}

/** Whether a file is there, and the right one: a damaged one is fetched again. */
async function isHeld(shelf: Shelf, file: BundleFile): Promise<boolean> {
  const raw = await shelf.read(fileKey(file));
  if (raw === undefined) return false;
  try {
    await verify(raw, file);
    return true;
  } catch (error) {
    if (error instanceof BundleCorrupt) return false;
    throw error;
  }
}

interface Asking {
  readonly client: StoreOptions["client"];
  readonly name: string;
  readonly call: CallOptions;
}

function ask({ client, name, call }: Asking, what: string, headers = {}): Promise<Answer> {
  return client.connection.send({ method: "GET", path: filePath(name, what), headers }, call);
}

/** A document that need not be there. */
async function optional(asking: Asking, what: string): Promise<Uint8Array | undefined> {
  const answer = await ask(asking, what);
  if (answer.status === 404) return undefined;
  requireSuccess(answer);
  return answer.body;
}

async function releaseOf(
  asking: Asking,
  kept: Kept,
  keys: readonly string[],
): Promise<Release | undefined> {
  const document = await optional(asking, "release.json");
  if (document === undefined) return undefined;
  const origin = `the release of '${asking.name}'`;
  const raw = keys.length ? await optional(asking, "release.sig") : undefined;
  verifySigned({ document, signature: raw && new TextDecoder().decode(raw) }, keys, origin);
  const release = parseRelease(document, kept.sha256, origin);
  requireSdk(release, VERSION);
  return release;
}

/** Whether the signature that is kept is one of these keys': they may have come after it. */
function isSignedKept(kept: Kept, keys: readonly string[]): boolean {
  try {
    verifyKept(kept, keys);
    return true;
  } catch (error) {
    if (error instanceof InvalidSignature) return false;
    throw error;
  }
}

function bytesOf(kept: Kept): Uint8Array {
  return new TextEncoder().encode(kept.text);
}

async function onlyStudent(models: Promise<readonly { readonly name: string }[]>): Promise<string> {
  const names = (await models).map((student) => student.name);
  const [only] = names;
  if (only === undefined) {
    throw new NotFound("the server hands out no student: ask its operator for one");
  }
  if (names.length === 1) return only;
  throw new InvalidRequest(
    `the server hands out several students: name one of ${names.join(", ")}`,
  );
}

function filePath(name: string, path: string): string {
  return `/models/${[name, ...path.split("/")].map(segment).join("/")}`;
}

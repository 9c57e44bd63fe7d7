/** What the server has under a student's name, and bringing its files here. */

import { requireSuccess } from "./answers.js";
import { verify } from "./bundle.js";
import { segment } from "./client.js";
import type { CallOptions } from "./connection.js";
import { download, fileKey } from "./download.js";
import { BundleCorrupt, InvalidBundle, InvalidRequest, NotFound } from "./errors.js";
import type { BundleFile } from "./manifest.js";
import { keep, type Kept } from "./record.js";
import type { Shelf } from "./shelf.js";
import type { LoadOptions, StoreOptions } from "./store.js";

/** A manifest that states more than this is refused before anything is downloaded. */
const MAX_BUNDLE_BYTES = 1024 ** 3;

/** The server's manifest of a student. */
export interface Offer {
  /** The name on the server. */
  readonly name: string;
  readonly kept: Kept;
}

/** The server's manifest; the known one when the server says that it has not changed. */
export async function fetchManifest(
  { client, name }: StoreOptions,
  known: Kept | undefined,
  options: CallOptions,
): Promise<Offer> {
  const found = name ?? (await onlyStudent(client.models(options)));
  const headers: Record<string, string> = known ? { "If-None-Match": `"${known.sha256}"` } : {};
  const path = filePath(found, "manifest.json");
  const answer = await client.connection.send({ method: "GET", path, headers }, options);
  requireSuccess(answer);
  if (answer.status === 304 && known !== undefined) return { name: found, kept: known };
  return { name: found, kept: await keep(answer.body, `the manifest of '${found}'`) };
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

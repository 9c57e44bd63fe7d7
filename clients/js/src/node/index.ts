/**
 * The encoder in Node, over onnxruntime-node.
 *
 *     const store = openStore({ client: new Client(url), directory: "models", decode: sharpDecoder() });
 *     const encoder = await store.latest();
 *     const client = new Client(url, { encoder });
 *     const hits = await client.search("photo.jpg");
 */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Bundle } from "../bundle.js";
import { InvalidBundle } from "../errors.js";
import { Keeper } from "../keeper.js";
import { parseManifest, type BundleFile } from "../manifest.js";
import type { ModelStore, StoreOptions } from "../store.js";
import { NodeEncoder, variantOf, type NodeOptions } from "./encoder.js";
import { FileShelf } from "./file_shelf.js";

export { NodeEncoder } from "./encoder.js";
export type { Decode, NodeImage, NodeOptions } from "./encoder.js";
export { sharpDecoder } from "./sharp_decoder.js";

/** Options of a store in a directory. */
export interface NodeStoreOptions extends StoreOptions, NodeOptions {
  /** A directory of the store's own; made when it is not there. Processes may share it. */
  readonly directory: string;
}

/** A store in a directory. */
export function openStore(options: NodeStoreOptions): ModelStore<NodeEncoder> {
  return new Keeper(options, {
    shelf: new FileShelf(options.directory),
    files: (bundle) => {
      const { files, golden } = bundle.manifest;
      const model = files[variantOf(bundle, options)] as BundleFile;
      return [model, ...golden.map(({ image }) => image)];
    },
    open: (bundle, { signal }) =>
      NodeEncoder.open(bundle, signal === undefined ? options : { ...options, signal }),
  });
}

/** A bundle in a directory, as `lorgnette export` and `lorgnette pull` write it. */
export async function openBundle(directory: string): Promise<Bundle> {
  const path = join(directory, "manifest.json");
  const manifest = parseManifest(await bundleFile(path), path);
  return new Bundle(manifest, ({ path: inside }) => bundleFile(join(directory, inside)));
}

async function bundleFile(path: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (error) {
    throw new InvalidBundle(`bundle file ${path} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

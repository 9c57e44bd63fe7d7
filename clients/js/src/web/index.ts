/**
 * The encoder in a browser, over onnxruntime-web.
 *
 *     const store = await openStore({ client: new Client("/"), runtimePath: "/ort/" });
 *     const encoder = await store.latest({ onProgress });
 *     const client = new Client("/", { encoder });
 *     const hits = await client.search(file);
 */

import { Keeper } from "../keeper.js";
import { MemoryShelf } from "../shelf.js";
import type { BundleFile } from "../manifest.js";
import type { ModelStore, StoreOptions } from "../store.js";
import { CacheShelf } from "./cache_shelf.js";
import { variantOf, WebEncoder, type RuntimeOptions } from "./encoder.js";

export { readImage } from "./decode.js";
export { WebEncoder } from "./encoder.js";
export type { RuntimeOptions } from "./encoder.js";
export type { Device, WebImage } from "./messages.js";

/** A store in the browser's Cache API; in memory where there is none or it is full. */
export async function openStore(
  options: StoreOptions & RuntimeOptions,
): Promise<ModelStore<WebEncoder>> {
  return new Keeper(options, {
    shelf: await CacheShelf.open(),
    spare: new MemoryShelf(),
    files: (bundle) => {
      const { files, golden } = bundle.manifest;
      const model = files[variantOf(bundle, options)] as BundleFile;
      return [model, ...golden.map(({ image }) => image)];
    },
    open: (bundle, { signal }) =>
      WebEncoder.open(bundle, signal === undefined ? options : { ...options, signal }),
  });
}

/** A shelf in the browser's Cache API. */

import { DiskFull } from "../errors.js";
import { MemoryShelf, type Shelf } from "../shelf.js";

const CACHE_NAME = "lorgnette";
/** Cache keys are addresses; nothing is ever asked for under this one. */
const FOLDER = "/.lorgnette/";

/** The Cache API where it works, which is on https and localhost alone; else memory. */
export class CacheShelf implements Shelf {
  readonly isKept = true;

  private constructor(private readonly cache: Cache) {}

  /** Throws nothing: a browser that keeps nothing is an ordinary case. */
  static async open(): Promise<Shelf> {
    try {
      const cache = await globalThis.caches.open(CACHE_NAME);
      // Asks that it is not thrown away when space is short; a no is no failure.
      void globalThis.navigator.storage?.persist?.().catch(() => false);
      return new CacheShelf(cache);
    } catch {
      return new MemoryShelf();
    }
  }

  async read(key: string): Promise<Uint8Array | undefined> {
    const found = await this.cache.match(FOLDER + key);
    return found && new Uint8Array(await found.arrayBuffer());
  }

  async write(key: string, value: Uint8Array): Promise<void> {
    try {
      await this.cache.put(FOLDER + key, new Response(value as Uint8Array<ArrayBuffer>));
    } catch (error) {
      throw new DiskFull("this browser has no space left for the model", { cause: error });
    }
  }

  async remove(key: string): Promise<void> {
    await this.cache.delete(FOLDER + key);
  }

  async keys(prefix: string): Promise<readonly string[]> {
    const requests = await this.cache.keys();
    const keys = requests.map(({ url }) => new URL(url).pathname.slice(FOLDER.length));
    return keys.filter((key) => key.startsWith(prefix)).sort();
  }

  async exclusively<T>(name: string, work: () => Promise<T>): Promise<T> {
    const locks: LockManager | undefined = globalThis.navigator.locks;
    return locks ? locks.request(`lorgnette ${name}`, work) : work();
  }
}

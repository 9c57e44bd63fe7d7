/** Where a store keeps its bytes: named values, each written whole or not at all. */

/** The Cache API, a directory, or memory. Keys are short ASCII paths. */
export interface Shelf {
  /** Whether what is written outlives the page or the process. */
  readonly isKept: boolean;
  /** The value, a copy of its own; undefined where there is none. */
  read(key: string): Promise<Uint8Array | undefined>;
  /** Put a value in place at once. Throws `DiskFull`. */
  write(key: string, value: Uint8Array): Promise<void>;
  /** Take a value away; one that is not there is fine. */
  remove(key: string): Promise<void>;
  /** The keys that begin so, in order. */
  keys(prefix: string): Promise<readonly string[]>;
  /** Work while nobody else (no other tab, no other process) works under this name. */
  exclusively<T>(name: string, work: () => Promise<T>): Promise<T>;
}

/** A shelf that ends with the page or the process. */
export class MemoryShelf implements Shelf {
  readonly isKept = false;
  private readonly values = new Map<string, Uint8Array>();
  private last: Promise<unknown> = Promise.resolve();

  async read(key: string): Promise<Uint8Array | undefined> {
    return this.values.get(key)?.slice();
  }

  async write(key: string, value: Uint8Array): Promise<void> {
    this.values.set(key, value.slice());
  }

  async remove(key: string): Promise<void> {
    this.values.delete(key);
  }

  async keys(prefix: string): Promise<readonly string[]> {
    return [...this.values.keys()].filter((key) => key.startsWith(prefix)).sort();
  }

  async exclusively<T>(_name: string, work: () => Promise<T>): Promise<T> {
    const mine = this.last.then(work);
    this.last = mine.catch(() => undefined);
    return mine;
  }
}

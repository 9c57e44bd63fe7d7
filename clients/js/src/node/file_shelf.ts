/** A shelf in a directory of its own. */

import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { DiskFull, InvalidConfiguration } from "../errors.js";
import type { Shelf } from "../shelf.js";
import { codeOf, locked } from "./file_lock.js";

/** Ends the names of files that are not yet whole. */
const UNFINISHED = ".writing";

/** Each value is a file, written beside its place and renamed into it. */
export class FileShelf implements Shelf {
  readonly isKept = true;

  constructor(private readonly directory: string) {}

  async read(key: string): Promise<Uint8Array | undefined> {
    try {
      return new Uint8Array(await readFile(this.path(key)));
    } catch (error) {
      if (codeOf(error) === "ENOENT") return undefined;
      throw this.named(error);
    }
  }

  async write(key: string, value: Uint8Array): Promise<void> {
    const path = this.path(key);
    const unfinished = path + UNFINISHED;
    try {
      await mkdir(dirname(path), { recursive: true });
      const file = await open(unfinished, "w");
      try {
        await file.writeFile(value);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(unfinished, path);
      await syncFolder(dirname(path));
    } catch (error) {
      await rm(unfinished, { force: true }).catch(() => undefined);
      throw this.named(error);
    }
  }

  async remove(key: string): Promise<void> {
    await rm(this.path(key), { force: true });
  }

  async keys(prefix: string): Promise<readonly string[]> {
    try {
      const found = await readdir(this.directory, { recursive: true, withFileTypes: true });
      return found
        .filter((entry) => entry.isFile() && !entry.name.endsWith(UNFINISHED))
        .map((entry) => relative(this.directory, join(entry.parentPath, entry.name)))
        .map((path) => path.split(sep).join("/"))
        .filter((key) => key.startsWith(prefix))
        .sort();
    } catch (error) {
      if (codeOf(error) === "ENOENT") return [];
      throw this.named(error);
    }
  }

  async exclusively<T>(name: string, work: () => Promise<T>): Promise<T> {
    await mkdir(this.directory, { recursive: true }).catch((error: unknown) => {
      throw this.named(error);
    });
    return locked(join(this.directory, `${name}.lock`), work);
  }

  private path(key: string): string {
    return join(this.directory, ...key.split("/"));
  }

  private named(error: unknown): unknown {
    const code = codeOf(error);
    if (code === undefined) return error;
    if (["ENOSPC", "EDQUOT"].includes(code)) {
      return new DiskFull(`no space left in ${this.directory}: free some, then try again`, {
        cause: error,
      });
    }
    const message = (error as Error).message;
    return new InvalidConfiguration(`cannot use the directory ${this.directory}: ${message}`, {
      cause: error,
    });
  }
}

/** Ask the disk to hold the directory's names; Windows opens no directories. */
async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, "r");
    await folder.sync().finally(() => folder.close());
  } catch (error) {
    if (!["EPERM", "EISDIR", "EACCES", "EINVAL"].includes(codeOf(error) ?? "")) throw error;
  }
}

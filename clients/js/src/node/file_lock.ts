/** One process at a time: a lock file, with a pulse by which a dead owner is known. */

import { open, readFile, rename, stat, unlink, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

/** A lock whose owner has not touched it for so long is nobody's. */
const DEAD_MS = 10_000;
const PULSE_MS = 2_000;
const ASK_AGAIN_MS = 50;

/** Work while this process, and nobody else's, holds the lock file. */
export async function locked<T>(path: string, work: () => Promise<T>): Promise<T> {
  while (!(await taken(path))) {
    if (await isDead(path)) await bury(path);
    else await sleep(ASK_AGAIN_MS);
  }
  const pulse = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => undefined);
  }, PULSE_MS);
  pulse.unref();
  try {
    return await work();
  } finally {
    clearInterval(pulse);
    await unlink(path).catch(() => undefined);
  }
}

async function taken(path: string): Promise<boolean> {
  try {
    const file = await open(path, "wx");
    await file.writeFile(JSON.stringify({ host: hostname(), pid: process.pid }));
    await file.close();
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

async function isDead(path: string): Promise<boolean> {
  try {
    const [text, { mtimeMs }] = await Promise.all([readFile(path, "utf8"), stat(path)]);
    return Date.now() - mtimeMs > DEAD_MS || (text !== "" && isGone(text));
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
}

/** Whether a lock's text names a process of this machine that is no more. */
function isGone(text: string): boolean {
  try {
    const { host, pid } = JSON.parse(text) as { host: string; pid: number };
    if (host !== hostname()) return false;
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return codeOf(error) === "ESRCH";
  }
}

/** Take a dead lock away by a rename, which only one of those who found it dead can do. */
async function bury(path: string): Promise<void> {
  const grave = `${path}.${process.pid}`;
  try {
    await rename(path, grave);
    await unlink(grave);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
}

/** The code of a system error, as `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : undefined;
}

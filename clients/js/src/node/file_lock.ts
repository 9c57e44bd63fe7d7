/** One process at a time: a lock file, with a pulse by which a dead owner is known. */

import { randomUUID } from "node:crypto";
import { link, open, readFile, rename, stat, unlink, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

/** How a dead owner is known. */
interface Timing {
  /** A lock that stays untouched for so long, by the clock of who waits, is nobody's. */
  readonly deadMs: number;
  readonly pulseMs: number;
}

const TIMING: Timing = { deadMs: 10_000, pulseMs: 2_000 };
const ASK_AGAIN_MS = 50;

/** A lock of somebody else's, and since when it looks as it does. */
interface Seen {
  readonly text: string;
  readonly mtimeMs: number;
  readonly sinceMs: number;
}

/** Work while this process, and nobody else's, holds the lock file. */
export async function locked<T>(path: string, work: () => Promise<T>, timing = TIMING): Promise<T> {
  const mine = JSON.stringify({ host: hostname(), pid: process.pid, id: randomUUID() });
  let seen: Seen | undefined;
  while (!(await taken(path, mine))) {
    seen = await look(path, seen);
    if (seen !== undefined && isDead(seen, timing)) await bury(path, seen);
    else await sleep(ASK_AGAIN_MS);
  }
  const pulse = setInterval(() => void ifStill(path, mine, touch), timing.pulseMs);
  pulse.unref();
  try {
    return await work();
  } finally {
    clearInterval(pulse);
    await ifStill(path, mine, unlink);
  }
}

async function taken(path: string, mine: string): Promise<boolean> {
  try {
    const file = await open(path, "wx");
    await file.writeFile(mine);
    await file.close();
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

/** The lock as it is now; `before` when it has not changed. */
async function look(path: string, before: Seen | undefined): Promise<Seen | undefined> {
  try {
    const [text, { mtimeMs }] = await Promise.all([readFile(path, "utf8"), stat(path)]);
    const isSame = text === before?.text && mtimeMs === before.mtimeMs;
    return isSame ? before : { text, mtimeMs, sinceMs: performance.now() };
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function isDead({ text, sinceMs }: Seen, { deadMs }: Timing): boolean {
  return performance.now() - sinceMs > deadMs || (text !== "" && isGone(text));
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

/** Take a dead lock away by a rename; put it back if somebody has taken it since it was seen. */
async function bury(path: string, { text }: Seen): Promise<void> {
  const grave = `${path}.${randomUUID()}`;
  try {
    await rename(path, grave);
    if ((await readFile(grave, "utf8")) !== text) await link(grave, path).catch(() => undefined);
    await unlink(grave);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
}

/** Do something to the lock while it is this process's: one taken for dead has lost it. */
async function ifStill(
  path: string,
  mine: string,
  work: (path: string) => Promise<void>,
): Promise<void> {
  try {
    if ((await readFile(path, "utf8")) === mine) await work(path);
  } catch {
    // Without it nobody is held up for longer than a dead one's time.
  }
}

async function touch(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now);
}

/** The code of a system error, as `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : undefined;
}

import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, stat, unlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { locked } from "../dist/node/file_lock.js";

let directory: string;
let path: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "lorgnette-lock-"));
  path = join(directory, "students.lock");
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const QUICK = { deadMs: 400, pulseMs: 50 };
const ELSEWHERE = JSON.stringify({ host: "another-machine", pid: 1 });

test("one works at a time, and nothing is left", async () => {
  let inside = 0;
  const work = async (): Promise<void> => {
    assert.equal((inside += 1), 1);
    await sleep(5);
    inside -= 1;
  };
  await Promise.all([1, 2, 3, 4].map(() => locked(path, work, QUICK)));
  assert.deepEqual(await readdir(directory), []);
});

test("a lock with a pulse is respected, whatever its clock says", async () => {
  await writeFile(path, ELSEWHERE);
  let beats = 0;
  const pulse = setInterval(() => void utimes(path, 1000 + (beats += 1), 1000 + beats), 50);
  let isTaken = false;
  const waiting = locked(path, async () => void (isTaken = true), QUICK);
  while (beats < 20) await sleep(10);
  assert.equal(isTaken, false);
  clearInterval(pulse);
  await waiting;
  assert.equal(isTaken, true, "without its pulse it is nobody's");
});

test("a lock of a process that is no more is taken at once", async () => {
  const { hostname } = await import("node:os");
  await writeFile(path, JSON.stringify({ host: hostname(), pid: 2 ** 22 + 1 }));
  const patient = { deadMs: 600_000, pulseMs: 50 };
  await locked(path, async () => undefined, patient);
});

test("who was taken for dead takes nothing from who came after", async () => {
  await locked(
    path,
    async () => {
      await unlink(path);
      await writeFile(path, ELSEWHERE);
      await utimes(path, 1000, 1000);
      await sleep(3 * QUICK.pulseMs);
      assert.equal((await stat(path)).mtimeMs, 1_000_000, "its pulse is left alone");
    },
    QUICK,
  );
  assert.equal(await readFile(path, "utf8"), ELSEWHERE);
});

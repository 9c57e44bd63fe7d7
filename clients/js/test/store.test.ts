import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import {
  BundleCorrupt, Client, DiskFull, InvalidConfiguration, NotFound, TimedOut, Unreachable,
  type ModelStore,
} from "lorgnette";
import { openStore, type NodeEncoder } from "lorgnette/node";
import { Keeper } from "../dist/keeper.js";
import { MemoryShelf } from "../dist/shelf.js";
import { backend } from "./support/backend.js";
import { Front, type Answering } from "./support/front.js";

const { urls, searchKey } = backend();
let front: Front;
let directory: string;

before(async () => (front = await Front.open(urls.tiny)));
beforeEach(async () => {
  front.reset();
  front.upstream = urls.tiny;
  directory = await mkdtemp(join(tmpdir(), "lorgnette-store-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));
after(() => front.close());

const client = (): Client => new Client(front.url, { maxRetries: 0, key: searchKey });
const store = (): ModelStore<NodeEncoder> => openStore({ client: client(), directory });
const isModel = (path: string): boolean => path.includes("model.onnx");
const version = (encoder: NodeEncoder): string => encoder.bundle.manifest.version;
const files = async (): Promise<readonly string[]> =>
  (await readdir(directory, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);

/** Spoil the answers for the model's file alone. */
function spoiling(spoil: Answering): void {
  front.answering = (seen, pass) => (isModel(seen.path) ? spoil(seen, pass) : pass());
}

test("a student is fetched, proved and kept; the second start transfers no file", async () => {
  const progress: [number, number][] = [];
  const encoder = await store().latest({ onProgress: (...told) => progress.push(told) });
  assert.equal(version(encoder), "1");
  const [have, total] = progress.at(-1)!;
  assert.ok(have === total && progress.length >= 2);
  assert.deepEqual(progress.map(([bytes]) => bytes), progress.map(([b]) => b).sort((a, b) => a - b));
  front.reset();
  assert.equal(version(await store().latest()), "1");
  assert.deepEqual(front.paths, ["GET /models", "GET /models/tiny-query/manifest.json"]);
  assert.ok(front.seen[1]!.headers["if-none-match"]);
});

test("a student is named, where there are several", async () => {
  const named = openStore({ client: client(), directory, name: "tiny-query" });
  await named.latest();
  assert.equal(front.paths[0], "GET /models/tiny-query/manifest.json");
  const unknown = openStore({ client: client(), directory, name: "nobody" });
  await assert.rejects(unknown.latest(), NotFound);
});

test("a download that is cut twice goes on where it was, also in the next process", async () => {
  spoiling(async (_seen, pass) => {
    const of = await pass();
    return front.seen.filter(({ path }) => isModel(path)).length <= 2
      ? { cutAfter: 10_000, of }
      : of;
  });
  const patient = openStore({
    client: new Client(front.url, { maxRetries: 0, key: searchKey }), directory,
  });
  await patient.latest();
  const ranges = front.seen.filter(({ path }) => isModel(path)).map(({ headers }) => headers["range"]);
  assert.deepEqual(ranges, [undefined, "bytes=10000-", "bytes=20000-"]);
});

test("a page or process that ends in the middle takes up the pieces the next time", async () => {
  spoiling(async (seen, pass) =>
    seen.headers["range"] === undefined ? { cutAfter: 10_000, of: await pass() } : "cut",
  );
  await assert.rejects(store().latest(), Unreachable);
  front.reset();
  await store().latest();
  const [again] = front.seen.filter(({ path }) => isModel(path));
  assert.equal(again!.headers["range"], "bytes=10000-");
  assert.ok(!(await files()).some((name) => /^\d{12}$/.test(name)), "pieces are gone");
});

test("a server that cannot resume sends everything, and that is fine", async () => {
  spoiling(async (seen, pass) => {
    if (seen.headers["range"] === undefined) return { cutAfter: 10_000, of: await pass() };
    const whole = await fetch(front.upstream + seen.path);
    const body = Buffer.from(await whole.arrayBuffer());
    return { status: 200, headers: { "content-length": String(body.length) }, body };
  });
  assert.equal(version(await store().latest()), "1");
});

for (const [what, spoil] of [
  ["one byte flipped", (body: Buffer) => ((body[500]! ^= 1), body)],
  ["a tail that nobody announced", (body: Buffer) => Buffer.concat([body, Buffer.from("x")])],
] as const) {
  test(`${what}: refused, and the old student goes on`, async () => {
    await store().latest();
    front.upstream = urls.other;
    spoiling(async (_seen, pass) => {
      const passing = await pass();
      const body = spoil(passing.body);
      return { ...passing, body, headers: { "content-length": String(body.length) } };
    });
    await assert.rejects(store().latest(), BundleCorrupt);
    assert.equal(version(await store().local()), "1");
    front.answering = (_seen, pass) => pass();
    assert.equal(version(await store().latest()), "2");
  });
}

test("an error in a file's place that never ends is not waited for", { timeout: 20_000 }, async () => {
  spoiling(async () => ({ drip: 500 }));
  const impatient = new Client(front.url, { maxRetries: 0, key: searchKey, timeoutMs: 500 });
  await assert.rejects(openStore({ client: impatient, directory }).latest(), TimedOut);
});

test("what is held starts offline, and the newest says that nobody is there", async () => {
  await store().latest();
  front.answering = async () => "cut";
  const { encoder, update } = await store().localThenUpdate();
  assert.equal(version(encoder), "1");
  assert.equal(await update, undefined);
  await assert.rejects(store().latest(), Unreachable);
});

test("nothing held is NotFound here, and Unreachable when it cannot be fetched", async () => {
  await assert.rejects(store().local(), NotFound);
  await assert.rejects(store().rollback(), NotFound);
  front.answering = async () => "cut";
  await assert.rejects(store().localThenUpdate(), Unreachable);
});

test("a newer student arrives behind the held one; it can be rolled back and stays away", async () => {
  await store().latest();
  front.upstream = urls.other;
  const { encoder, update } = await store().localThenUpdate();
  assert.deepEqual([version(encoder), version((await update)!)], ["1", "2"]);
  const held = await store().held();
  assert.deepEqual([held.active?.version, held.previous?.version], ["2", "1"]);

  assert.equal(version(await store().rollback()), "1");
  const again = await store().localThenUpdate();
  assert.deepEqual([version(again.encoder), await again.update], ["1", undefined]);
  assert.equal(version(await store().latest()), "2", "asked for by name, it comes back");
});

test("only the two students that are held keep files", async () => {
  await store().latest();
  const [first] = await files();
  assert.ok(first);
  front.upstream = urls.other;
  await store().latest();
  const kept = new Set(await files());
  front.upstream = urls.tiny;
  await store().latest();
  assert.deepEqual(new Set(await files()), kept, "the same two, the other way round");
  await store().clear();
  assert.deepEqual(await files(), []);
});

test("a held file that was damaged is fetched again", async () => {
  await store().latest();
  const model = (await store().held()).active!.files.fp32!;
  await writeFile(join(directory, "files", model.sha256), "damaged");
  await assert.rejects(store().local(), BundleCorrupt);
  const { encoder } = await store().localThenUpdate();
  assert.equal(version(encoder), "1");
  assert.equal((await readFile(join(directory, "files", model.sha256))).length, model.bytes);
});

test("a record that cannot be read counts as nothing held", async () => {
  await store().latest();
  const [server] = await readdir(join(directory, "students"));
  const [record] = await readdir(join(directory, "students", server!));
  await writeFile(join(directory, "students", server!, record!), "{");
  await assert.rejects(store().local(), NotFound);
  assert.equal(version(await store().latest()), "1");
});

test("two stores of one directory fetch once", async () => {
  const [one, two] = await Promise.all([store().latest(), store().latest()]);
  assert.deepEqual([version(one), version(two)], ["1", "1"]);
  assert.equal(front.seen.filter(({ path }) => isModel(path)).length, 1);
});

test("a process that was killed while it fetched holds nobody up", async () => {
  front.answering = async () => "silence";
  const script = `
    import { Client } from "lorgnette";
    import { openStore } from "lorgnette/node";
    const client = new Client(${JSON.stringify(front.url)}, { timeoutMs: 60000 });
    await openStore({ client, directory: ${JSON.stringify(directory)} }).latest();`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    cwd: join(import.meta.dirname, ".."),
    stdio: "inherit",
  });
  while (!front.seen.length) await new Promise((resolve) => setTimeout(resolve, 10));
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.ok((await files()).includes("students.lock"));
  front.reset();
  assert.equal(version(await store().latest()), "1");
  assert.ok(!(await files()).includes("students.lock"));
});

test("a full disk is DiskFull, unless there is somewhere else to go on", async () => {
  class FullShelf extends MemoryShelf {
    override async write(key: string): Promise<void> {
      throw new DiskFull(`no space for ${key}`);
    }
  }
  const opened = await store().latest();
  const platform = {
    files: () => [opened.bundle.manifest.files.fp32!],
    open: async () => opened,
  };
  const full = new Keeper<NodeEncoder>({ client: client() }, { shelf: new FullShelf(), ...platform });
  await assert.rejects(full.latest(), DiskFull);
  const spare = new MemoryShelf();
  const spared = new Keeper<NodeEncoder>(
    { client: client() }, { shelf: new FullShelf(), spare, ...platform },
  );
  assert.equal(await spared.latest(), opened);
  assert.equal(spared.isKept, false);
});

test("a directory that cannot be used is named", async () => {
  const file = join(directory, "a-file");
  await writeFile(file, "");
  const misplaced = openStore({ client: client(), directory: file });
  await assert.rejects(misplaced.latest(), InvalidConfiguration);
});

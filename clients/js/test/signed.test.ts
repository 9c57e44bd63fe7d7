import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import {
  Client, InvalidBundle, InvalidConfiguration, InvalidSignature, SdkTooOld, type ModelStore,
} from "lorgnette";
import { openStore, type NodeEncoder } from "lorgnette/node";
import { isFor } from "../dist/release.js";
import { VERSION } from "../dist/version.js";
import { backend } from "./support/backend.js";
import { answer, Front } from "./support/front.js";

const { urls, folder } = backend();

/** OpenSSL signs; what verifies is another implementation. */
const pair = (): { publicKey: string; privateKey: KeyObject } => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const raw = publicKey.export({ type: "spki", format: "der" }).subarray(-32);
  return { publicKey: raw.toString("base64"), privateKey };
};
const ours = pair();
const theirs = pair();
const signed = (document: Buffer, { privateKey } = ours): string =>
  `${sign(null, document, privateKey).toString("base64")}\n`;

let front: Front;
let directory: string;
let manifest: Buffer;
/** What the server has beside the manifest, by name. */
let beside: Record<string, string | Buffer>;

before(async () => {
  front = await Front.open(urls.tiny);
  manifest = await readFile(join(folder, "tiny0/query/manifest.json"));
});
beforeEach(async () => {
  front.reset();
  beside = {};
  front.answering = async (seen, pass) => {
    const name = seen.path.replace(/^\/models\/tiny-query\//, "");
    const found = beside[name];
    return found === undefined ? pass() : answer(200, String(found));
  };
  directory = await mkdtemp(join(tmpdir(), "lorgnette-signed-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));
after(() => front.close());

const store = (...publicKeys: readonly string[]): ModelStore<NodeEncoder> =>
  openStore({ client: new Client(front.url, { maxRetries: 0 }), directory, publicKeys });

const release = (fields: object): string =>
  JSON.stringify({
    schema_version: 1,
    manifest_sha256: createHash("sha256").update(manifest).digest("hex"),
    min_sdk: "0.0.1",
    rollout_percent: 100,
    ...fields,
  });

test("a manifest that one of the keys signed is taken, and starts offline", async () => {
  beside["manifest.sig"] = signed(manifest);
  await store(theirs.publicKey, ours.publicKey).latest();
  front.answering = async () => "cut";
  await store(ours.publicKey).local();
  await assert.rejects(store(theirs.publicKey).local(), InvalidSignature);
});

test("one that nobody signed, another key signed, or of other bytes is refused", async () => {
  await assert.rejects(store(ours.publicKey).latest(), InvalidSignature);
  const wrong = [signed(manifest, theirs), signed(Buffer.from("other")), "nonsense", ""];
  for (const signature of wrong) {
    beside["manifest.sig"] = signature;
    await assert.rejects(store(ours.publicKey).latest(), InvalidSignature);
  }
  assert.equal((await store().held()).active, undefined);
  assert.ok(!front.paths.some((path) => path.endsWith(".onnx")));
});

test("without keys signatures are not looked at", async () => {
  beside["manifest.sig"] = "nonsense";
  await store().latest();
});

test("keys that come after the student have it signed then", async () => {
  await store().latest();
  await assert.rejects(store(ours.publicKey).latest(), InvalidSignature);
  beside["manifest.sig"] = signed(manifest);
  await store(ours.publicKey).latest();
  front.answering = async () => "cut";
  await store(ours.publicKey).local();
});

test("what is no public key is named", async () => {
  await assert.rejects(store("c2hvcnQ=").latest(), InvalidConfiguration);
});

test("a release must be signed too, and belong to its manifest", async () => {
  beside["manifest.sig"] = signed(manifest);
  beside["release.json"] = release({});
  await assert.rejects(store(ours.publicKey).latest(), InvalidSignature);
  beside["release.sig"] = signed(Buffer.from(release({})));
  await store(ours.publicKey).latest();
  const others = [release({ manifest_sha256: "0".repeat(64) }), release({ more: 1 }), "{"];
  for (const document of others) {
    await rm(directory, { recursive: true, force: true });
    beside["release.json"] = document;
    await assert.rejects(store().latest(), InvalidBundle);
  }
});

test("a release for newer SDKs is refused, and the held student goes on", async () => {
  const [major, minor, patch] = VERSION.split(".").map(Number) as [number, number, number];
  for (const min_sdk of [`${major}.${minor}.${patch}`, `${major}.${minor}.0`, "0.0.99"]) {
    await rm(directory, { recursive: true, force: true });
    beside["release.json"] = release({ min_sdk });
    await store().latest();
  }
  for (const min_sdk of [`${major}.${minor}.${patch + 1}`, `${major}.10.0`, `${major + 1}.0.0`]) {
    await rm(directory, { recursive: true, force: true });
    beside["release.json"] = release({ min_sdk });
    await assert.rejects(store().latest(), SdkTooOld);
  }
});

test("a rollout decides among students of one space, and not for who has none", async () => {
  beside["release.json"] = release({ rollout_percent: 0 });
  assert.equal((await store().latest()).bundle.manifest.version, "1");

  // The same model in another manifest: a new version of the same space.
  const newer = Buffer.from(manifest.toString().replace('"version": "1"', '"version": "1.1"'));
  beside["manifest.json"] = newer;
  const manifest_sha256 = createHash("sha256").update(newer).digest("hex");
  beside["release.json"] = release({ manifest_sha256, rollout_percent: 0 });
  assert.equal((await store().latest()).bundle.manifest.version, "1");
  assert.equal(await (await store().localThenUpdate()).update, undefined);

  beside["release.json"] = release({ manifest_sha256, rollout_percent: 100 });
  assert.equal((await store().latest()).bundle.manifest.version, "1.1");
});

test("a rollout reaches about its share of the devices, and keeps whom it reached", async () => {
  const at = async (rollout_percent: number): Promise<Set<number>> => {
    const said = JSON.parse(release({ rollout_percent })) as never;
    const reached = new Set<number>();
    for (let i = 0; i < 1000; i += 1) if (await isFor(said, `device ${i}`)) reached.add(i);
    return reached;
  };
  const [none, quarter, half, all] = [await at(0), await at(25), await at(50), await at(100)];
  assert.deepEqual([none.size, all.size], [0, 1000]);
  assert.ok(quarter.size > 200 && quarter.size < 300);
  assert.ok([...quarter].every((device) => half.has(device)));
});

test("the version is the package's", async () => {
  const said = await readFile(join(import.meta.dirname, "../package.json"), "utf8");
  assert.equal(VERSION, (JSON.parse(said) as { version: string }).version);
});

test("the device's id is never sent", async () => {
  beside["release.json"] = release({});
  await store().latest();
  await writeFile(join(directory, "device"), "a-device-id-of-this-test");
  beside["manifest.json"] = Buffer.from(manifest.toString().replace('"1"', '"1.2"'));
  beside["release.json"] = release({
    manifest_sha256: createHash("sha256").update(beside["manifest.json"]).digest("hex"),
  });
  await store().latest();
  const sent = JSON.stringify(front.seen.map(({ path, headers }) => [path, headers]));
  assert.ok(!sent.includes("a-device-id"));
});

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { before, test } from "node:test";
import type { BrowserContext, Page } from "playwright-core";
import { cutAfter, edited, stallAfter, type Passed, type Whole } from "./proxy.js";
import { complaint, encoderIs, firstFolder, query, results, searchFor, theWorld, viewIs, type World } from "./world.js";

let world: World;
before(async () => (world = await theWorld()));
const MODEL = /\.onnx$/;
const MANIFEST = /manifest\.json$/;
const NOT_KEPT = /no room to keep the encoder: all works, and the next visit fetches it again\./;

/** Another version of the manifest, whose model is another file than the one that is served. */
const otherModel = edited((manifest: { version: string; files: { fp16: { sha256: string } } }) => {
  manifest.version = "another";
  manifest.files.fp16.sha256 = "0".repeat(64);
});

/** What the service has under a path, whatever the browser has already. */
async function asked({ headers }: Whole, { path }: Passed): Promise<Whole> {
  const answer = await fetch(`http://127.0.0.1:${world.service.port}${path}`);
  return { status: 200, headers, body: Buffer.from(await answer.arrayBuffer()) };
}

function flipped({ status, headers, body }: Whole): Whole {
  const changed = Buffer.from(body);
  changed.writeUInt8(changed.readUInt8(1_000_000) ^ 1, 1_000_000);
  return { status, headers, body: changed };
}

test("a download cut twice goes on where it was; a photograph picked meanwhile is searched for", async () => {
  world.proxy.when(MODEL, cutAfter(2_000_000), 2);
  const page = await world.visit();
  await page.setInputFiles("#file", query().path);
  await viewIs(page, "working");
  assert.equal(await page.locator(".skeleton").count(), 12);
  assert.equal(firstFolder(await results(page)), query().folder);
  // Chromium's own cache may ask for a byte before it joins what it has with what is to come.
  const [first, ...later] = world.proxy.passed(MODEL).map(({ range, status }) => [status, range] as const);
  assert.deepEqual(first, [200, undefined]);
  assert.ok(later.length >= 2, "it was cut twice");
  for (const [status, range] of later) {
    assert.equal(status, 206);
    // How much of what was sent arrives before a cut is for the network to say, but never nothing.
    assert.ok(Number(/^bytes=(\d+)-/.exec(range ?? "")?.[1]) > 0, range);
  }

  world.proxy.reset();
  await page.reload();
  await encoderIs(page, "ready");
  await until(() => world.proxy.passed(MANIFEST)[0]?.status === 304);
  assert.deepEqual(world.proxy.passed(MODEL), []);

  world.proxy.when(MANIFEST, async (whole, response, entry) => otherModel(await asked(whole, entry), response, entry));
  world.proxy.when(MODEL, async (whole, _, entry) => flipped(await asked(whole, entry)));
  await page.reload();
  await page.waitForSelector("#notice:visible");
  assert.match((await page.textContent("#notice span")) ?? "", /refused: the present one goes on\.$/);
  assert.equal(firstFolder(await searchFor(page, query().path)), query().folder);
});

test("a newer encoder takes the place of the one before, whose worker ends", async () => {
  const page = await world.readyPage();
  const encoders = (): number => page.workers().filter((worker) => /\/worker-/.test(worker.url())).length;
  assert.equal(encoders(), 1);
  world.proxy.when(MANIFEST, async (whole, response, entry) => {
    const newer = edited((manifest: { version: string }) => (manifest.version = "another"));
    return newer(await asked(whole, entry), response, entry);
  });
  await page.reload();
  await page.waitForSelector("#notice:visible");
  assert.match((await page.textContent("#notice span")) ?? "", /^A newer encoder was fetched, checked and put in place/);
  await until(() => encoders() === 1);
  assert.equal(firstFolder(await searchFor(page, query().path)), query().folder);
});

test("a page that is reloaded in the middle of the download goes on where it was", async () => {
  world.proxy.when(MODEL, stallAfter(3_000_000), 1);
  const page = await world.visit();
  await page.waitForFunction(() => /3\.0 of|3\.0 MB of/.test(document.getElementById("model-text")?.textContent ?? ""));
  assert.match((await page.textContent("#model-text")) ?? "", /^Fetching the encoder, 3\.0 MB of 8\.1 MB/);
  await page.reload();
  await encoderIs(page, "ready");
  const [, second] = world.proxy.passed(MODEL);
  const from = Number(/bytes=(\d+)-/.exec(second?.range ?? "")?.[1]);
  assert.ok(from >= 2_000_000 && from <= 3_000_000, String(second?.range));
});

/** What the page says at last, after an encoder that it would not take. */
async function refusal(page: Page, sentence: RegExp): Promise<void> {
  await page.waitForFunction((text) => new RegExp(text).test(document.getElementById("problem-text")?.textContent ?? ""), sentence.source);
  assert.equal(await page.getAttribute("#chip", "data-state"), "failed");
}

test("an encoder for newer pages and one with a flipped byte are refused, told, and fetched again when asked", async () => {
  world.proxy.when(/release\.json$/, async ({ headers }) => {
    const manifest = await fetch(`${world.proxy.origin}${world.proxy.passed(MANIFEST)[0]?.path}`);
    const manifest_sha256 = createHash("sha256").update(Buffer.from(await manifest.arrayBuffer())).digest("hex");
    const release = { schema_version: 1, manifest_sha256, min_sdk: "99.0.0", rollout_percent: 100 };
    return { status: 200, headers, body: Buffer.from(JSON.stringify(release)) };
  }, 1);
  world.proxy.when(MODEL, flipped, 1);
  const page = await world.visit();
  await refusal(page, /^The gallery's encoder needs a newer version of this page/);
  assert.deepEqual(world.proxy.passed(MODEL), []);
  await page.click("#problem-action");
  await refusal(page, /^The encoder arrived damaged and was not used/);
  await page.click("#problem-action");
  await encoderIs(page, "ready");
  assert.equal(await page.isVisible("#problem"), false);
});

test("the page and its encoder start with the service gone", async () => {
  const page = await world.visit({ serviceWorkers: "allow" });
  await encoderIs(page, "ready");
  await page.evaluate(async () => void (await navigator.serviceWorker.ready));
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
  world.proxy.isDown = true;
  await page.reload();
  await encoderIs(page, "ready");
  await page.setInputFiles("#file", query().path);
  await viewIs(page, "error");
  assert.match(await complaint(page), /^The service cannot be reached/);
});

test("without storage and without workers the page works, and keeps nothing", async () => {
  const page = await world.context().then((context) => crippled(context, ["caches", "Worker"]));
  await encoderIs(page, "ready");
  assert.match((await page.textContent("#notice:visible")) ?? "", NOT_KEPT);
  assert.equal(firstFolder(await searchFor(page, query().path)), query().folder);
});

test("where the storage is full the page works, and says that nothing is kept", async () => {
  const context = await world.context();
  await context.addInitScript(() => {
    Cache.prototype.put = () => Promise.reject(new DOMException("full", "QuotaExceededError"));
  });
  const page = await context.newPage();
  await page.goto("/#search");
  await encoderIs(page, "ready");
  assert.match((await page.textContent("#notice:visible")) ?? "", NOT_KEPT);
  assert.equal(firstFolder(await searchFor(page, query().path)), query().folder);
});

test("without WebAssembly the visitor is told", async () => {
  const page = await world.context().then((context) => crippled(context, ["Worker", "WebAssembly"]));
  await encoderIs(page, "failed");
  assert.match(await complaint(page), /^This browser has no WebAssembly/);
});

async function crippled(context: BrowserContext, lacks: readonly string[]): Promise<Page> {
  await context.addInitScript((names) => {
    for (const name of names) Object.defineProperty(globalThis, name, { value: undefined });
  }, lacks);
  const page = await context.newPage();
  await page.goto("/#search");
  return page;
}

async function until(isTrue: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!isTrue()) {
    assert.ok(Date.now() < deadline, "it did not happen in time");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { cosine } from "lorgnette";
import { Browsing, LAN, row } from "./support/browsing.js";
import { noBrowser } from "./support/chromium.js";
import { answer } from "./support/front.js";

const browsing = Browsing.forThisFile();
const options = { skip: noBrowser };

test("the second visit transfers no model; offline the held one starts", options, async () => {
  await browsing.withTiny(async () => {
    await (await browsing.encoding("/plain")).close();
    browsing.front.seen.length = 0;
    const page = await browsing.encoding("/plain");
    assert.ok(!browsing.front.seen.some(({ path }) => path.includes(".onnx")));
    assert.equal(await page.evaluate(() => store.isKept), true);
    browsing.serve(async (seen, pass) => (seen.path.startsWith("/models") ? "cut" : browsing.honest(seen, pass)));
    const started = await page.evaluate(async () => {
      const offline = new lorgnette.Client("/", { maxRetries: 0 });
      const kept = await lorgnette.openStore({ ...lorgnette.runtime, client: offline });
      const { encoder: held, update } = await kept.localThenUpdate();
      return { name: held.bundle.manifest.name, update: await update };
    });
    browsing.serve(browsing.honest);
    assert.deepEqual(started, { name: "tiny-query", update: undefined });
    await page.close();
  });
});

test("a page that is reloaded in the middle of the download goes on", options, async () => {
  const page = await browsing.open("/plain");
  await page.evaluate(() => caches.delete("lorgnette"));
  browsing.serve(async (seen, pass) => {
    const isFirst = seen.path.includes(".onnx") && seen.headers["range"] === undefined;
    return isFirst ? { cutAfter: 3_000_000, of: await pass() } : browsing.honest(seen, pass);
  });
  const refusal = await page.evaluate(async () => {
    const impatient = new lorgnette.Client("/", { maxRetries: 0 });
    const kept = await lorgnette.openStore({ ...lorgnette.runtime, client: impatient });
    const stop = new AbortController();
    const onProgress = (have: number): void => void (have > 2_500_000 && stop.abort());
    return kept.latest({ onProgress, signal: stop.signal }).then(String, (e: Error) => e.name);
  });
  assert.equal(refusal, "AbortError");
  browsing.serve(browsing.honest);
  await page.reload();
  await page.waitForFunction("globalThis.lorgnette !== undefined");
  browsing.front.seen.length = 0;
  await browsing.encodingOn(page);
  const asked = browsing.front.seen.filter(({ path }) => path.includes(".onnx"));
  assert.equal(asked.length, 1);
  assert.match(asked[0]!.headers["range"] ?? "", /^bytes=[1-9]\d{5,}-$/);
  await page.close();
});

test("a full storage is no obstacle: the model stays in memory", options, async () => {
  await browsing.withTiny(async () => {
    const page = await browsing.open("/plain");
    const isKept = await page.evaluate(async () => {
      await caches.delete("lorgnette");
      Cache.prototype.put = () => Promise.reject(new DOMException("full", "QuotaExceededError"));
      const kept = await lorgnette.openStore({
        ...lorgnette.runtime, client: new lorgnette.Client("/"),
      });
      const photo = await lorgnette.blobOf("/files/photographs/gray.jpg");
      await (await kept.latest()).encode(photo);
      return kept.isKept;
    });
    assert.equal(isKept, false);
    await page.close();
  });
});

test("plain http on a local network has no storage and no crypto, and works", options, async () => {
  const page = await browsing.open("/plain", browsing.front.url.replace("127.0.0.1", LAN));
  assert.deepEqual(await page.evaluate(() => [isSecureContext, crypto.subtle]), [false, undefined]);
  await browsing.encodingOn(page);
  const found = await browsing.embedded(page, "p3.jpg");
  assert.ok(cosine(found, row(browsing.expected.photographs["p3.jpg"]!)) >= 0.999);
  assert.equal(await page.evaluate(() => store.isKept), false);
  await page.close();
});

test("without the browser's crypto, too, a signature by another key is refused and the right one taken", options, async () => {
  const [ours, theirs] = [generateKeyPairSync("ed25519"), generateKeyPairSync("ed25519")];
  const publicKey = ours.publicKey.export({ type: "spki", format: "der" }).subarray(-32).toString("base64");
  const signedBy = (key: typeof ours.privateKey): void =>
    browsing.serve(async (seen, pass) => {
      if (!seen.path.endsWith("/manifest.sig")) return browsing.honest(seen, pass);
      const manifest = await fetch(browsing.front.upstream + seen.path.replace(/sig$/, "json"));
      return answer(200, sign(null, Buffer.from(await manifest.arrayBuffer()), key).toString("base64"));
    });
  const latest = (page: Page): Promise<object> =>
    page.evaluate(async (key) => {
      const client = new lorgnette.Client("/");
      const kept = await lorgnette.openStore({ ...lorgnette.runtime, client, publicKeys: [key] });
      return lorgnette.told(async () => ({ name: (await kept.latest()).bundle.manifest.name }));
    }, publicKey);
  await browsing.withTiny(async () => {
    const page = await browsing.open("/plain", browsing.front.url.replace("127.0.0.1", LAN));
    signedBy(theirs.privateKey);
    const refused = (await latest(page)) as { code: string; message: string };
    assert.equal(refused.code, "invalid-signature");
    assert.doesNotMatch(refused.message, /\.\s/, "one sentence");
    signedBy(ours.privateKey);
    assert.deepEqual(await latest(page), { name: "tiny-query" });
    browsing.serve(browsing.honest);
    await page.close();
  });
});

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { BrowserContext, Page } from "playwright-core";
import { cosine, type ModelStore } from "lorgnette";
import type { WebEncoder } from "lorgnette/web";
import { fromBase64, fromBytes } from "../dist/vectors.js";
import type { App } from "./support/app.js";
import { backend } from "./support/backend.js";
import { bundled, noBrowser, openBrowser, openPage, pages } from "./support/chromium.js";
import type { Expected } from "./support/expected.js";
import { answer, Front, type Answering } from "./support/front.js";

declare const lorgnette: App;

const { urls, json, file } = backend();
const options = { skip: noBrowser };
let expected: Expected;
let front: Front;
let serve: (rest: Answering) => void;
let context: BrowserContext;
let close: () => Promise<void>;
/** An isolated page with an encoder, for all tests that leave it as it is. */
let main: Page;

const LAN = "lan.example";

/** The Python side's files, then the service. */
const honest: Answering = async (seen, pass) => {
  const path = seen.path.replace(/\?.*/, "");
  if (!path.startsWith("/files/")) return pass();
  const body = Buffer.from(await file(...path.split("/").slice(2)));
  return { status: 200, body, headers: { "content-length": String(body.length) } };
};

before(async () => {
  if (noBrowser) return;
  expected = await json<Expected>("vectors.json");
  front = await Front.open(urls.shipped);
  const app = await bundled();
  serve = (rest) => (front.answering = pages(app, rest));
  serve(honest);
  ({ context, close } = await openBrowser([`--host-resolver-rules=MAP ${LAN} 127.0.0.1`]));
  main = await encoding("/isolated");
});
after(async () => {
  if (noBrowser) return;
  await close();
  await front.close();
});

/** A page with `globalThis.encoder`, the shipped student's. */
async function encoding(path: string, page?: Page): Promise<Page> {
  const opened = page ?? (await openPage(context, front.url + path));
  await opened.evaluate(async () => {
    const client = new lorgnette.Client("/");
    const store = await lorgnette.openStore({ ...lorgnette.runtime, client });
    Object.assign(globalThis, { store, encoder: await store.latest() });
  });
  return opened;
}

declare const encoder: WebEncoder;
declare const store: ModelStore<WebEncoder>;

const row = (text: string): Float32Array => {
  const raw = fromBase64(text);
  return fromBytes(raw, "f32", raw.length / 4)[0]!;
};

async function embedded(page: Page, name: string): Promise<number[]> {
  return page.evaluate(async (path) => {
    return [...(await encoder.encode(await lorgnette.blobOf(path)))];
  }, `/files/photographs/${name}`);
}

test("the same pixels give Python's vectors in Chromium, in a worker", options, async () => {
  const worst = { cosine: 1 };
  for (const { file: name, vectors } of expected.raw) {
    const found = await main.evaluate(async (path) => {
      const pixels = await lorgnette.pixelsOf(path);
      await encoder.encodePixels(pixels);
      // The buffer is still the caller's: the second run would find it empty.
      return [...(await encoder.encodePixels(pixels))];
    }, `/files/${name}`);
    worst.cosine = Math.min(worst.cosine, cosine(found, row(vectors.shipped)));
  }
  console.log(`Chromium beside Python, same pixels: ${worst.cosine}`);
  assert.ok(worst.cosine >= 0.99999);
  assert.equal(await main.evaluate(() => encoder.isInWorker), true);
});

test("the same files give Python's vectors, and a photograph not turned does not", options, async () => {
  const found: Record<string, number> = {};
  for (const [name, vector] of Object.entries(expected.photographs)) {
    found[name] = cosine(await embedded(main, name), row(vector));
  }
  console.log(`Chromium beside Pillow, worst file: ${worstOf(found)}`);
  for (const [name, value] of Object.entries(found)) assert.ok(value >= 0.999, `${name}: ${value}`);
  assert.equal(Object.keys(found).length, 20);

  const control = await main.evaluate(async () => {
    const raw = new Uint8Array(
      await (await lorgnette.blobOf("/files/photographs/exif_6.jpg")).arrayBuffer(),
    );
    const entry = raw.findIndex((byte, i) => byte === 1 && raw[i + 1] === 0x12 && raw[i + 3] === 3);
    raw[entry + 9] = 1;
    return [...(await encoder.encode(new Blob([raw])))];
  });
  assert.ok(cosine(control, row(expected.photographs["exif_6.jpg"]!)) < 0.9);
});

function worstOf(found: Readonly<Record<string, number>>): string {
  const [name, value] = Object.entries(found).sort(([, a], [, b]) => a - b)[0]!;
  return `${name} ${value.toFixed(6)}`;
}

test("threads are used when the page is isolated, and not missed when it is not", options, async () => {
  const threads = (page: Page): Promise<readonly (number | boolean)[]> =>
    page.evaluate(() => [crossOriginIsolated, encoder.threads]);
  const cores = await main.evaluate(() => navigator.hardwareConcurrency);
  assert.deepEqual(await threads(main), [true, Math.min(4, cores)]);
  const plain = await encoding("/plain");
  assert.deepEqual(await threads(plain), [false, 1]);
  await plain.close();
});

test("a photograph finds its picture; nothing but its vector leaves the page", options, async () => {
  const page = await openPage(context, `${front.url}/isolated`);
  front.seen.length = 0;
  const strangers: string[] = [];
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (/^https?:/.test(url.protocol) && url.origin !== front.url) strangers.push(url.href);
  });
  await encoding("/isolated", page);
  const hits = await page.evaluate(async () => {
    const photo = await lorgnette.blobOf("/files/gallery/picture3.png");
    const searching = new lorgnette.Client("/", { encoder });
    return searching.search(photo, { k: 3 });
  });
  assert.deepEqual([hits.length, hits[0]!.id], [3, "picture3.png"]);
  const bodies = front.seen.filter(({ body }) => body.length);
  assert.deepEqual(bodies.map(({ path }) => path), ["/search"]);
  assert.ok(bodies[0]!.body.length < 1500);
  assert.deepEqual(strangers, []);
  await page.close();
});

for (const [what, script] of [
  ["cannot be made", undefined],
  ["cannot be loaded", "/nowhere.js"],
] as const) {
  test(`where a worker ${what}, the page encodes by itself`, options, async () => {
    const page = await openPage(context, `${front.url}/plain`);
    const found = await page.evaluate(async (address) => {
      const createWorker = (): Worker => {
        if (address === undefined) throw new DOMException("no", "SecurityError");
        return new Worker(address, { type: "module" });
      };
      const kept = await lorgnette.openStore({
        ...lorgnette.runtime, createWorker, client: new lorgnette.Client("/"),
      });
      const own = await kept.latest();
      const photo = await lorgnette.blobOf("/files/photographs/exif_1.jpg");
      return { vector: [...(await own.encode(photo))], isInWorker: own.isInWorker };
    }, script);
    assert.equal(found.isInWorker, false);
    assert.ok(cosine(found.vector, row(expected.photographs["exif_1.jpg"]!)) >= 0.999);
    await page.close();
  });
}

test("without an adapter, WebGPU falls back to WebAssembly", options, async () => {
  const page = await openPage(context, `${front.url}/plain`);
  const device = await page.evaluate(async () => {
    const kept = await lorgnette.openStore({
      ...lorgnette.runtime, device: "webgpu", client: new lorgnette.Client("/"),
    });
    return (await kept.latest()).device;
  });
  assert.equal(device, "wasm");
  await page.close();
});

const REFUSED: Readonly<Record<string, RegExp>> = {
  "empty.jpg": /empty \(0 bytes\)/,
  "iphone.heic": /HEIC .* share it as JPEG/,
  "drawing.svg": /SVG is a drawing/,
  "document.pdf": /PDF is a document/,
  "text.jpg": /not a photograph we read/,
  "still.gif": /GIF is not a photograph/,
  "scan.tif": /TIFF cannot be read here/,
  "moving.webp": /is animated/,
  "moving.png": /is animated/,
  "hundred_megapixels.png": /12500 × 8000 pixels, more than the 64 million/,
  "header_only.jpg": /damaged/,
  "damaged.png": /damaged/,
};

test("what is no photograph is refused, each in one sentence", options, async () => {
  for (const [name, sentence] of Object.entries(REFUSED)) {
    const found = await main.evaluate(async (path) => {
      const blob = await lorgnette.blobOf(path);
      return lorgnette.told(() => lorgnette.readImage(blob));
    }, `/files/refused/${name}`);
    assert.ok("code" in found, `${name} was read`);
    assert.equal(found.code, name.startsWith("hundred") ? "image-too-large" : "invalid-image");
    assert.match(found.message, sentence);
    assert.doesNotMatch(found.message, /\.\s/, "one sentence");
  }
});

test("a long photograph is brought down to 2048, and not below 1024", options, async () => {
  const sizes = await main.evaluate(async () => {
    const capped = await encoder.embed(await lorgnette.blobOf("/files/photographs/ten_megapixels.jpg"));
    const strip = await lorgnette.readImage(new ImageData(5000, 900));
    return [capped.width, capped.height, strip.width, strip.height, capped.decode_ms, capped.encode_ms];
  });
  assert.deepEqual(sizes.slice(0, 4), [2048, 1366, 5000, 900]);
  assert.ok(sizes[4]! > 0 && sizes[5]! > 0);
});

test("the second visit transfers no model; offline the held one starts", options, async () => {
  await (await encoding("/plain")).close();
  front.seen.length = 0;
  const page = await encoding("/plain");
  assert.ok(!front.seen.some(({ path }) => path.includes(".onnx")));
  assert.equal(await page.evaluate(() => store.isKept), true);
  serve(async (seen, pass) => (seen.path.startsWith("/models") ? "cut" : honest(seen, pass)));
  const started = await page.evaluate(async () => {
    const offline = new lorgnette.Client("/", { maxRetries: 0 });
    const kept = await lorgnette.openStore({ ...lorgnette.runtime, client: offline });
    const { encoder: held, update } = await kept.localThenUpdate();
    return { name: held.bundle.manifest.name, update: await update };
  });
  serve(honest);
  assert.deepEqual(started, { name: expectedName(), update: undefined });
  await page.close();
});

function expectedName(): string {
  return "lite0-of-lite2";
}

test("a page that is reloaded in the middle of the download goes on", options, async () => {
  const page = await openPage(context, `${front.url}/plain`);
  await page.evaluate(() => caches.delete("lorgnette"));
  serve(async (seen, pass) => {
    const isFirst = seen.path.includes(".onnx") && seen.headers["range"] === undefined;
    return isFirst ? { cutAfter: 3_000_000, of: await pass() } : honest(seen, pass);
  });
  const refusal = await page.evaluate(async () => {
    const impatient = new lorgnette.Client("/", { maxRetries: 0 });
    const kept = await lorgnette.openStore({ ...lorgnette.runtime, client: impatient });
    const stop = new AbortController();
    const onProgress = (have: number): void => void (have > 2_500_000 && stop.abort());
    return kept.latest({ onProgress, signal: stop.signal }).then(String, (e: Error) => e.name);
  });
  assert.equal(refusal, "AbortError");
  serve(honest);
  await page.reload();
  await page.waitForFunction("globalThis.lorgnette !== undefined");
  front.seen.length = 0;
  await encoding("/plain", page);
  const asked = front.seen.filter(({ path }) => path.includes(".onnx"));
  assert.equal(asked.length, 1);
  assert.match(asked[0]!.headers["range"] ?? "", /^bytes=[1-9]\d{5,}-$/);
  await page.close();
});

test("a full storage is no obstacle: the model stays in memory", options, async () => {
  const page = await openPage(context, `${front.url}/plain`);
  const isKept = await page.evaluate(async () => {
    await caches.delete("lorgnette");
    Cache.prototype.put = () => Promise.reject(new DOMException("full", "QuotaExceededError"));
    const kept = await lorgnette.openStore({
      ...lorgnette.runtime, client: new lorgnette.Client("/"),
    });
    await (await kept.latest()).encode(await lorgnette.blobOf("/files/photographs/gray.jpg"));
    return kept.isKept;
  });
  assert.equal(isKept, false);
  await page.close();
});

test("plain http on a local network has no storage and no crypto, and works", options, async () => {
  const page = await openPage(context, `${front.url.replace("127.0.0.1", LAN)}/plain`);
  assert.deepEqual(await page.evaluate(() => [isSecureContext, crypto.subtle]), [false, undefined]);
  await encoding("/plain", page);
  const found = await embedded(page, "p3.jpg");
  assert.ok(cosine(found, row(expected.photographs["p3.jpg"]!)) >= 0.999);
  assert.equal(await page.evaluate(() => store.isKept), false);
  await page.close();
});

test("a runtime that is not there is named with its place", options, async () => {
  const page = await openPage(context, `${front.url}/isolated`);
  serve(async (seen, pass) => (seen.path.startsWith("/wrong/") ? answer(404) : honest(seen, pass)));
  const found = await page.evaluate(async () => {
    const kept = await lorgnette.openStore({
      ...lorgnette.runtime, runtimePath: "/wrong", client: new lorgnette.Client("/"),
    });
    return lorgnette.told(() => kept.latest());
  });
  serve(honest);
  assert.ok("code" in found);
  assert.equal(found.code, "invalid-configuration");
  assert.match(found.message, /are its files served under http.*\/wrong\/\?/);
  await page.close();
});

test("a browser without WebAssembly says what to do instead", options, async () => {
  const page = await openPage(context, `${front.url}/plain`);
  const found = await page.evaluate(async () => {
    Reflect.deleteProperty(globalThis, "WebAssembly");
    const createWorker = (): Worker => { throw new Error("none"); };
    const kept = await lorgnette.openStore({
      ...lorgnette.runtime, createWorker, client: new lorgnette.Client("/"),
    });
    return lorgnette.told(() => kept.latest());
  });
  assert.ok("code" in found);
  assert.equal(found.code, "missing-extra");
  assert.match(found.message, /no WebAssembly.*searchImage/);
  await page.close();
});

test("a closed encoder says so, an aborted wait ends at once", options, async () => {
  const page = await encoding("/plain");
  const found = await page.evaluate(async () => {
    const photo = await lorgnette.blobOf("/files/photographs/gray.jpg");
    const signal = AbortSignal.abort(new DOMException("enough", "AbortError"));
    const aborted = await encoder.encode(photo, { signal }).then(String, (e: Error) => e.name);
    await encoder.close();
    return { aborted, closed: await lorgnette.told(() => encoder.encode(photo)) };
  });
  assert.equal(found.aborted, "AbortError");
  assert.match((found.closed as { message: string }).message, /was closed: open the encoder again/);
  await page.close();
});

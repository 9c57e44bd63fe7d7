import assert from "node:assert/strict";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { cosine } from "lorgnette";
import { hasInt8DotProduct } from "../dist/node/processor.js";
import { Browsing, row } from "./support/browsing.js";
import { noBrowser } from "./support/chromium.js";
import { answer } from "./support/front.js";

/** An isolated page with an encoder, for all tests that leave it as it is. */
let main: Page;
const browsing = Browsing.forThisFile(async (started) => {
  main = await started.encoding("/isolated");
});
const options = { skip: noBrowser };

test("the same pixels give Python's vectors in Chromium, in a worker", options, async () => {
  const worst = await worstOfRaw(main, "shipped");
  console.log(`Chromium beside Python, same pixels: ${worst}`);
  assert.ok(worst >= 0.99999);
  assert.equal(await main.evaluate(() => encoder.isInWorker), true);
});

/** Least cosine of the page's vectors of the raw pixels with Python's. */
async function worstOfRaw(page: Page, model: "shipped" | "int8"): Promise<number> {
  const found: number[] = [];
  for (const { file: name, vectors } of browsing.expected.raw) {
    const vector = await page.evaluate(async (path) => {
      const pixels = await lorgnette.pixelsOf(path);
      await encoder.encodePixels(pixels);
      // The buffer is still the caller's: the second run would find it empty.
      return [...(await encoder.encodePixels(pixels))];
    }, `/files/${name}`);
    found.push(cosine(vector, row(vectors[model])));
  }
  return Math.min(...found);
}

test("the same files give Python's vectors, and a photograph not turned does not", options, async () => {
  const found: Record<string, number> = {};
  for (const [name, vector] of Object.entries(browsing.expected.photographs)) {
    found[name] = cosine(await browsing.embedded(main, name), row(vector));
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
  assert.ok(cosine(control, row(browsing.expected.photographs["exif_6.jpg"]!)) < 0.9);
});

// Without integer dot products int8 saturates in the native runtime, and Python's vectors are others.
const int8 = { skip: noBrowser || (!hasInt8DotProduct() && "int8 is another one on this processor") };

test("int8, where it is asked for, gives Python's vectors to 0.999", int8, async () => {
  const page = await browsing.open("/plain");
  const variant = await page.evaluate(async () => {
    const options = { ...lorgnette.runtime, variant: "int8", client: new lorgnette.Client("/") } as const;
    const encoder = await (await lorgnette.openStore(options)).latest();
    Object.assign(globalThis, { encoder });
    return encoder.variant;
  });
  assert.equal(variant, "int8");
  const worst = await worstOfRaw(page, "int8");
  console.log(`Chromium beside Python, same pixels, int8: ${worst}`);
  assert.ok(worst >= 0.999);
  await page.close();
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
  const plain = await browsing.withTiny(() => browsing.encoding("/plain"));
  assert.deepEqual(await threads(plain), [false, 1]);
  await plain.close();
});

test("a photograph finds its picture; nothing but its vector leaves the page", options, async () => {
  const page = await browsing.open("/isolated");
  browsing.front.seen.length = 0;
  const strangers: string[] = [];
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (/^https?:/.test(url.protocol) && url.origin !== browsing.front.url) strangers.push(url.href);
  });
  await browsing.encodingOn(page);
  const hits = await page.evaluate(async () => {
    const photo = await lorgnette.blobOf("/files/gallery/picture3.png");
    const searching = new lorgnette.Client("/", { encoder });
    return searching.search(photo, { k: 3 });
  });
  assert.deepEqual([hits.length, hits[0]!.id], [3, "picture3.png"]);
  const bodies = browsing.front.seen.filter(({ body }) => body.length);
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
    const page = await browsing.open("/plain");
    const [raw] = browsing.expected.raw;
    const found = await browsing.withTiny(() => page.evaluate(async ([address, path]) => {
      const createWorker = (): Worker => {
        if (address === undefined) throw new DOMException("no", "SecurityError");
        return new Worker(address, { type: "module" });
      };
      const client = new lorgnette.Client("/");
      const kept = await lorgnette.openStore({ ...lorgnette.runtime, createWorker, client });
      const own = await kept.latest();
      const vector = [...(await own.encodePixels(await lorgnette.pixelsOf(path)))];
      return { vector, isInWorker: own.isInWorker };
    }, [script, `/files/${raw!.file}`] as const));
    assert.equal(found.isInWorker, false);
    assert.ok(cosine(found.vector, row(raw!.vectors.tiny)) >= 0.99999);
    await page.close();
  });
}

test("without an adapter, WebGPU falls back to WebAssembly", options, async () => {
  await browsing.withTiny(async () => {
    const page = await browsing.open("/plain");
    const device = await page.evaluate(async () => {
      const kept = await lorgnette.openStore({
        ...lorgnette.runtime, device: "webgpu", client: new lorgnette.Client("/"),
      });
      return (await kept.latest()).device;
    });
    assert.equal(device, "wasm");
    await page.close();
  });
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

test("a runtime that is not there is named with its place", options, async () => {
  await browsing.withTiny(async () => {
    const page = await browsing.open("/isolated");
    browsing.serve(async (seen, pass) => (seen.path.startsWith("/wrong/") ? answer(404) : browsing.honest(seen, pass)));
    const found = await page.evaluate(async () => {
      const kept = await lorgnette.openStore({
        ...lorgnette.runtime, runtimePath: "/wrong", client: new lorgnette.Client("/"),
      });
      return lorgnette.told(() => kept.latest());
    });
    browsing.serve(browsing.honest);
    assert.ok("code" in found);
    assert.equal(found.code, "invalid-configuration");
    assert.match(found.message, /are its files served under http.*\/wrong\/\?/);
    await page.close();
  });
});

test("a browser without WebAssembly says what to do instead", options, async () => {
  const page = await browsing.open("/plain");
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
  await browsing.withTiny(async () => {
    const page = await browsing.encoding("/plain");
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
});

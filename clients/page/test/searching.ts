import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, test } from "node:test";
import type { Page } from "playwright-core";
import { choose, faults, firstFolder, forgetResults, query, results, searchFor, theWorld, viewIs, type World } from "./world.js";

const MOST_SENT = 4096;
let world: World;
before(async () => (world = await theWorld()));

test("no serious accessibility fault in any state, light and dark", async () => {
  let letGo = (): void => undefined;
  const held = new Promise<void>((resolve) => (letGo = resolve));
  const page = await world.startingPage();
  await soundIn(page, "starting");
  await page.waitForSelector("#chip[data-state=ready]");
  await soundIn(page, "empty");
  world.proxy.when(/^\/search$/, async (whole) => (await held, whole), 1);
  await page.setInputFiles("#file", query().path);
  await soundIn(page, "searching");
  letGo();
  await results(page);
  await page.waitForFunction(() => document.querySelectorAll(".frame img").length === 12);
  await soundIn(page, "results");
  world.proxy.isDown = true;
  await page.setInputFiles("#file", query().path);
  await viewIs(page, "error");
  await soundIn(page, "error");
  await page.emulateMedia({ colorScheme: "light" });
});

async function soundIn(page: Page, state: string): Promise<void> {
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    assert.deepEqual(await faults(page), [], `${state}, ${colorScheme}`);
  }
}

test("a picked photograph finds itself first, with pictures, scores, times and bytes", async () => {
  const page = await world.page();
  const ids = await searchFor(page, query().path);
  assert.equal(firstFolder(ids), query().folder);
  assert.equal(ids.length, 12);
  await page.waitForFunction(() => document.querySelectorAll(".frame img").length === 12);
  for (const id of ["t-decode", "t-encode", "t-network", "t-search"]) {
    assert.match((await page.textContent(`#${id}`)) ?? "", /^[\d.]+ m?s$/);
  }
  const [{ sent } = { sent: Buffer.alloc(0) }] = world.proxy.passed(/^\/search$/);
  assert.equal(await page.textContent("#sent"), `${sent.length.toLocaleString("en")} B`);
  assert.match((await page.textContent("#said")) ?? "", /^12 results\. The nearest is chelsea/);
});

test("only numbers leave: no body above 4 KB, no image bytes, no other origin, no refused script", async () => {
  const page = await world.page();
  await searchFor(page, query().path);
  await page.click("#tab-admin");
  await page.waitForSelector("#admin-body:visible");
  const photo = readFileSync(query().path);
  for (const { path, sent } of world.proxy.log) {
    assert.ok(sent.length <= MOST_SENT, `${path} was sent ${sent.length} bytes`);
    assert.ok(!sent.includes(photo.subarray(200, 232)), `${path} was sent a part of the photograph`);
  }
  const bodies = world.proxy.log.filter(({ sent }) => sent.length > 0);
  assert.deepEqual(bodies.map(({ path }) => path), ["/search"]);
  assert.deepEqual(Object.keys(JSON.parse(String(bodies[0]?.sent)) as object).sort(), ["k", "space", "student", "vectors"]);
  const strangers = world.asked.filter((url) => !url.startsWith(world.proxy.origin) && !/^(blob|data):/.test(url));
  assert.deepEqual(strangers, []);
  assert.deepEqual(world.complaints, []);
});

test("an isolated page encodes in two threads", async () => {
  const page = await world.page();
  assert.equal(await page.evaluate(() => crossOriginIsolated), true);
  assert.match((await page.textContent("#chip-text")) ?? "", /[2-4] threads/);
});

test("a page that is not isolated encodes in one, and finds the same", async () => {
  world.proxy.when(/^\/$/, ({ status, headers, body }) => {
    const rest = { ...headers };
    delete rest["cross-origin-opener-policy"];
    delete rest["cross-origin-embedder-policy"];
    return { status, headers: rest, body };
  });
  const page = await world.readyPage();
  assert.equal(await page.evaluate(() => crossOriginIsolated), false);
  assert.match((await page.textContent("#chip-text")) ?? "", /1 thread$/);
  assert.equal(firstFolder(await searchFor(page, query().path)), query().folder);
});

/** Give the page a photograph as another program would, by an event. */
async function hand(page: Page, kind: "drop" | "paste"): Promise<void> {
  const content = [...readFileSync(query().path)];
  await page.evaluate(
    ([kind, content]) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(content)], "photo.jpg", { type: "image/jpeg" }));
      const event =
        kind === "drop"
          ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
          : new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
      document.body.dispatchEvent(event);
    },
    [kind, content] as const,
  );
}

test("a dropped photograph and a pasted one are searched for", async () => {
  const page = await world.page();
  await hand(page, "drop");
  assert.equal(firstFolder(await results(page)), query().folder);
  await forgetResults(page);
  await hand(page, "paste");
  assert.equal(firstFolder(await results(page)), query().folder);
});

test("a photograph is taken with the camera", async () => {
  const page = await world.page();
  await forgetResults(page);
  await page.click("#take");
  await page.waitForFunction(() => document.querySelector("video")?.videoWidth);
  assert.deepEqual(await faults(page), []);
  await page.click("#camera-shoot");
  assert.equal((await results(page)).length, 12);
});

test("everything is done with the keyboard alone", async () => {
  const page = await world.page();
  await page.bringToFront();
  const focused = (): Promise<string> => page.evaluate(() => document.activeElement?.id ?? "");
  const order: string[] = [];
  await page.evaluate(() => (document.activeElement as HTMLElement).blur());
  await page.focus(".brand");
  order.push(await focused());
  for (let count = 0; count < 3; count += 1) {
    await page.keyboard.press("Tab");
    order.push(await focused());
  }
  assert.deepEqual(order, ["", "tab-search", "choose", "take"]);
  await page.keyboard.press("Shift+Tab");
  await forgetResults(page);
  await choose(page, query().path, () => page.keyboard.press("Enter"));
  assert.equal(firstFolder(await results(page)), query().folder);
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("ArrowRight");
  assert.equal(await focused(), "tab-admin");
  await page.waitForSelector("#admin-body:visible");
});

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { EMPTY, GIF, HEIC, HUGE, SVG, TEXT } from "./photographs.js";
import { edited, problem, type Fault } from "./proxy.js";
import { choose, complaint, firstFolder, query, results, searchFor, theWorld, viewIs, type World } from "./world.js";

let world: World;
before(async () => (world = await theWorld()));

const UNFIT = [
  [HEIC, /^A HEIC photograph cannot be read here: share it as JPEG/],
  [SVG, /^An SVG is a drawing, not a photograph: save it as PNG first\.$/],
  [GIF, /^A GIF is not a photograph: save one frame of it/],
  [EMPTY, /^The photograph is empty \(0 bytes\): choose another\.$/],
  [TEXT, /^This is not a photograph we read/],
  [HUGE, /^The photograph has 10000 × 10000 pixels, more than the 64 million/],
] as const;

for (const [file, sentence] of UNFIT) {
  test(`${file.name} is refused in one sentence`, async () => {
    const page = await world.page();
    await page.setInputFiles("#file", query().path);
    await viewIs(page, "working");
    await page.setInputFiles("#file", file);
    await viewIs(page, "error");
    assert.match(await complaint(page), sentence);
  });
}

test("after a refused file another one is chosen from beside the sentence", async () => {
  const page = await world.page();
  await page.setInputFiles("#file", HEIC);
  await viewIs(page, "error");
  await choose(page, query().path, () => page.click("#problem-action"));
  assert.equal(firstFolder(await results(page)), query().folder);
  assert.equal(await page.isVisible("#problem"), false);
});

const always: Fault = problem(429, "too-many-requests", "too fast", { "retry-after": "0" });
const REFUSALS: readonly (readonly [string, Fault, RegExp])[] = [
  ["a limit", always, /^Too many searches just now: wait a moment, then try again\.$/],
  ["a service that loads", problem(503, "unavailable", "the index is loading: come back soon"), /^The index is loading/],
  ["a conflict", problem(409, "conflict", "something else is in the way"), /^Something else is in the way\.$/],
  ["a fault", problem(500, "server-fault", "an internal error"), /^An internal error/],
];

for (const [name, fault, sentence] of REFUSALS) {
  test(`${name} is told in one sentence, and trying again works`, async () => {
    const page = await world.page();
    world.proxy.when(/^\/search$/, fault);
    await page.setInputFiles("#file", query().path);
    await viewIs(page, "error");
    assert.match(await complaint(page), sentence);
    world.proxy.reset();
    await page.click("#problem-action");
    assert.equal(firstFolder(await results(page)), query().folder);
  });
}

test("a service that is down is told, and trying again works when it is back", async () => {
  const page = await world.page();
  world.proxy.isDown = true;
  await page.setInputFiles("#file", query().path);
  await viewIs(page, "error");
  assert.match(await complaint(page), /^The service cannot be reached/);
  world.proxy.isDown = false;
  await page.click("#problem-action");
  assert.equal(firstFolder(await results(page)), query().folder);
});

test("a slow service is waited for, and said to be", async () => {
  const page = await world.page();
  let letGo = (): void => undefined;
  const held = new Promise<void>((resolve) => (letGo = resolve));
  world.proxy.when(/^\/search$/, async (whole) => (await held, whole), 1);
  await page.setInputFiles("#file", query().path);
  await page.waitForFunction(() => /Still waiting/.test(document.getElementById("said")?.textContent ?? ""));
  letGo();
  assert.equal(firstFolder(await results(page)), query().folder);
});

test("offline is told at once, and the search goes on by itself when the line is back", async () => {
  const page = await world.page();
  await page.context().setOffline(true);
  assert.match((await page.textContent("#offline:visible")) ?? "", /^You are offline/);
  await page.setInputFiles("#file", query().path);
  await viewIs(page, "error");
  assert.match(await complaint(page), /^You are offline/);
  await page.context().setOffline(false);
  assert.equal(firstFolder(await results(page)), query().folder);
  assert.equal(await page.isVisible("#offline"), false);
});

test("another space costs one 409 and one look for a newer encoder, and no loop", async () => {
  const page = await world.page();
  await searchFor(page, query().path);
  world.proxy.reset();
  world.proxy.when(/^\/search$/, problem(409, "space-mismatch", "another space"), 20);
  const other = { id: "other-w512-000000000000", dim: 512 };
  world.proxy.when(/^\/spaces$/, edited((document: { spaces: { space: object }[] }) => {
    document.spaces.forEach((info) => (info.space = other));
  }));
  await page.setInputFiles("#file", query().path);
  await viewIs(page, "error");
  assert.match(await complaint(page), /do not fit together/);
  assert.deepEqual(world.proxy.passed(/^\/search$/).map(({ status }) => status), [409]);
  assert.equal(world.proxy.passed(/manifest\.json$/).length, 1);
  assert.equal(world.proxy.passed(/^\/spaces$/).length, 1);
  assert.deepEqual(world.proxy.passed(/\.onnx$/), []);
});

test("a picture that is no file is told, and nothing is fetched", async () => {
  const page = await world.page();
  await page.evaluate(() => {
    const data = new DataTransfer();
    data.setData("text/uri-list", "https://elsewhere.example/cat.jpg");
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
  });
  assert.match(await complaint(page), /^That was no file: save the picture first/);
});

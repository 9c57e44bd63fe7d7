import assert from "node:assert/strict";
import { before, test } from "node:test";
import { HEIC } from "./photographs.js";
import { edited } from "./proxy.js";
import { complaint, encoderIs, firstFolder, query, results, searchFor, theWorld, viewIs, type World } from "./world.js";

let world: World;
before(async () => (world = await theWorld()));

/** The page's workers, the encoder's last. */
type WithWorkers = typeof globalThis & { workers: Worker[] };

test("an encoder whose worker dies is told, and trying again starts another", async () => {
  const context = await world.context();
  await context.addInitScript(() => {
    const here = globalThis as WithWorkers;
    here.workers = [];
    here.Worker = class extends Worker {
      constructor(...given: ConstructorParameters<typeof Worker>) {
        super(...given);
        here.workers.push(this);
      }
    };
  });
  const page = await context.newPage();
  await page.goto("/#search");
  await encoderIs(page, "ready");
  await page.evaluate(() => {
    const worker = (globalThis as WithWorkers).workers.at(-1)!;
    worker.terminate();
    worker.dispatchEvent(new ErrorEvent("error", { message: "out of memory" }));
  });
  await page.setInputFiles("#file", query().path);
  await viewIs(page, "error");
  assert.match(await complaint(page), /^The encoder's worker stopped: out of memory/);
  await page.click("#problem-action");
  assert.equal(firstFolder(await results(page)), query().folder);
});

test("offline, a file that is no photograph is still told to be none", async () => {
  const page = await world.page();
  await page.context().setOffline(true);
  await page.setInputFiles("#file", HEIC);
  await viewIs(page, "error");
  assert.match(await complaint(page), /^A HEIC photograph cannot be read here/);
  await page.context().setOffline(false);
});

const MARKUP = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>";

test("ids and metadata are shown as they are, whatever is written in them", async () => {
  const page = await world.page();
  const ids = [MARKUP, "javascript:document.title='owned'", "../../admin/jobs", "\ud800", ""];
  world.proxy.when(/^\/search$/, edited((answer: { results: { id: string; metadata: object }[][] }) => {
    answer.results[0] = answer.results[0]!.slice(0, ids.length);
    answer.results[0].forEach((hit, i) => {
      hit.id = ids[i]!;
      hit.metadata = { [MARKUP]: `${MARKUP}!`, href: "javascript:document.title='owned'", __proto__: null };
    });
  }));
  const shown = await searchFor(page, query().path);
  assert.deepEqual(shown.slice(0, 3), ids.slice(0, 3));
  await page.waitForFunction(() => document.querySelectorAll("#hits .frame p").length === 5);
  assert.equal(await page.locator("#hits img, #hits script, #hits a").count(), 0);
  assert.equal(await page.textContent("#hits dt >> nth=0"), MARKUP);
  assert.equal(await page.title(), "lorgnette");
});

/** The admin tab, in a browser and with a service of its own: beside the other tests, not after them. */

import "./needs_chromium.js";
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { complaint, encoderIs, faults, firstFolder, query, results, World } from "./world.js";

const KEYS = { LORGNETTE_SEARCH_KEY: "search-key-of-the-tests", LORGNETTE_ADMIN_KEY: "admin-key-of-the-tests" };

describe("a service with keys", () => {
  let world: World;
  let page: Page;

  before(async () => {
    world = await World.open(KEYS);
    page = await world.visit();
  });
  after(() => world?.close());

  test("the page asks for a key, says when it is wrong, and goes on with a right one", async () => {
    assert.match(await complaint(page), /^This service asks for a key/);
    await giveKey("search", "not-the-key-at-all");
    assert.match(await complaint(page), /does not know the one you gave/);
    await giveKey("search", KEYS.LORGNETTE_SEARCH_KEY);
    await encoderIs(page, "ready");
    await page.setInputFiles("#file", query().path);
    assert.equal(firstFolder(await results(page)), query().folder);
    await page.waitForSelector(".frame img");
  });

  test("a search key does not open the admin tab, an admin key does", async () => {
    await page.click("#tab-admin");
    await page.waitForSelector("#key-admin:visible");
    assert.match((await page.textContent("#admin-problem-text")) ?? "", /does not open this door/);
    await sound();
    await giveKey("admin", KEYS.LORGNETTE_ADMIN_KEY);
    await page.waitForSelector("#admin-body:visible");
    assert.equal(await live(), "1");
    const aligned = (await page.textContent("#alignments tr")) ?? "";
    assert.match(aligned, /^[\w.-]+@\w+120(0\.\d{3}) → (0\.\d{3})/);
    assert.equal(await page.evaluate(() => localStorage.length), 0);
    const desktop = page.viewportSize() ?? { width: 1280, height: 860 };
    await page.setViewportSize({ width: 390, height: 844 });
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390, "tables scroll, the page does not");
    await page.setViewportSize(desktop);
    await sound();
  });

  test("a reindex is started, followed, survives a reload, and is rolled back", async () => {
    await page.click("#reindex-start");
    await page.waitForSelector("#job:visible");
    await page.reload();
    await page.waitForSelector("#generations tr:nth-child(2)");
    assert.equal(await live(), "2");
    await page.click("#generations button");
    await page.waitForFunction(() => document.querySelector("tr:has(.badge) th")?.textContent === "1");
    await sound();
  });

  test("a reindex is cancelled, and the index before still answers", async () => {
    await page.click("#reindex-start");
    await page.click("#job-cancel");
    await page.waitForSelector("#job[data-state=cancelled]");
    assert.match((await page.textContent("#job-text")) ?? "", /the index before still answers/);
    assert.equal(await live(), "1");
    await sound();
  });

  test("what somebody else made live meanwhile is not undone unseen", async () => {
    const headers = { authorization: `Bearer ${KEYS.LORGNETTE_ADMIN_KEY}`, "content-type": "application/json" };
    const address = `${world.proxy.origin}/admin/generations`;
    const etag = (await fetch(address, { headers })).headers.get("etag") ?? "";
    const asked = await fetch(`${address}/2/promote`, { method: "POST", headers: { ...headers, "if-match": etag }, body: "{}" });
    assert.equal(asked.status, 200);
    await page.click("#generations button");
    await page.waitForSelector("#admin-problem:visible");
    await page.waitForFunction(() => document.querySelector("tr:has(.badge) th")?.textContent === "2");
  });

  test("an index that cannot be is told in one sentence", async () => {
    await page.fill("#factory", "Nonsense9");
    await page.click("#reindex-start");
    await page.waitForSelector("#admin-problem:visible");
    assert.match((await page.textContent("#admin-problem-text")) ?? "", /^Factory: .*Nonsense9/);
    await page.fill("#factory", "");
  });

  test("a forgotten key is asked for again", async () => {
    await page.click("#forget");
    await page.waitForSelector("#key-admin:visible");
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  });

  async function giveKey(where: "search" | "admin", key: string): Promise<void> {
    await page.fill(`#key-${where}-input`, key);
    await page.press(`#key-${where}-input`, "Enter");
    await page.waitForFunction((id) => document.querySelector<HTMLInputElement>(id)?.value === "", `#key-${where}-input`);
  }

  function live(): Promise<string | null> {
    return page.textContent("tr:has(.badge) th");
  }

  async function sound(): Promise<void> {
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      assert.deepEqual(await faults(page), [], colorScheme);
    }
  }
});

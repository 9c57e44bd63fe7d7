/**
 * Pictures of every state, desktop and phone, light and dark:
 * `node build/test/screenshots.js [FOLDER]`, `build/screenshots` unless said.
 */

import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { HEIC } from "./photographs.js";
import { BUILD, CHROMIUM } from "./places.js";
import { stallAfter } from "./proxy.js";
import { encoderIs, query, results, viewIs, World } from "./world.js";

const SIZES = {
  desktop: { viewport: { width: 1280, height: 860 } },
  phone: { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 },
} as const;

const folder = process.argv[2] ?? join(BUILD, "screenshots");

async function shoot(page: Page, name: string): Promise<void> {
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.screenshot({ path: join(folder, `${name}-${colorScheme}.png`), animations: "disabled" });
    console.log(`${name}-${colorScheme}.png`);
  }
}

async function picturesAre(page: Page): Promise<void> {
  await results(page);
  await page.waitForFunction(() => document.querySelectorAll(".frame img").length === 12);
}

async function searchStates(world: World, size: keyof typeof SIZES): Promise<void> {
  world.proxy.when(/\.onnx$/, stallAfter(3_400_000), 1);
  const page = await world.visit(SIZES[size]);
  await page.waitForFunction(() => /3\.4 MB of/.test(document.getElementById("model-text")?.textContent ?? ""));
  await shoot(page, `${size}-fetching`);
  await page.setInputFiles("#file", query().path);
  await viewIs(page, "working");
  await shoot(page, `${size}-loading`);
  await page.reload();
  await encoderIs(page, "ready");
  await shoot(page, `${size}-empty`);
  await page.setInputFiles("#file", query().path);
  await picturesAre(page);
  // Once more: the first run of a session warms it up.
  await page.setInputFiles("#file", query().path);
  await picturesAre(page);
  await shoot(page, `${size}-results`);
  await page.setInputFiles("#file", HEIC);
  await viewIs(page, "error");
  await shoot(page, `${size}-unfit`);
  world.proxy.isDown = true;
  await page.setInputFiles("#file", query().path);
  await page.waitForFunction(() => /cannot be reached/.test(document.getElementById("problem-text")?.textContent ?? ""));
  await shoot(page, `${size}-down`);
  await page.context().setOffline(true);
  await shoot(page, `${size}-offline`);
  await world.tidy();
}

async function adminStates(world: World, size: keyof typeof SIZES): Promise<void> {
  const page = await world.visit(SIZES[size]);
  await page.click("#tab-admin");
  await page.waitForSelector("#key-admin:visible");
  await shoot(page, `${size}-admin-key`);
  await page.fill("#key-admin-input", ADMIN_KEY);
  await page.press("#key-admin-input", "Enter");
  await page.click("#reindex-start");
  await page.waitForSelector("#job[data-state=running]");
  await shoot(page, `${size}-admin-running`);
  await page.waitForSelector("#job[data-state=succeeded]");
  await page.waitForSelector("#generations tr:nth-child(2)");
  await shoot(page, `${size}-admin`);
  await world.tidy();
}

const ADMIN_KEY = "admin-key-of-the-pictures";
if (!existsSync(CHROMIUM)) {
  console.error(
    `no pictures: there is no ${CHROMIUM}: install Chromium (on Debian: apt-get install chromium), ` +
      "or set CHROMIUM to its place",
  );
  process.exit(1);
}
mkdirSync(folder, { recursive: true });
for (const [environment, states] of [
  [{}, searchStates],
  [{ LORGNETTE_SEARCH_KEY: "search-key-of-the-pictures", LORGNETTE_ADMIN_KEY: ADMIN_KEY }, adminStates],
] as const) {
  const world = await World.open(environment);
  try {
    for (const size of ["desktop", "phone"] as const) await states(world, size);
  } finally {
    await world.close();
  }
}
console.log(`in ${folder}`);
process.exit(0);

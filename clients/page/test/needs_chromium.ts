/** Imported first: ends this file's process, successfully and in a sentence, where there is no browser. */

import { existsSync } from "node:fs";
import { CHROMIUM } from "./places.js";

if (!existsSync(CHROMIUM)) {
  console.log(`skipped, there is no ${CHROMIUM}: install Chromium, or set CHROMIUM to its place`);
  process.exit(0);
}

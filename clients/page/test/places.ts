/** Where things are, from the compiled tests' own place: `build/test`. */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const PAGE = fileURLToPath(new URL("../..", import.meta.url));
export const ROOT = join(PAGE, "../..");
export const DIST = join(PAGE, "dist");
export const BUILD = join(PAGE, "build");

/** The command line under test; the one of the environment without torch unless said. */
export const LORGNETTE = process.env["LORGNETTE"] ?? join(ROOT, ".venv-demo/bin/lorgnette");
export const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

/** The sample gallery of the demo, indexed by the shipped pair; another pair gets another one. */
export function demoData(): string {
  const hash = createHash("sha256");
  for (const name of ["teacher", "student"]) {
    hash.update(readFileSync(join(ROOT, "models", name, "manifest.json")));
  }
  return join(BUILD, `demo-${hash.digest("hex").slice(0, 12)}`);
}

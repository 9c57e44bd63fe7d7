/** `npm test`: the services, then every test file, or those that are named. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { withBackend } from "./support/backend.js";

const named = process.argv.slice(2).map((name) => join(import.meta.dirname, `${name}.test.js`));
const found = (await readdir(import.meta.dirname)).filter((name) => name.endsWith(".test.js"));
const files = named.length ? named : found.map((name) => join(import.meta.dirname, name));

process.exitCode = await withBackend(async (env) => {
  const options = ["--test", "--test-concurrency=2", "--test-reporter=spec"];
  const child = spawn(process.execPath, [...options, ...files], { env, stdio: "inherit" });
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? 1;
});

/** The Python side of the tests, started once for all of them: see `tests/js/backend.py`. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

const ROOT = resolve(import.meta.dirname, "../../../..");

/** What runs, and where its files are. */
export interface Backend {
  readonly folder: string;
  readonly urls: { readonly tiny: string; readonly other: string; readonly shipped: string };
  readonly searchKey: string;
  readonly adminKey: string;
  /** A file of the folder. */
  file(...path: readonly string[]): Promise<Uint8Array>;
  /** A JSON file of the folder. */
  json<T>(name: string): Promise<T>;
}

/** What the Python side says when it is up. */
interface Said {
  readonly folder: string;
  readonly urls: Backend["urls"];
  readonly search_key: string;
  readonly admin_key: string;
}

const VARIABLE = "LORGNETTE_TEST_BACKEND";

/** The one that `run.js` started. */
export function backend(): Backend {
  const text = process.env[VARIABLE];
  if (text === undefined) throw new Error("run the tests by `npm test`, which starts the services");
  const said = JSON.parse(text) as Said;
  return {
    folder: said.folder,
    urls: said.urls,
    searchKey: said.search_key,
    adminKey: said.admin_key,
    file: async (...path) => new Uint8Array(await readFile(join(said.folder, ...path))),
    json: async (name) => JSON.parse(await readFile(join(said.folder, name), "utf8")) as never,
  };
}

/** Start it, do the work with the environment that tells of it, and stop it. */
export async function withBackend<T>(work: (env: NodeJS.ProcessEnv) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "lorgnette-js-"));
  const python = process.env["PYTHON"] ?? join(ROOT, ".venv/bin/python");
  if (!existsSync(python)) throw new Error(`no ${python}: make install, or set PYTHON`);
  const child = spawn(python, ["-m", "tests.js.backend", folder], {
    cwd: ROOT,
    env: { ...process.env, OMP_NUM_THREADS: "1" },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  try {
    const lines = createInterface({ input: child.stdout });
    const first = await Promise.race([once(lines, "line"), exited.then(() => undefined)]);
    if (first === undefined) throw new Error("the Python side did not start; its error is above");
    const said = { ...(JSON.parse(String(first[0])) as object), folder };
    return await work({ ...process.env, [VARIABLE]: JSON.stringify(said) });
  } finally {
    child.stdin.end();
    await exited;
    await rm(folder, { recursive: true, force: true });
  }
}

/** A path of the repository. */
export function inRepository(...path: readonly string[]): string {
  return join(ROOT, ...path);
}

/** A real Chromium, and the pages that the tests open in it. */

import { build } from "esbuild";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type BrowserContext, type Page } from "playwright-core";
import { answer, type Answering, type Passing } from "./front.js";

const HERE = import.meta.dirname;
const PACKAGE = join(HERE, "../..");
const RUNTIME = join(PACKAGE, "node_modules/onnxruntime-web/dist");

/** Flags under which it runs as root and asks nobody outside for anything. */
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

/** Where the browser is; CHROMIUM names another. */
export const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

/** Why there is no browser to test in, or false. */
export const noBrowser: string | false = existsSync(CHROMIUM)
  ? false
  : `needs Chromium, and there is no ${CHROMIUM}: apt-get install chromium, or set CHROMIUM`;

/** A browser with a profile of its own, thrown away at the end. */
export async function openBrowser(more: readonly string[] = []): Promise<{
  context: BrowserContext;
  close: () => Promise<void>;
}> {
  const profile = await mkdtemp(join(tmpdir(), "lorgnette-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    headless: true,
    args: [...FLAGS, ...more],
  });
  return {
    context,
    close: async () => {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}

/** The app and its worker as a bundler makes them, by path. */
export async function bundled(): Promise<ReadonlyMap<string, Buffer>> {
  const made = await build({
    entryPoints: {
      app: join(HERE, "app.js"),
      worker: join(PACKAGE, "dist/web/worker.js"),
    },
    bundle: true,
    format: "esm",
    splitting: true,
    minify: true,
    outdir: "/app",
    write: false,
    logLevel: "error",
  });
  return new Map(made.outputFiles.map(({ path, contents }) => [path, Buffer.from(contents)]));
}

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html", js: "text/javascript", mjs: "text/javascript", wasm: "application/wasm",
};

/** Headers of a page whose browser may run threads. */
const ISOLATED = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

/** As strict as the service's own page. */
const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'";

/** `/isolated` and `/plain`: the same page with and without threads; the rest is the service's. */
export function pages(app: ReadonlyMap<string, Buffer>, rest: Answering): Answering {
  return async (seen, pass) => {
    const path = seen.path.replace(/\?.*/, "");
    const name = path.split("/").pop() ?? "";
    const type = TYPES[name.split(".").pop() ?? ""] ?? "application/octet-stream";
    const own = { "content-type": type, ...ISOLATED };
    if (path === "/isolated") return page(ISOLATED);
    if (path === "/plain") return page({});
    if (path.startsWith("/ort/")) return file(await readFile(join(RUNTIME, name)), own);
    const script = app.get(path);
    return script === undefined ? rest(seen, pass) : file(script, own);
  };
}

/** Open a page and wait until its app has started. */
export async function openPage(context: BrowserContext, url: string): Promise<Page> {
  const opened = await context.newPage();
  opened.on("pageerror", (error) => console.log(`page: ${error.message}`));
  await opened.goto(url);
  await opened.waitForFunction("globalThis.lorgnette !== undefined");
  return opened;
}

function page(headers: Record<string, string>): Passing {
  const html = '<!doctype html><title>test</title><script type="module" src="/app/app.js"></script>';
  return answer(200, html, {
    "content-type": "text/html",
    "content-security-policy": POLICY,
    ...headers,
  });
}

function file(body: Buffer, headers: Record<string, string>): Passing {
  return { status: 200, body, headers: { ...headers, "content-length": String(body.length) } };
}

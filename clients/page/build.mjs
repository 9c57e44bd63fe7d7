/**
 * Builds the page into `dist`: `node build.mjs`.
 *
 * Everything below `dist/assets` is named after its content, so the service lets browsers keep it
 * for ever; `index.html` and `sw.js` name those files and are asked for again.
 */

import { build } from "esbuild";
import { createHash } from "node:crypto";
import { cp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");
const assets = join(dist, "assets");

const options = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  outdir: assets,
  entryNames: "[name]-[hash]",
  metafile: true,
  legalComments: "none",
  logLevel: "warning",
  // Node's parts of the runtime are never reached in a browser.
  external: ["node:*", "fs", "path", "url", "worker_threads", "module", "crypto", "os", "perf_hooks"],
  // WebGPU is not asked for on this page, and its runtime is another 27 MB.
  plugins: [{ name: "no-webgpu", setup: leaveOutWebGpu }],
};

/** onnxruntime-web's WebGPU build, replaced by nothing. */
function leaveOutWebGpu({ onResolve, onLoad }) {
  onResolve({ filter: /^onnxruntime-web\/webgpu$/ }, ({ path }) => ({ path, namespace: "none" }));
  onLoad({ filter: /.*/, namespace: "none" }, () => ({ contents: "export {}" }));
}

/** Bundle one entry and give its address on the server. */
async function bundled(entry, define = {}) {
  const { metafile } = await build({ ...options, entryPoints: [entry], define });
  const found = Object.entries(metafile.outputs).find(([, out]) => out.entryPoint === entry);
  return `/assets/${basename(found[0])}`;
}

/** Copy ONNX Runtime's WebAssembly into a folder named after its content. */
async function copyRuntime() {
  // Through the SDK, whose peer it is, so that both are of one version.
  const require = createRequire(join(here, "../js/package.json"));
  const from = join(dirname(require.resolve("onnxruntime-web/wasm")), "../dist");
  const names = ["ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"];
  const hash = createHash("sha256");
  for (const name of names) hash.update(await readFile(join(from, name)));
  const folder = `ort-${hash.digest("hex").slice(0, 8)}`;
  await mkdir(join(assets, folder), { recursive: true });
  for (const name of names) await cp(join(from, name), join(assets, folder, name));
  return `/assets/${folder}/`;
}

async function filled(name, values) {
  const text = await readFile(join(here, "src", name), "utf8");
  return text.replaceAll(/%(\w+)%/g, (_, key) => values[key]);
}

async function filesBelow(folder) {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  return found
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dist.length).replaceAll("\\", "/"))
    .sort();
}

await rm(dist, { recursive: true, force: true });
const runtime = await copyRuntime();
// The SDK's own entry: imported from a file of ours it would be dropped as free of side effects.
const worker = await bundled("../js/src/web/worker.ts");
const script = await bundled("src/main.ts", {
  WORKER_URL: JSON.stringify(worker),
  RUNTIME_URL: JSON.stringify(runtime),
});
const style = await bundled("src/styles/main.css");
await cp(join(here, "src/icon.svg"), join(dist, "icon.svg"));
await writeFile(join(dist, "index.html"), await filled("index.html", { script, style }));
const shell = ["/", "/icon.svg", ...(await filesBelow(assets))];
const version = createHash("sha256").update(await readFile(join(dist, "index.html"))).digest("hex");
const values = { shell: JSON.stringify(shell), version: version.slice(0, 12) };
await writeFile(join(dist, "sw.js"), await filled("sw.js", values));

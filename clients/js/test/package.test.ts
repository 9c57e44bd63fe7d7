import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { build } from "esbuild";
import { backend } from "./support/backend.js";

const PACKAGE = join(import.meta.dirname, "..");
const run = promisify(execFile);
const { urls, folder } = backend();

interface Packed {
  readonly filename: string;
  readonly size: number;
  readonly files: readonly { readonly path: string }[];
}

/** A project of somebody else, with the packed package installed in it. */
let consumer: string;
let packed: Packed;
let blocks: readonly string[];

before(async () => {
  consumer = await mkdtemp(join(tmpdir(), "lorgnette-consumer-"));
  const to = ["--pack-destination", consumer];
  const { stdout } = await run("npm", ["pack", "--json", "--ignore-scripts", ...to], { cwd: PACKAGE });
  const said = JSON.parse(stdout) as readonly Packed[] | Readonly<Record<string, Packed>>;
  packed = Object.values(said)[0]!;
  const modules = join(consumer, "node_modules");
  await mkdir(join(modules, "lorgnette"), { recursive: true });
  const strip = ["--strip-components=1", "-C", join(modules, "lorgnette")];
  await run("tar", ["-xzf", join(consumer, packed.filename), ...strip]);
  const others = [
    "@noble", "@types", "@img", "onnxruntime-common", "onnxruntime-node", "onnxruntime-web", "sharp",
    "detect-libc", "semver",
  ];
  const there = await readdir(join(PACKAGE, "node_modules"));
  for (const name of others.filter((other) => there.includes(other))) {
    await symlink(join(PACKAGE, "node_modules", name), join(modules, name));
  }
  const readme = await readFile(join(PACKAGE, "README.md"), "utf8");
  blocks = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, block]) => block!);
  await writeFile(join(consumer, "package.json"), '{ "type": "module" }');
});
after(() => rm(consumer, { recursive: true, force: true }));

test("the package is below 200 KB and holds what it should, and nothing else", () => {
  console.log(`npm pack: ${packed.size} bytes, ${packed.files.length} files`);
  assert.ok(packed.size < 200_000);
  const strangers = packed.files
    .map(({ path }) => path)
    .filter((path) => !/^(dist\/.*\.(js|d\.ts)|README\.md|LICENSE|package\.json)$/.test(path));
  assert.deepEqual(strangers, []);
});

test("the README's examples type-check in a strict project, declarations included", async () => {
  assert.ok(blocks.length >= 5);
  await Promise.all(
    blocks.map((block, i) => writeFile(join(consumer, `block${i}.ts`), `${block}\nexport {};\n`)),
  );
  const compilerOptions = {
    strict: true, target: "ES2022", module: "NodeNext", lib: ["ES2022", "DOM", "DOM.Iterable"],
    types: ["node"], skipLibCheck: false, noEmit: true, exactOptionalPropertyTypes: true,
  };
  await writeFile(
    join(consumer, "tsconfig.json"),
    JSON.stringify({ compilerOptions, include: ["block*.ts"] }),
  );
  await run(join(PACKAGE, "node_modules/.bin/tsc"), ["-p", consumer]).catch((error: unknown) => {
    assert.fail((error as { stdout: string }).stdout);
  });
});

test("a misuse does not type-check", async () => {
  const file = join(consumer, "misuse.ts");
  const misuse = 'import { Client } from "lorgnette";\nvoid new Client("/").search("photo.jpg");\n';
  await writeFile(file, misuse);
  const options = ["--noEmit", "--strict", "--ignoreConfig", "--module", "nodenext", file];
  await assert.rejects(run(join(PACKAGE, "node_modules/.bin/tsc"), options), (error) => {
    assert.match((error as { stdout: string }).stdout, /is not assignable to parameter of type 'never'/);
    return true;
  });
});

test("the README's examples for Node run as they are", async () => {
  await cp(join(folder, "gallery/picture3.png"), join(consumer, "photo.jpg"));
  const forNode = blocks.filter((block) => !block.includes("lorgnette/web"));
  assert.ok(forNode.length >= 4);
  const said: string[] = [];
  for (const [i, block] of forNode.entries()) {
    const script = join(consumer, `run${i}.js`);
    const made = await build({
      stdin: { contents: block.replaceAll("http://127.0.0.1:8080", urls.shipped), loader: "ts" },
      format: "esm",
      write: false,
    });
    await writeFile(script, made.outputFiles[0]!.contents);
    said.push((await run(process.execPath, [script], { cwd: consumer })).stdout);
  }
  assert.match(said[0]!, /^\[ 'picture3\.png'/);
  assert.match(said.join(""), /nothing to roll back to/);
  assert.match(said.at(-1)!, /choose another photograph: the photograph is empty/);
});

test("an app that only searches carries no model, no runtime and nothing of Node", async () => {
  const made = await build({
    stdin: {
      contents: 'import { Client } from "lorgnette"; console.log(new Client("/"));',
      resolveDir: consumer,
    },
    bundle: true, minify: true, format: "esm", platform: "browser", write: false, metafile: true,
  });
  const inputs = Object.keys(made.metafile.inputs);
  assert.ok(!inputs.some((name) => /onnxruntime|\/(web|node)\//.test(name)), inputs.join());
  const bytes = made.outputFiles[0]!.contents.length;
  console.log(`a bundled client: ${bytes} bytes, not compressed`);
  assert.ok(bytes < 40_000);
});

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { DIST } from "./places.js";

const MOST_SCRIPT = 150_000;

test("the page's scripts are at most 150 KB compressed, beside the runtime", () => {
  const assets = join(DIST, "assets");
  const scripts = readdirSync(assets).filter((name) => name.endsWith(".js"));
  assert.equal(scripts.length, 2, "the page's and the worker's");
  const sizes = scripts.map((name) => gzipSync(readFileSync(join(assets, name)), { level: 9 }).length);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  assert.ok(total <= MOST_SCRIPT, `${total} bytes`);
});

test("the page has nothing inline and nothing from elsewhere", () => {
  const html = readFileSync(join(DIST, "index.html"), "utf8");
  assert.doesNotMatch(html, /<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/);
  assert.doesNotMatch(html, /(?:src|href)="(?!\/|#)/);
});

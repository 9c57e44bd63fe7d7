import assert from "node:assert/strict";
import { test } from "node:test";
import * as lorgnette from "lorgnette";
import { errorClass, errorClasses, LorgnetteError, SpaceMismatch } from "lorgnette";
import { backend } from "./support/backend.js";

test("the tree is the Python SDK's: the same names, codes and parents", async () => {
  const python = await backend().json("errors.json");
  const ours = Object.entries(errorClasses).map(([name, kind]) => {
    const parent = (Object.getPrototypeOf(kind) as { name: string }).name;
    return [name, { code: kind.code, parent: parent === "Error" ? "Exception" : parent }];
  });
  assert.deepEqual(Object.fromEntries(ours), python);
});

test("every class is exported and named, and found by its code", () => {
  for (const [name, kind] of Object.entries(errorClasses)) {
    assert.equal((lorgnette as Record<string, unknown>)[name], kind);
    const error = new kind("why");
    assert.ok(error instanceof LorgnetteError);
    assert.deepEqual([error.name, error.code, error.message], [name, kind.code, "why"]);
    assert.equal(errorClass(kind.code), kind);
  }
});

test("a code newer than this SDK is the base class", () => {
  assert.equal(errorClass("not-invented-yet"), LorgnetteError);
});

test("a mismatch says what would fit", () => {
  const error = new SpaceMismatch("no", { expected: ["a"], found: "b", students: ["c"] });
  assert.deepEqual([error.expected, error.found, error.students], [["a"], "b", ["c"]]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidVector, pack, unitRows, unpack, type WireDtype } from "lorgnette";
import { fromBytes, toBytes } from "../dist/vectors.js";
import { backend } from "./support/backend.js";

for (const dtype of ["f32", "f16", "i8"] as const satisfies readonly WireDtype[]) {
  test(`${dtype} rows are byte for byte numpy's, ties and subnormals too`, async () => {
    const rows = fromBytes(await backend().file("wire.f32"), "f32", 64);
    assert.ok(rows.length > 1000);
    assert.deepEqual(toBytes(rows, dtype), await backend().file(`wire.${dtype}`));
  });
}

test("every float16 is read as the number it stands for, and written as itself", () => {
  const patterns = Array.from({ length: 0x10000 }, (_pattern, bits) => bits);
  const finite = patterns.filter((bits) => (bits & 0x7c00) !== 0x7c00);
  const raw = new Uint8Array(Uint16Array.from(finite).buffer);
  assert.deepEqual(toBytes(fromBytes(raw, "f16", finite.length), "f16"), raw);
});

test("what is packed is unpacked, nearly", () => {
  const [row] = unitRows([Float32Array.from({ length: 512 }, (_value, i) => Math.sin(i))], 512);
  assert.equal(pack([row!]).data.length, 1368);
  for (const [dtype, tolerance] of [["f32", 0], ["f16", 3e-5]] as const) {
    const [back] = unpack(pack([row!], dtype), 512);
    back!.forEach((value, i) => assert.ok(Math.abs(value - row![i]!) <= tolerance));
  }
});

for (const [what, row] of [
  ["NaN", [1, NaN]],
  ["infinity", [Infinity, 0]],
  ["a number beyond float32", [1e39, 0]],
  ["zeros", [0, 0]],
  ["another width", [1, 0, 0]],
] as const) {
  test(`a row with ${what} is refused`, () => {
    assert.throws(() => unitRows([row], 2), InvalidVector);
  });
}

test("no rows are refused", () => assert.throws(() => unitRows([], 2), InvalidVector));

test("a number that float16 cannot hold is refused rather than sent as infinity", () => {
  assert.throws(() => pack([Float32Array.of(65520)]), InvalidVector);
  assert.throws(() => pack([Float32Array.of(NaN)], "f32"), InvalidVector);
  assert.equal(unpack(pack([Float32Array.of(65519)]), 1)[0]![0], 65504);
});

for (const text of ["AAA", "AA A", "AB==", "AAAA\n", "é", "AAA-"]) {
  test(`base64 ${JSON.stringify(text)} is refused`, () => {
    assert.throws(() => unpack({ dtype: "i8", data: text }, 1), InvalidVector);
  });
}

test("bytes that are no whole number of rows are refused", () => {
  assert.throws(() => unpack({ dtype: "f16", data: "AAAA" }, 1), InvalidVector);
});

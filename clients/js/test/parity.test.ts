import assert from "node:assert/strict";
import { before, test } from "node:test";
import {
  Bundle, cosine, GoldenMismatch, InvalidImage, MissingExtra, type BundleFile,
  type GoldenCase,
} from "lorgnette";
import { NodeEncoder, openBundle, sharpDecoder } from "lorgnette/node";
import { fromBase64, fromBytes } from "../dist/vectors.js";
import { fastVariant } from "../dist/node/encoder.js";
import { hasInt8DotProduct, namesDotProduct } from "../dist/node/processor.js";
import { decodePlainPng } from "../dist/png.js";
import { backend, inRepository } from "./support/backend.js";
import type { Expected } from "./support/expected.js";

const { file, json, folder } = backend();
let expected: Expected;
let shipped: NodeEncoder;

/** Least cosine with Python's vectors of the same pixels. */
const LEAST = { tiny: 0.99999, shipped: 0.99999, int8: 0.999 };

const row = (text: string): Float32Array => {
  const raw = fromBase64(text);
  return fromBytes(raw, "f32", raw.length / 4)[0]!;
};

before(async () => {
  expected = await json<Expected>("vectors.json");
  const bundle = await openBundle(inRepository("models", "student"));
  shipped = await NodeEncoder.open(bundle, { decode: sharpDecoder(), variant: "fp16" });
});

test("the same pixels give Python's vectors in Node, by every model", async () => {
  const tiny = await NodeEncoder.open(await openBundle(`${folder}/tiny0/query`));
  const int8 = await NodeEncoder.open(shipped.bundle, { variant: "int8" });
  const worst = { tiny: 1, shipped: 1, int8: 1 };
  for (const { file: name, vectors } of expected.raw) {
    const pixels = await decodePlainPng(await file(name));
    for (const [key, encoder] of Object.entries({ tiny, shipped, int8 })) {
      const found = cosine(await encoder.encodePixels(pixels), row(vectors[key as "tiny"]));
      worst[key as "tiny"] = Math.min(worst[key as "tiny"], found);
    }
  }
  console.log(`Node beside Python, same pixels: ${JSON.stringify(worst)}`);
  for (const key of ["tiny", "shipped", "int8"] as const) assert.ok(worst[key] >= LEAST[key], key);
});

test("the shipped student is taken in int8 here if the processor is fast at it", async () => {
  const { variant } = await NodeEncoder.open(shipped.bundle);
  assert.equal(variant, hasInt8DotProduct() ? "int8" : "fp16");
});

test("files decoded by sharp stay within 0.999 of Python's, CMYK apart", async () => {
  for (const [name, vector] of Object.entries(expected.photographs)) {
    if (name.endsWith(".bmp") || name.startsWith("cmyk")) continue;
    const found = cosine(await shipped.encode(`${folder}/photographs/${name}`), row(vector));
    assert.ok(found >= 0.999, `${name}: ${found}`);
  }
});

test("a photograph that was not turned is another one, by this measure", () => {
  const upright = row(expected.photographs["exif_6.jpg"]!);
  assert.ok(cosine(row(expected.exif_6_not_turned), upright) < 0.9);
});

test("what is no photograph is refused in one sentence", async () => {
  for (const name of ["empty.jpg", "iphone.heic", "drawing.svg", "text.jpg", "header_only.jpg"]) {
    await assert.rejects(shipped.encode(await file("refused", name)), InvalidImage, name);
  }
  await assert.rejects(shipped.encode("nowhere.jpg"), InvalidImage);
});

test("int8 is taken where it is fast and loses at most a point, else fp16", async () => {
  const { manifest } = shipped.bundle;
  const { fp16 } = manifest.files as { fp16: BundleFile };
  const offering = (recall_delta: number | null): Bundle => {
    const int8 = { ...fp16, path: "model.int8.onnx", recall_delta };
    const files = { fp16, int8 };
    return new Bundle({ ...manifest, files }, (wanted) => shipped.bundle.read(wanted));
  };
  const chosen = [0.01, -0.002, 0.011, null].map((lost) => fastVariant(offering(lost), true));
  assert.deepEqual(chosen, ["int8", "int8", "fp16", "fp16"]);
  assert.equal(fastVariant(offering(0), false), "fp16");
  const fp16Alone = new Bundle({ ...manifest, files: { fp16 } }, (f) => shipped.bundle.read(f));
  assert.equal(fastVariant(fp16Alone, true), "fp16");
  const asked = NodeEncoder.open(fp16Alone, { variant: "int8" });
  await assert.rejects(asked, /has no variant int8, only fp16/);
});

test("an instruction is found among the flags, and nowhere else", () => {
  assert.ok(namesDotProduct("model name: x\nflags\t\t: fpu avx512_vnni sse\n"));
  assert.ok(namesDotProduct("Features\t: fp asimd asimddp\n"));
  assert.ok(!namesDotProduct("flags: fpu avx2\nmodel name: avx512_vnni\n"));
});

test("an encoder without a decoder takes pixels alone", async () => {
  const tiny = await NodeEncoder.open(await openBundle(`${folder}/tiny0/query`));
  await assert.rejects(tiny.encode(new Uint8Array(9)), MissingExtra);
  const short = { data: new Uint8Array(5), width: 2, height: 1 };
  await assert.rejects(tiny.encodePixels(short), InvalidImage);
});

test("a model that computes something else is not opened", async () => {
  class Lying extends Bundle {
    override async golden(): Promise<readonly GoldenCase[]> {
      return (await super.golden()).map((c) => ({ ...c, vector: c.vector.map((v) => -v) }));
    }
  }
  const { bundle } = shipped;
  const strange = new Lying(bundle.manifest, (wanted) => bundle.read(wanted));
  await assert.rejects(NodeEncoder.open(strange), GoldenMismatch);
});

test("an aborted wait rejects with the signal's reason", async () => {
  const photo = await file("photographs", "exif_1.jpg");
  const signal = AbortSignal.abort(new Error("enough"));
  await assert.rejects(shipped.encode(photo, { signal }), /enough/);
});

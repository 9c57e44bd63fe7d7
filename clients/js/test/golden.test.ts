import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import {
  cosine, errorClasses, LorgnetteError, pack, parseManifest, unpack, type WireDtype,
} from "lorgnette";
import { NodeEncoder, openBundle } from "lorgnette/node";
import { isFor, requireSdk, type Release } from "../dist/release.js";
import { verifySigned } from "../dist/signing.js";
import { fromBase64, fromBytes, toBytes } from "../dist/vectors.js";
import { inRepository } from "./support/backend.js";

/** The conformance kit that every client reads: see its README. */
const read = <T>(name: string): T =>
  JSON.parse(readFileSync(inRepository("clients/golden", name), "utf8")) as T;

/** The code of what is thrown; null when nothing is. */
function refusal(work: () => unknown): string | null {
  try {
    work();
    return null;
  } catch (error) {
    if (error instanceof LorgnetteError) return error.code;
    throw error;
  }
}

interface Named {
  readonly name: string;
  readonly error: string | null;
}

test("the kit is there", () => assert.ok(existsSync(inRepository("clients/golden/README.md"))));

test("raw pixels give the kit's rows", async () => {
  const cases = read<
    readonly {
      readonly name: string; readonly width: number; readonly height: number;
      readonly bundle: string; readonly pixels_b64: string; readonly vector_f32_b64: string;
      readonly min_cosine: number;
    }[]
  >("vectors.json");
  for (const { name, bundle, width, height, pixels_b64, vector_f32_b64, min_cosine } of cases) {
    const encoder = await NodeEncoder.open(await openBundle(inRepository("clients/golden", bundle)));
    const row = await encoder.encodePixels({ data: fromBase64(pixels_b64), width, height });
    const [wanted] = fromBytes(fromBase64(vector_f32_b64), "f32", row.length);
    assert.ok(cosine(row, wanted!) >= min_cosine, name);
  }
});

test("rows are packed and read as the kit says", () => {
  const { packed, unpackable, unreadable } = read<{
    readonly packed: readonly ({
      readonly name: string; readonly dim: number; readonly values_f32_b64: string;
    } & Readonly<Record<WireDtype, string>>)[];
    readonly unpackable: readonly {
      readonly values: readonly (number | string)[]; readonly dtype: WireDtype; readonly error: string;
    }[];
    readonly unreadable: readonly {
      readonly text: string; readonly dtype: WireDtype; readonly dim: number; readonly error: string;
    }[];
  }>("wire.json");
  for (const found of packed) {
    const rows = fromBytes(fromBase64(found.values_f32_b64), "f32", found.dim);
    for (const dtype of ["f32", "f16", "i8"] as const) {
      assert.equal(pack(rows, dtype).data, found[dtype], `${found.name}, ${dtype}`);
      assert.deepEqual(toBytes(unpack({ dtype, data: found[dtype] }, found.dim), dtype).length,
        fromBase64(found[dtype]).length);
    }
  }
  for (const { values, dtype, error } of unpackable) {
    const row = Float32Array.from(values.map(Number));
    assert.equal(refusal(() => pack([row], dtype)), error, String(values));
  }
  for (const { text, dtype, dim, error } of unreadable) {
    assert.equal(refusal(() => unpack({ dtype, data: text }, dim)), error, text);
  }
});

test("manifests are accepted and refused as the kit says", () => {
  const cases = read<readonly (Named & { readonly text: string })[]>("manifests.json");
  assert.ok(cases.length > 10);
  for (const { name, text, error } of cases) {
    const raw = new TextEncoder().encode(text);
    assert.equal(refusal(() => parseManifest(raw, "the kit's manifest")), error, name);
  }
});

test("the tree of errors is the kit's", () => {
  const kit = read<
    readonly { readonly class: string; readonly code: string; readonly parent: string | null }[]
  >("errors.json");
  const ours = Object.entries(errorClasses).map(([name, kind]) => {
    const parent = Object.getPrototypeOf(kind) as { readonly code?: string };
    return { class: name, code: kind.code, parent: parent.code ?? null };
  });
  const byCode = (a: { code: string }, b: { code: string }): number => a.code.localeCompare(b.code);
  assert.deepEqual(ours.sort(byCode), [...kit].sort(byCode));
});

test("signatures are accepted and refused as the kit says", () => {
  const { cases } = read<{
    readonly cases: readonly (Named & {
      readonly document: string; readonly signature: string | null;
      readonly public_keys: readonly string[];
    })[];
  }>("signatures.json");
  for (const { name, document, signature, public_keys, error } of cases) {
    const signed = {
      document: new TextEncoder().encode(document),
      signature: signature ?? undefined,
    };
    assert.equal(refusal(() => verifySigned(signed, public_keys, "the kit's")), error, name);
  }
});

test("rollouts reach whom the kit says, and SDKs are compared as it says", async () => {
  const { devices, sdk } = read<{
    readonly devices: readonly {
      readonly manifest_sha256: string; readonly device_id: string; readonly percent: number;
      readonly reached: boolean;
    }[];
    readonly sdk: readonly {
      readonly have: string; readonly min_sdk: string; readonly error: string | null;
    }[];
  }>("rollout.json");
  const release = (more: Partial<Release>): Release => ({
    schema_version: 1, manifest_sha256: "", min_sdk: "0.0.0", rollout_percent: 0, ...more,
  });
  for (const { manifest_sha256, device_id, percent, reached } of devices) {
    const asked = release({ manifest_sha256, rollout_percent: percent });
    assert.equal(await isFor(asked, device_id), reached, `${device_id} at ${percent}`);
  }
  for (const { have, min_sdk, error } of sdk) {
    assert.equal(refusal(() => requireSdk(release({ min_sdk }), have)), error, `${have} ${min_sdk}`);
  }
});

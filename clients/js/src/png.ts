/** Golden images: plain PNGs, decoded alike in every runtime and without a canvas. */

import { InvalidBundle } from "./errors.js";
import type { Pixels } from "./encoder.js";

const CHANNELS = 3;

/**
 * Decode an 8-bit RGB PNG that is not interlaced, as bundles and the conformance kit hold them.
 *
 * Throws `InvalidBundle` for any other file: photographs are decoded by the platform.
 */
export async function decodePlainPng(file: Uint8Array): Promise<Pixels> {
  try {
    const { width, height, packed } = chunksOf(file);
    const filtered = await inflate(packed);
    if (filtered.length !== height * (1 + width * CHANNELS)) throw new RangeError("too short");
    return { data: unfiltered(filtered, width * CHANNELS, height), width, height };
  } catch (error) {
    throw new InvalidBundle("a golden image is not a plain 8-bit RGB PNG: export it again", {
      cause: error,
    });
  }
}

function chunksOf(file: Uint8Array): { width: number; height: number; packed: Blob } {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  if (view.getUint32(0) !== 0x89504e47) throw new RangeError("not a PNG");
  const [depth, colour, , , interlace] = file.subarray(24, 29);
  if (depth !== 8 || colour !== 2 || interlace !== 0) throw new RangeError("not plain RGB");
  const data: BlobPart[] = [];
  for (let at = 8; at < file.length; ) {
    const length = view.getUint32(at);
    if (view.getUint32(at + 4) === 0x49444154) data.push(file.slice(at + 8, at + 8 + length));
    at += 12 + length;
  }
  return { width: view.getUint32(16), height: view.getUint32(20), packed: new Blob(data) };
}

async function inflate(packed: Blob): Promise<Uint8Array> {
  const stream = packed.stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Undo the filters (PNG, section 9): each row was stored as differences to its neighbours. */
function unfiltered(filtered: Uint8Array, stride: number, height: number): Uint8Array {
  const rows = new Uint8Array(stride * height);
  for (let y = 0; y < height; y += 1) {
    const kind = filtered[y * (stride + 1)];
    const start = y * stride;
    for (let x = 0; x < stride; x += 1) {
      const left = x < CHANNELS ? 0 : (rows[start + x - CHANNELS] ?? 0);
      const up = y === 0 ? 0 : (rows[start + x - stride] ?? 0);
      const corner = x < CHANNELS || y === 0 ? 0 : (rows[start + x - stride - CHANNELS] ?? 0);
      const difference = filtered[y * (stride + 1) + 1 + x] ?? 0;
      rows[start + x] = difference + predicted(kind, left, up, corner);
    }
  }
  return rows;
}

function predicted(kind: number | undefined, left: number, up: number, corner: number): number {
  if (kind === 0) return 0;
  if (kind === 1) return left;
  if (kind === 2) return up;
  if (kind === 3) return (left + up) >> 1;
  if (kind !== 4) throw new RangeError("no such filter");
  const estimate = left + up - corner;
  const [toLeft, toUp, toCorner] = [left, up, corner].map((near) => Math.abs(estimate - near)) as [
    number, number, number,
  ];
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}

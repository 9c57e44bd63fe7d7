/** Sizes as image headers state them. */

import type { Format } from "./photo.js";

/** Width and height as stored, before any EXIF orientation. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** The size in a file's header; undefined when the header is not all there. */
export function sizeOf(head: Uint8Array, format: Format): Size | undefined {
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  try {
    return READERS[format](view);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Whether the header announces several frames. */
export function isAnimated(head: Uint8Array, format: Format): boolean {
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  try {
    if (format === "png") return hasPngAnimation(view);
    return format === "webp" && name(view, 12) === "VP8X" && (view.getUint8(20) & 2) !== 0;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

const READERS: Readonly<Record<Format, (view: DataView) => Size | undefined>> = {
  jpeg: jpegSize,
  png: (view) => ({ width: view.getUint32(16), height: view.getUint32(20) }),
  webp: webpSize,
  bmp: bmpSize,
  gif: (view) => ({ width: view.getUint16(6, true), height: view.getUint16(8, true) }),
  tiff: () => undefined,
};

/** The size is in the first start-of-frame segment (T.81, B.2.2). */
function jpegSize(view: DataView): Size | undefined {
  for (let at = 2; ; ) {
    if (view.getUint8(at) !== 0xff) return undefined;
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) {
      at += 1;
    } else if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return { height: view.getUint16(at + 5), width: view.getUint16(at + 7) };
    } else {
      const isAlone = marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8);
      at += isAlone ? 2 : 2 + view.getUint16(at + 2);
    }
  }
}

function webpSize(view: DataView): Size | undefined {
  const kind = name(view, 12);
  if (kind === "VP8X") return { width: 1 + uint24(view, 24), height: 1 + uint24(view, 27) };
  if (kind === "VP8L") {
    const bits = view.getUint32(21, true);
    return { width: 1 + (bits & 0x3fff), height: 1 + ((bits >>> 14) & 0x3fff) };
  }
  if (kind !== "VP8 ") return undefined;
  return {
    width: view.getUint16(26, true) & 0x3fff,
    height: view.getUint16(28, true) & 0x3fff,
  };
}

function bmpSize(view: DataView): Size {
  // The oldest header has 16-bit sizes; in the others a negative height means top row first.
  if (view.getUint32(14, true) === 12) {
    return { width: view.getUint16(18, true), height: view.getUint16(20, true) };
  }
  return { width: view.getInt32(18, true), height: Math.abs(view.getInt32(22, true)) };
}

/** An `acTL` chunk before the first `IDAT` makes a PNG an animation. */
function hasPngAnimation(view: DataView): boolean {
  for (let at = 8; ; at += 12 + view.getUint32(at)) {
    const chunk = name(view, at + 4);
    if (chunk === "acTL" || chunk === "IDAT") return chunk === "acTL";
  }
}

function name(view: DataView, at: number): string {
  return String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(at + i)));
}

function uint24(view: DataView, at: number): number {
  return view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
}

/** Decoding in a browser: upright, sRGB, alpha over white, and never down to the network's size. */

import type { Embedding, Pixels } from "../encoder.js";
import { InvalidConfiguration, InvalidImage } from "../errors.js";
import { MAX_PIXELS, requirePhotograph } from "../photo.js";
import type { WebImage } from "./messages.js";

/**
 * A longer side is brought down to this, a shorter one never below the other: a canvas's resampling
 * is not the graph's, and at these sizes costs less than 0.001 of cosine.
 */
const LONGEST_PX = 2048;
const SHORTEST_PX = 1024;

type Canvas2d = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

/**
 * Decode a photograph to 8-bit RGB, sRGB and upright.
 *
 * Throws `ImageTooLarge` from the header alone, before anything is decoded, and `InvalidImage` for
 * anything else that is not one whole still photograph.
 */
export async function readImage(image: WebImage): Promise<Pixels> {
  if (!(image instanceof Blob)) return draw(await bitmapOf(image));
  await requirePhotograph(image, MAX_PIXELS);
  const bitmap = await bitmapOf(image);
  try {
    return draw(bitmap);
  } finally {
    bitmap.close();
  }
}

/** Decode a photograph and embed it by `run`, with the time that each took. */
export async function embedding(
  image: WebImage,
  run: (pixels: Pixels) => Promise<Float32Array>,
): Promise<Embedding> {
  const start = performance.now();
  const pixels = await readImage(image);
  const decoded = performance.now();
  const vector = await run(pixels);
  const { width, height } = pixels;
  const encode_ms = performance.now() - decoded;
  return { vector, width, height, decode_ms: decoded - start, encode_ms };
}

async function bitmapOf(image: WebImage): Promise<ImageBitmap> {
  if (image instanceof ImageBitmap) return image;
  try {
    // The default turns it upright by its EXIF and converts it to sRGB by its profile.
    return await createImageBitmap(image);
  } catch (error) {
    throw new InvalidImage("the photograph is damaged and cannot be decoded: choose another", {
      cause: error,
    });
  }
}

function draw(bitmap: ImageBitmap): Pixels {
  const { width, height } = cappedSize(bitmap);
  const context = contextOf(width, height);
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  const rgba = context.getImageData(0, 0, width, height, { colorSpace: "srgb" }).data;
  return { data: withoutAlpha(rgba), width, height };
}

function cappedSize({ width, height }: ImageBitmap): { width: number; height: number } {
  const toLongest = LONGEST_PX / Math.max(width, height);
  const scale = Math.min(1, Math.max(toLongest, SHORTEST_PX / Math.min(width, height)));
  return { width: Math.round(width * scale), height: Math.round(height * scale) };
}

function contextOf(width: number, height: number): Canvas2d {
  const settings: CanvasRenderingContext2DSettings = { willReadFrequently: true, colorSpace: "srgb" };
  if (typeof OffscreenCanvas !== "undefined") {
    const context = new OffscreenCanvas(width, height).getContext("2d", settings);
    if (context !== null) return context;
  }
  const canvas = globalThis.document?.createElement("canvas");
  if (canvas !== undefined) {
    Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d", settings);
    if (context !== null) return context;
  }
  throw new InvalidConfiguration(
    "this browser gives no canvas to decode photographs on: send the photograph itself instead",
  );
}

function withoutAlpha(rgba: Uint8ClampedArray): Uint8Array {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    rgb[to] = rgba[from] ?? 0;
    rgb[to + 1] = rgba[from + 1] ?? 0;
    rgb[to + 2] = rgba[from + 2] ?? 0;
  }
  return rgb;
}

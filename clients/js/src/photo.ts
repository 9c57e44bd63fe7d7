/** A photograph's first bytes: its format, its size, and why it cannot be used. */

import { ImageTooLarge, InvalidImage } from "./errors.js";
import { isAnimated, sizeOf } from "./photo_header.js";

/** Cap on width × height as the file's header states it, checked before decoding. */
export const MAX_PIXELS = 64_000_000;

/** Mostly enough of a file to find its size in, behind EXIF, profile and thumbnail. */
const HEAD_BYTES = 256 * 1024;

/** The formats a service reads. */
export type Format = "jpeg" | "png" | "webp" | "bmp" | "tiff" | "gif";

const SIGNATURES: readonly (readonly [Format, RegExp])[] = [
  ["jpeg", /^\xff\xd8\xff/],
  ["png", /^\x89PNG\r\n\x1a\n/],
  ["webp", /^RIFF[^]{4}WEBP/],
  ["bmp", /^BM/],
  ["tiff", /^(II\*\0|MM\0\*)/],
  ["gif", /^GIF8/],
];

/** What people do pick, and what to tell them. */
const STRANGERS: readonly (readonly [RegExp, string])[] = [
  [
    /^[^]{4}ftyp(hei[cmxs]|hev[cmx]|mif1|msf1)/,
    "a HEIC photograph cannot be read here: share it as JPEG (on an iPhone, Settings, Camera, " +
      "Formats, Most Compatible)",
  ],
  [/^[^]{4}ftypavi[fs]/, "an AVIF picture cannot be read here: save it as JPEG or PNG first"],
  [
    /^(\xef\xbb\xbf)?\s*(<\?xml[^]*)?(<!--[^]*-->\s*)?(<!DOCTYPE svg[^]*)?<svg/i,
    "an SVG is a drawing, not a photograph: save it as PNG first",
  ],
  [/^%PDF/, "a PDF is a document, not a photograph: save the page as JPEG or PNG first"],
];

/** The photograph's `Content-Type`, from its first bytes. Throws `InvalidImage`. */
export async function mediaType(photo: Blob | Uint8Array): Promise<string> {
  return `image/${formatOf(await headOf(photo, HEAD_BYTES))}`;
}

/**
 * Refuse what is not one still photograph of a format that browsers decode, from its header.
 *
 * Throws `ImageTooLarge` when the header states more than `maxPixels`, else `InvalidImage`, each in
 * one sentence with the way out; nothing has been decoded then.
 */
export async function requirePhotograph(photo: Blob, maxPixels: number): Promise<void> {
  let head = await headOf(photo, HEAD_BYTES);
  const format = formatOf(head);
  if (format === "gif") {
    throw new InvalidImage("a GIF is not a photograph: save one frame of it as JPEG or PNG");
  }
  if (format === "tiff") {
    throw new InvalidImage("a TIFF cannot be read here: save it as JPEG or PNG first");
  }
  if (sizeOf(head, format) === undefined) head = await headOf(photo, photo.size);
  const size = sizeOf(head, format);
  if (size === undefined || !(size.width * size.height)) {
    throw new InvalidImage("the photograph is damaged, it ends too early: choose it again");
  }
  if (size.width * size.height > maxPixels) {
    throw new ImageTooLarge(
      `the photograph has ${size.width} × ${size.height} pixels, more than the ` +
        `${Math.round(maxPixels / 1e6)} million that are read: make it smaller first`,
    );
  }
  if (isAnimated(head, format)) {
    throw new InvalidImage("the picture is animated, not a photograph: save one frame of it");
  }
}

function formatOf(head: Uint8Array): Format {
  if (!head.length) throw new InvalidImage("the photograph is empty (0 bytes): choose another");
  const start = String.fromCharCode(...head.subarray(0, 2048));
  const known = SIGNATURES.find(([, signature]) => signature.test(start));
  if (known !== undefined) return known[0];
  const stranger = STRANGERS.find(([signature]) => signature.test(start));
  throw new InvalidImage(
    stranger?.[1] ?? "this is not a photograph we read (JPEG, PNG, WebP, BMP): convert it first",
  );
}

async function headOf(photo: Blob | Uint8Array, bytes: number): Promise<Uint8Array> {
  if (photo instanceof Uint8Array) return photo.subarray(0, bytes);
  try {
    return new Uint8Array(await photo.slice(0, bytes).arrayBuffer());
  } catch (error) {
    // A picked file that was moved, or a cloud one that is not on the device.
    throw new InvalidImage("the photograph cannot be opened any more: choose it again", {
      cause: error,
    });
  }
}

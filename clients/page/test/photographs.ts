/** Files that are no photograph for this page, made byte by byte. */

/** A file as a picker gives it. */
export interface Given {
  readonly name: string;
  readonly mimeType: string;
  readonly buffer: Buffer;
}

export const HEIC: Given = given("photo.heic", "image/heic", "\0\0\0\x18ftypheic\0\0\0\0mif1heic");
export const SVG: Given = given("drawing.svg", "image/svg+xml", '<svg xmlns="http://www.w3.org/2000/svg"/>');
export const GIF: Given = given("moving.gif", "image/gif", "GIF89a\x01\0\x01\0\0\0\0;");
export const EMPTY: Given = given("empty.jpg", "image/jpeg", "");
export const TEXT: Given = given("notes.jpg", "image/jpeg", "these are words, not pixels");

/** A PNG whose header states 100 megapixels. */
export const HUGE: Given = {
  name: "huge.png",
  mimeType: "image/png",
  buffer: Buffer.from("89504e470d0a1a0a0000000d494844520000271000002710080200000000000000", "hex"),
};

function given(name: string, mimeType: string, text: string): Given {
  return { name, mimeType, buffer: Buffer.from(text, "latin1") };
}

/**
 * Unit rows and how they travel: little-endian float32, float16 or int8, as base64; byte for byte
 * what the Python SDK sends.
 *
 * int8 is each row times 127 over its largest number: a row's length means nothing here, so no scale
 * travels with it.
 */

import { InvalidVector } from "./errors.js";

/** How numbers travel. */
export type WireDtype = "f16" | "f32" | "i8";

/** Rows as base64 of little-endian numbers, row-major. */
export interface PackedVectors {
  readonly dtype: WireDtype;
  readonly data: string;
}

/** A row shorter than this has no direction to search in. */
export const MIN_NORM = 1e-6;

const BYTES: Readonly<Record<WireDtype, number>> = { f16: 2, f32: 4, i8: 1 };
const I8_MAX = 127;

/** The bits of float32's 65520, the least number that float16 rounds to infinity. */
const F16_OVERFLOW = 0x477ff000;
/** The bits of 2^-14, float16's least normal number, and of half its least number at all. */
const F16_NORMAL = 0x38800000;
const F16_VANISHES = 0x33000000;

/**
 * Check rows and return them as float32 of unit length.
 *
 * Throws `InvalidVector` naming the first bad row when there are no rows, a row has not `dim`
 * numbers, a value is not finite in float32, or a row is shorter than `MIN_NORM`.
 */
export function unitRows(rows: readonly ArrayLike<number>[], dim: number): Float32Array[] {
  const widths = [...new Set(Array.from(rows, (row) => row.length))];
  if (widths.length !== 1 || widths[0] !== dim) {
    throw new InvalidVector(
      `expected one or more vectors of ${dim} numbers, found ${rows.length} of lengths ` +
        `[${widths.join(", ")}]: use a model of this space`,
    );
  }
  return rows.map((row, index) => unitRow(Float32Array.from(row), index));
}

function unitRow(row: Float32Array, index: number): Float32Array {
  if (!row.every(Number.isFinite)) {
    throw new InvalidVector(
      `vector ${index} holds NaN or infinity (or a number too large for its type): ` +
        "the encoder failed on this image; encode it again",
    );
  }
  const norm = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
  if (norm < MIN_NORM) {
    throw new InvalidVector(
      `vector ${index} has length ${norm.toExponential(1)}, so it points nowhere: ` +
        "the encoder failed on this image; encode it again",
    );
  }
  return row.map((value) => value / norm);
}

/** The cosine of two rows of unit length. */
export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i] ?? NaN) * (b[i] ?? NaN);
  return sum;
}

/**
 * The bits of the float16 nearest to a finite float32, ties to even, as IEEE 754 and numpy round.
 *
 * bits: the float32's. A number too large becomes infinity.
 */
export function halfBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const size = bits & 0x7fffffff;
  if (size >= F16_OVERFLOW) return sign | 0x7c00;
  if (size <= F16_VANISHES) return sign;
  if (size >= F16_NORMAL) {
    const odd = (size >>> 13) & 1;
    return sign | ((size - 0x38000000 + 0xfff + odd) >>> 13);
  }
  const shift = 126 - (size >>> 23);
  const mantissa = (size & 0x7fffff) | 0x800000;
  const floor = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  const isUp = rest > half || (rest === half && (floor & 1) === 1);
  return sign | (isUp ? floor + 1 : floor);
}

/** The number that float16 bits stand for. */
export function fromHalfBits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0x1f) return mantissa ? NaN : sign * Infinity;
  return exponent
    ? sign * (1 + mantissa / 1024) * 2 ** (exponent - 15)
    : sign * mantissa * 2 ** -24;
}

/**
 * Rows, row-major little-endian; float16 costs 2 bytes a number, int8 one.
 *
 * Throws `InvalidVector` when a value does not survive the cast.
 */
export function toBytes(rows: readonly Float32Array[], dtype: WireDtype): Uint8Array {
  const dim = rows[0]?.length ?? 0;
  const view = new DataView(new ArrayBuffer(rows.length * dim * BYTES[dtype]));
  rows.forEach((row, index) => {
    writeRow(view, index * dim * BYTES[dtype], row, dtype);
  });
  return new Uint8Array(view.buffer);
}

function writeRow(view: DataView, start: number, row: Float32Array, dtype: WireDtype): void {
  if (!row.every(Number.isFinite)) throw lost(dtype);
  if (dtype === "f32") row.forEach((value, i) => view.setFloat32(start + 4 * i, value, true));
  else if (dtype === "i8") int8Row(row).forEach((value, i) => view.setInt8(start + i, value));
  else {
    new Uint32Array(row.slice().buffer).forEach((bits, i) => {
      const half = halfBits(bits);
      if ((half & 0x7fff) === 0x7c00) throw lost(dtype);
      view.setUint16(start + 2 * i, half, true);
    });
  }
}

function int8Row(row: Float32Array): number[] {
  const peak = row.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const scale = Math.fround(I8_MAX / (peak || 1));
  return Array.from(row, (value) => roundEven(Math.fround(value * scale)));
}

function roundEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

function lost(dtype: WireDtype): InvalidVector {
  return new InvalidVector(`a value is NaN, infinite or too large for ${dtype}`);
}

/**
 * Inverse of `toBytes`: rows of `dim` numbers, not yet checked for finiteness or length.
 *
 * Throws `InvalidVector` when it is not a whole number of rows.
 */
export function fromBytes(raw: Uint8Array, dtype: WireDtype, dim: number): Float32Array[] {
  const rowBytes = dim * BYTES[dtype];
  if (rowBytes === 0 || raw.length === 0 || raw.length % rowBytes) {
    throw new InvalidVector(
      `expected a multiple of ${rowBytes} bytes (${dim} × ${dtype} a vector), ` +
        `found ${raw.length}: check the model's dimension and the dtype`,
    );
  }
  const view = new DataView(raw.buffer, raw.byteOffset, raw.length);
  const read = {
    f16: (at: number) => fromHalfBits(view.getUint16(2 * at, true)),
    f32: (at: number) => view.getFloat32(4 * at, true),
    i8: (at: number) => view.getInt8(at),
  }[dtype];
  return Array.from({ length: raw.length / rowBytes }, (_row, index) =>
    Float32Array.from({ length: dim }, (_number, i) => read(index * dim + i)),
  );
}

/** `toBytes` as base64 text. */
export function pack(rows: readonly Float32Array[], dtype: WireDtype = "f16"): PackedVectors {
  return { dtype, data: toBase64(toBytes(rows, dtype)) };
}

/** Inverse of `pack`. Throws `InvalidVector` for what is not base64, or not whole rows. */
export function unpack(packed: PackedVectors, dim: number): Float32Array[] {
  return fromBytes(fromBase64(packed.data), packed.dtype, dim);
}

/** Bytes as base64 text. */
export function toBase64(raw: Uint8Array): string {
  const parts: string[] = [];
  for (let at = 0; at < raw.length; at += 0x8000) {
    parts.push(String.fromCharCode(...raw.subarray(at, at + 0x8000)));
  }
  return btoa(parts.join(""));
}

/** Inverse of `toBase64`, as strict as the service. Throws `InvalidVector`. */
export function fromBase64(text: string): Uint8Array {
  let raw: string | undefined;
  try {
    raw = atob(text);
  } catch {
    raw = undefined;
  }
  // atob forgives spaces, missing padding and stray bits (RFC 4648, section 3.5); the service does not.
  if (raw === undefined || btoa(raw) !== text) {
    throw new InvalidVector("the vector data is not base64");
  }
  return Uint8Array.from(raw, (character) => character.charCodeAt(0));
}

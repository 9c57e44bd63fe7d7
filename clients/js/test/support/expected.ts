/** `vectors.json` of the Python side. */
export interface Expected {
  /** Raw pixels, as plain PNGs, and their vectors by the tiny student, the shipped one, its int8. */
  readonly raw: readonly {
    readonly file: string;
    readonly vectors: { readonly tiny: string; readonly shipped: string; readonly int8: string };
  }[];
  /** The shipped student's fp16 vectors of photograph files, decoded by Pillow. */
  readonly photographs: Readonly<Record<string, string>>;
  readonly exif_6_not_turned: string;
}

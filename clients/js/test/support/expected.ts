/** `vectors.json` of the Python side. */
export interface Expected {
  /** Raw pixels, as plain PNGs, and each bundle's vector: base64 float32. */
  readonly raw: readonly {
    readonly file: string;
    readonly vectors: { readonly tiny: string; readonly shipped: string };
  }[];
  /** The shipped student's vectors of photograph files, decoded by Pillow. */
  readonly photographs: Readonly<Record<string, string>>;
  readonly exif_6_not_turned: string;
}

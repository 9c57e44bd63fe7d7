/**
 * Which items a search may find: a small typed language over their metadata, as JSON.
 *
 *     { field: "brand", eq: "alpro" }           { field: "brand", in: ["alpro", "oatly"] }
 *     { field: "price", gte: 1, lt: 2.5 }       { field: "price", exists: true }
 *     { and: [...] }   { or: [...] }   { not: {...} }
 *
 * `field` is a name at the top of an item's metadata. A list there matches when one of its elements
 * does. A field an item does not have, or has as null, does not exist: nothing but `not` matches it.
 */

/** A value of a metadata field. */
export type Scalar = string | number | boolean;

/** The field is this value. */
export interface Equals {
  readonly field: string;
  readonly eq: Scalar;
}

/** The field is one of these values. */
export interface OneOf {
  readonly field: string;
  readonly in: readonly Scalar[];
}

/** The field is between; one bound or two, all numbers or all text. */
export interface Range {
  readonly field: string;
  readonly gt?: number | string;
  readonly gte?: number | string;
  readonly lt?: number | string;
  readonly lte?: number | string;
}

/** The field is there and not null; or, with false, the opposite. */
export interface Exists {
  readonly field: string;
  readonly exists: boolean;
}

/** Every part matches. */
export interface And {
  readonly and: readonly Filter[];
}

/** At least one part matches. */
export interface Or {
  readonly or: readonly Filter[];
}

/** The part does not match. */
export interface Not {
  readonly not: Filter;
}

/** A condition, or a combination of some. */
export type Filter = Equals | OneOf | Range | Exists | And | Or | Not;

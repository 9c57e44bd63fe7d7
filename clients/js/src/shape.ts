/** Checks of JSON documents: small functions that say where a value is not what was expected. */

/** A value that is not what it should be. Caught by whoever knows which document it is part of. */
export class Malformed extends Error {
  constructor(
    readonly where: readonly string[],
    readonly expected: string,
  ) {
    super(`${where.join(".") || "the document"}: expected ${expected}`);
  }
}

/** Returns when the value is as expected; throws `Malformed` with its place. */
export type Check = (value: unknown, where: readonly string[]) => void;

/** Checks by key. */
export type Fields = Readonly<Record<string, Check>>;

/** The value as the type that the check stands for. Throws `Malformed`. */
export function checked<T>(value: unknown, check: Check): T {
  check(value, []);
  return value as T;
}

/** A value that passes a test. */
export function that(expected: string, passes: (value: unknown) => boolean): Check {
  return (value, where) => {
    if (!passes(value)) throw new Malformed(where, expected);
  };
}

/** Text; matching, when a pattern is given. */
export function text(pattern = /^/, expected = "text"): Check {
  return that(expected, (value) => typeof value === "string" && pattern.test(value));
}

/** A finite number. */
export const number: Check = that("a number", Number.isFinite);

/** A whole number between two bounds, both included. */
export function whole(least: number, most: number = Number.MAX_SAFE_INTEGER): Check {
  return that(
    `a whole number from ${least} to ${most}`,
    (value) => Number.isInteger(value) && (value as number) >= least && (value as number) <= most,
  );
}

/** One of these values. */
export function oneOf(...values: readonly (string | number)[]): Check {
  return that(values.map((value) => JSON.stringify(value)).join(" or "), (value) =>
    values.includes(value as string | number),
  );
}

/** Null, or what passes the check. */
export function nullable(check: Check): Check {
  return (value, where) => {
    if (value !== null) check(value, where);
  };
}

/** Absent, or what passes the check. */
export function optional(check: Check): Check {
  return (value, where) => {
    if (value !== undefined) check(value, where);
  };
}

/** A list whose elements pass the check. */
export function list(check: Check, least = 0, most = Infinity): Check {
  return (value, where) => {
    if (!Array.isArray(value) || value.length < least || value.length > most) {
      const span = least === most ? `${least}` : `${least} or more`;
      throw new Malformed(where, least ? `a list of ${span}` : "a list");
    }
    value.forEach((element, index) => check(element, [...where, String(index)]));
  };
}

/** An object of any keys whose values pass the check. */
export function record(check: Check): Check {
  return (value, where) => {
    for (const [key, field] of entries(value, where)) check(field, [...where, key]);
  };
}

/** An object with these fields, and whatever else: what a newer server may add. */
export function atLeast(fields: Fields): Check {
  return (value, where) => {
    const found = Object.fromEntries(entries(value, where));
    for (const [key, check] of Object.entries(fields)) check(found[key], [...where, key]);
  };
}

/** An object with these fields and no others. */
export function exactly(fields: Fields): Check {
  const known = atLeast(fields);
  return (value, where) => {
    for (const [key] of entries(value, where)) {
      if (!Object.hasOwn(fields, key)) throw new Malformed([...where, key], "no such key");
    }
    known(value, where);
  };
}

/** Any value of JSON. */
export const anything: Check = that("a value", (value) => value !== undefined);

function entries(value: unknown, where: readonly string[]): [string, unknown][] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Malformed(where, "an object");
  }
  return Object.entries(value);
}

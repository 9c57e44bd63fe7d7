/** What an error means to the visitor: one sentence, and how to go on. */

import * as errors from "lorgnette";

/** What the page offers beside the sentence. */
export type WayOn = "choose another" | "try again" | "give a key" | "nothing";

/** An error as shown. */
export interface Told {
  readonly text: string;
  readonly wayOn: WayOn;
}

type Rule = readonly [errors.ErrorClass, WayOn, string?];

/** The first that fits counts, so subclasses come before their bases. No text: the error's own. */
const RULES: readonly Rule[] = [
  [errors.InvalidImage, "choose another"],
  [errors.Unauthorized, "give a key", "This service asks for a key, or does not know the one you gave."],
  [errors.Forbidden, "give a key", "This key does not open this door: give another one."],
  [errors.TooManyRequests, "try again", "Too many searches just now: wait a moment, then try again."],
  [errors.BundleCorrupt, "try again", "The encoder arrived damaged and was not used: fetch it again."],
  [errors.SdkTooOld, "try again", "The gallery's encoder needs a newer version of this page: reload it, or ask the operator for one."],
  [errors.GoldenMismatch, "try again", "The encoder does not compute here what it should and was not used: try another browser."],
  [errors.SpaceMismatch, "try again", "The gallery and the encoder on this device do not fit together, and no newer encoder does: ask the operator, or try again later."],
  [errors.MissingExtra, "nothing", "This browser has no WebAssembly, so the photograph cannot be understood here: open this page in a current browser."],
  [errors.TimedOut, "try again", "The service took too long to answer: try again."],
  [errors.Unavailable, "try again"],
  [errors.ServerFault, "try again"],
  [errors.Unreachable, "try again", "The service cannot be reached: check the connection, then try again."],
  [errors.LorgnetteError, "try again"],
];

/** The sentence of an error, and the way on. */
export function told(error: unknown): Told {
  if (!navigator.onLine && error instanceof errors.Unreachable) {
    return { text: "You are offline: your photograph stays here, try again when you are back.", wayOn: "try again" };
  }
  const rule = RULES.find(([kind]) => error instanceof kind);
  if (rule === undefined) return { text: "Something went wrong on this page: reload it.", wayOn: "try again" };
  return { text: rule[2] ?? asSentence((error as Error).message), wayOn: rule[1] };
}

/** The SDK's messages begin small and end open, as parts of a log line do. */
export function asSentence(message: string): string {
  const trimmed = message.trim();
  const closed = /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
  return closed.charAt(0).toUpperCase() + closed.slice(1);
}

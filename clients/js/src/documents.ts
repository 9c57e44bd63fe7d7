/** Checks of what a server says: unknown keys are let be, so that an older client reads a newer one. */

import {
  anything, atLeast, list, nullable, number, optional, record, text, that, whole, type Check,
} from "./shape.js";

export const PROBLEM: Check = atLeast({
  type: text(),
  title: text(),
  status: number,
  detail: text(),
  expected: optional(list(text())),
  found: optional(text()),
  students: optional(list(text())),
});

const HIT = atLeast({
  id: text(),
  score: number,
  metadata: record(anything),
  group: optional(
    that("text, a number, true, false or null", (value) => typeof value !== "object" || !value),
  ),
});

export const SEARCH_RESPONSE: Check = atLeast({
  space: text(),
  generation: number,
  results: list(list(HIT)),
  took_ms: number,
  matching: optional(nullable(number)),
  is_aligned: optional(that("true or false", (value) => typeof value === "boolean")),
  stages_ms: optional(record(number)),
});

const STUDENT = atLeast({ name: text(), version: text(), space: text(), manifest: text() });

const ALIGNMENT = atLeast({
  student: text(),
  photographs: number,
  before: number,
  after: number,
  learned_at: text(),
});

export const SPACES_RESPONSE: Check = atLeast({
  spaces: list(
    atLeast({
      space: atLeast({ id: text(), dim: whole(1) }),
      generation: number,
      count: number,
      students: list(STUDENT),
      alignments: optional(list(ALIGNMENT)),
    }),
  ),
});

export const MODELS_RESPONSE: Check = atLeast({ models: list(STUDENT) });

export const JOB: Check = atLeast({
  id: text(),
  kind: text(),
  state: text(),
  stage: text(),
  done: number,
  total: number,
  rate: nullable(number),
  eta_s: nullable(number),
  created_at: text(),
  heartbeat_at: text(),
  result: nullable(record(anything)),
  error: nullable(PROBLEM),
});

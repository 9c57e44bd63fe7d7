/** What came back from the server, and which typed value or error it means. */

import { PROBLEM } from "./documents.js";
import * as errors from "./errors.js";
import type { ErrorClass, LorgnetteError } from "./errors.js";
import type { Space } from "./manifest.js";
import { checked, Malformed, type Check } from "./shape.js";
import { PROBLEM_TYPE, type Problem, type SpaceInfo } from "./wire.js";

/** A response read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
  readonly url: string;
}

const MAX_QUOTED = 200;

const BY_STATUS: Readonly<Record<number, ErrorClass>> = {
  400: errors.InvalidRequest,
  401: errors.Unauthorized,
  403: errors.Forbidden,
  404: errors.NotFound,
  405: errors.NotFound,
  408: errors.TimedOut,
  409: errors.Conflict,
  413: errors.BodyTooLarge,
  422: errors.InvalidRequest,
  429: errors.TooManyRequests,
  502: errors.Unavailable,
  503: errors.Unavailable,
  504: errors.Unavailable,
};

/** The body as what `check` stands for. Throws the error the server named, or `ServerFault`. */
export function parse<T>(answer: Answer, check: Check): T {
  requireSuccess(answer);
  try {
    return checked<T>(json(answer), check);
  } catch (error) {
    if (!(error instanceof Malformed || error instanceof SyntaxError)) throw error;
    throw new errors.ServerFault(
      `${answer.url} answered ${answer.status} with something unexpected (${error.message}): ` +
        `is this the address of a lorgnette service? ${quoted(answer.body)}`,
      { cause: error },
    );
  }
}

/** Throw the error an answer stands for unless its status is 2xx or 304. */
export function requireSuccess(answer: Answer): void {
  if ((answer.status >= 200 && answer.status < 300) || answer.status === 304) return;
  throw errorOf(answer);
}

/** The error a non-2xx answer stands for: by the problem's code, else by the status. */
export function errorOf(answer: Answer): LorgnetteError {
  if (answer.status < 400) {
    const target = answer.headers.get("location") ?? "another address";
    return new errors.InvalidConfiguration(
      `${answer.url} redirects to ${target}: give that address as the server's`,
    );
  }
  const problem = problemOf(answer);
  if (problem === undefined) {
    const plain = `${answer.url} answered ${answer.status}. ${quoted(answer.body)}`;
    return new (classOf(answer.status))(plain + requestId(answer));
  }
  const message = (problem.detail || problem.title) + requestId(answer);
  const code = problem.type.startsWith(PROBLEM_TYPE)
    ? problem.type.slice(PROBLEM_TYPE.length)
    : problem.type;
  const kind = errors.errorClass(code);
  if (kind === errors.SpaceMismatch) return new errors.SpaceMismatch(message, problem);
  // A code newer than this SDK still has a status whose class a caller can handle.
  return new (kind === errors.LorgnetteError ? classOf(answer.status) : kind)(message);
}

/** The error of a space that none of the live ones is. */
export function mismatch(space: Space, infos: readonly SpaceInfo[]): errors.SpaceMismatch {
  const live = infos.map((info) => info.space.id);
  const students = infos.flatMap((info) => info.students.map((student) => student.name));
  const wayOut = students.length
    ? `load a student that fits (${students.join(", ")})`
    : "ask the server's operator for a student of that space";
  const speaks = live.map((id) => `'${id}'`).join(", ");
  return new errors.SpaceMismatch(
    `the encoder speaks space '${space.id}', the server ${speaks}: ${wayOut}`,
    { expected: live, found: space.id, students },
  );
}

function problemOf(answer: Answer): Problem | undefined {
  try {
    return checked<Problem>(json(answer), PROBLEM);
  } catch {
    return undefined;
  }
}

function json(answer: Answer): unknown {
  return JSON.parse(new TextDecoder().decode(answer.body));
}

function classOf(status: number): ErrorClass {
  const known = BY_STATUS[status];
  if (known !== undefined) return known;
  return status < 500 ? errors.RefusedByServer : errors.ServerFault;
}

function requestId(answer: Answer): string {
  const found = answer.headers.get("x-request-id");
  return found && answer.status >= 500 ? ` (request id ${found})` : "";
}

function quoted(body: Uint8Array): string {
  const start = new TextDecoder().decode(body.subarray(0, 4 * MAX_QUOTED));
  const words = start.split(/\s+/).filter(Boolean).join(" ");
  return words ? `It begins: '${words.slice(0, MAX_QUOTED)}'` : "Its body is empty.";
}

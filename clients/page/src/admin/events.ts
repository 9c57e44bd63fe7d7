/** A job's server-sent events, by `fetch`: `EventSource` cannot send a key. */

import type { Job, JobState } from "lorgnette";
import { keyHeader } from "../service.js";

const FINAL: readonly JobState[] = ["succeeded", "failed", "cancelled", "interrupted"];
const AGAIN_AFTER_MS = 1000;

/** Whether a job is over. */
export function isOver({ state }: Job): boolean {
  return FINAL.includes(state);
}

/** Follow a job to its end, over as many connections as it takes. Gives its last state. */
export async function followJob(
  id: string,
  onJob: (job: Job) => void,
  signal: AbortSignal,
): Promise<void> {
  let [seen, done] = ["", false];
  const onEvent = (event: ServerEvent): void => {
    if (event.name !== "job") return;
    const job = JSON.parse(event.data) as Job;
    [seen, done] = [event.id, isOver(job)];
    onJob(job);
  };
  while (!done && !signal.aborted) {
    const isGone = await readOnce(id, seen, onEvent, signal);
    if (isGone) return;
    if (!done) await new Promise((resolve) => setTimeout(resolve, AGAIN_AFTER_MS));
  }
}

/** One connection, to its end. True when there is nothing to come back for. */
async function readOnce(
  id: string,
  seen: string,
  onEvent: (event: ServerEvent) => void,
  signal: AbortSignal,
): Promise<boolean> {
  const headers = { ...keyHeader(), Accept: "text/event-stream", ...(seen && { "Last-Event-ID": seen }) };
  try {
    const answer = await fetch(`/admin/jobs/${encodeURIComponent(id)}/events`, { headers, signal });
    if (!answer.ok || answer.body === null) return answer.status < 500 && answer.status !== 429;
    for await (const event of eventsOf(answer.body)) onEvent(event);
  } catch {
    // The connection was cut: the job goes on, and is asked for again.
  }
  return false;
}

interface ServerEvent {
  readonly id: string;
  readonly name: string;
  readonly data: string;
}

async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + decoder.decode(value, { stream: true })).split("\n\n");
      rest = blocks.pop() ?? "";
      yield* blocks.map(eventOf);
    }
  } finally {
    // Whoever stops reading, for an event it cannot read, closes the connection too.
    await reader.cancel();
  }
}

function eventOf(block: string): ServerEvent {
  const field = (name: string): string =>
    block
      .split("\n")
      .filter((line) => line.startsWith(`${name}:`))
      .map((line) => line.slice(name.length + 1).trimStart())
      .join("\n");
  return { id: field("id"), name: field("event"), data: field("data") };
}

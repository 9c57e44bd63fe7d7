/** The job that runs, live. */

import type { Job } from "lorgnette";
import { byId, setText } from "../dom.js";
import { asSentence } from "../messages.js";
import { counted, duration } from "../units.js";
import { isOver } from "./events.js";

const TITLES = {
  queued: "Waiting to start",
  running: "Reindexing",
  succeeded: "Reindexed",
  failed: "The reindex failed",
  cancelled: "The reindex was cancelled",
  interrupted: "The reindex was interrupted",
} as const;

/** Show a job as it is now. */
export function showJob(job: Job): void {
  const card = byId("job", HTMLDivElement);
  card.hidden = false;
  card.dataset["state"] = job.state;
  setText(byId("job-title", HTMLElement), TITLES[job.state]);
  setText(byId("job-stage", HTMLElement), isOver(job) ? "" : job.stage);
  setText(byId("job-text", HTMLParagraphElement), details(job));
  byId("job-cancel", HTMLButtonElement).hidden = isOver(job);
  byId("reindex-start", HTMLButtonElement).disabled = !isOver(job);
  const bar = byId("job-bar", HTMLProgressElement);
  if (job.state === "succeeded") bar.value = 1;
  else if (job.total > 0) bar.value = job.done / job.total;
  else if (isOver(job)) bar.value = 0;
  else bar.removeAttribute("value");
}

function details({ done, total, rate, eta_s, error, result, state }: Job): string {
  if (error !== null) return `${asSentence(error.detail)} The index before still answers.`;
  const generation = result?.["generation"];
  if (state === "succeeded" && typeof generation === "number") return `Generation ${generation} is live.`;
  if (state === "cancelled") return "What was embedded is kept; the index before still answers.";
  return [
    total > 0 && `${done.toLocaleString("en")} of ${counted(total, "photograph")}`,
    rate !== null && `${rate.toFixed(1)} a second`,
    eta_s !== null && `${duration(eta_s)} to go`,
  ]
    .filter(Boolean)
    .join(" · ");
}

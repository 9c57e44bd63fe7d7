/** The generations and the latest jobs, as rows. */

import type { AlignmentInfo, Job } from "lorgnette";
import { byId, el } from "../dom.js";
import { asSentence } from "../messages.js";
import { counted, moment } from "../units.js";
import type { Generation } from "./api.js";

const MOST_JOBS = 6;

/** Show the generations. onPromote: the visitor wants this one live. */
export function showGenerations(
  generations: readonly Generation[],
  onPromote: (generation: number) => void,
): void {
  const rows = generations.map((found) => row(found, onPromote));
  const none = el("tr", {}, el("td", { colSpan: 7 }, "Nothing is published yet."));
  byId("generations", HTMLTableSectionElement).replaceChildren(...(rows.length ? rows : [none]));
}

function row(found: Generation, onPromote: (generation: number) => void): HTMLElement {
  const { generation, space, count, factory, recall_at_10, created_at, is_live } = found;
  const head = el("th", { scope: "row" }, String(generation));
  return el(
    "tr",
    {},
    head,
    el("td", {}, el("code", {}, space.id)),
    number(count.toLocaleString("en")),
    el("td", {}, factory),
    number(recall_at_10.toFixed(3)),
    el("td", {}, moment(created_at)),
    el("td", {}, is_live ? el("span", { className: "badge" }, "Live") : promotion(generation, onPromote)),
  );
}

function number(text: string): HTMLElement {
  return el("td", { className: "number" }, text);
}

function promotion(generation: number, onPromote: (generation: number) => void): HTMLElement {
  const which = el("span", { className: "visually-hidden" }, ` generation ${generation}`);
  const button = el("button", { type: "button" }, "Make live", which);
  button.addEventListener("click", () => onPromote(generation));
  return button;
}

/** Show what the gallery has learned about its students. */
export function showAlignments(alignments: readonly AlignmentInfo[]): void {
  const rows = alignments.map(({ student, photographs, before, after, learned_at }) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, student),
      number(photographs.toLocaleString("en")),
      number(`${before.toFixed(3)} → ${after.toFixed(3)}`),
      el("td", {}, moment(learned_at)),
    ),
  );
  const none = el("tr", {}, el("td", { colSpan: 4 }, "No student is aligned with this gallery."));
  byId("alignments", HTMLTableSectionElement).replaceChildren(...(rows.length ? rows : [none]));
}

/** Show the newest jobs. */
export function showJobs(jobs: readonly Job[]): void {
  const rows = jobs.slice(0, MOST_JOBS).map((job) => {
    const time = el("time", { dateTime: job.created_at }, moment(job.created_at));
    const done = el("span", { className: "hint" }, outcome(job));
    const why = job.error !== null && el("p", {}, asSentence(job.error.detail));
    return el("li", {}, el("span", {}, asTitle(`${job.kind} ${job.state}`)), done, time, why);
  });
  const none = el("li", { className: "hint" }, "No job has run yet.");
  byId("jobs", HTMLUListElement).replaceChildren(...(rows.length ? rows : [none]));
}

function asTitle(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function outcome({ result, total }: Job): string {
  const generation = result?.["generation"];
  if (typeof generation === "number") return `generation ${generation}`;
  return total ? counted(total, "photograph") : "";
}

/** The admin routes this page uses. */

import { Client, type AlignmentInfo, type Job, type Space } from "lorgnette";
import { currentKey } from "../key.js";

/** A published index. */
export interface Generation {
  readonly generation: number;
  readonly space: Space;
  readonly count: number;
  readonly factory: string;
  readonly recall_at_10: number;
  readonly created_at: string;
  readonly is_live: boolean;
}

/** What is on the disk, and the tag that names what is live. */
export interface Generations {
  readonly etag: string;
  readonly generations: readonly Generation[];
}

/** The gallery's generations, newest first. */
export async function listGenerations(): Promise<Generations> {
  const { headers, body } = await admin().exchange("GET", "/admin/generations");
  const { generations } = JSON.parse(new TextDecoder().decode(body)) as Omit<Generations, "etag">;
  return { etag: headers.get("etag") ?? "", generations };
}

/** What the gallery has learned about the students of its live spaces. */
export async function listAlignments(): Promise<readonly AlignmentInfo[]> {
  return (await admin().spaces()).flatMap(({ alignments }) => alignments ?? []);
}

/** The latest jobs, newest first. */
export async function listJobs(): Promise<readonly Job[]> {
  return ((await admin().request("GET", "/admin/jobs")) as { jobs: readonly Job[] }).jobs;
}

/** Start a reindex; an empty factory is the configured one. */
export function startReindex(factory: string): Promise<Job> {
  return admin().reindex(factory ? { factory } : {});
}

/** Ask a job to stop. */
export async function cancelJob(id: string): Promise<void> {
  await admin().request("POST", `/admin/jobs/${encodeURIComponent(id)}/cancel`, { json: {} });
}

/** Make a generation live, unless something else became live since the listing. */
export async function promote(generation: number, etag: string): Promise<void> {
  const path = `/admin/generations/${generation}/promote`;
  await admin().request("POST", path, { headers: { "If-Match": etag }, json: {} });
}

function admin(): Client {
  const key = currentKey();
  return new Client("/", { maxRetries: 1, ...(key !== undefined && { key }) });
}

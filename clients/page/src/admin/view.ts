/** The admin tab: what is live, a reindex as it goes, and the way back. */

import { Conflict, Forbidden, Unauthorized, type Job } from "lorgnette";
import { announce, byId, setText } from "../dom.js";
import { currentKey, setKey } from "../key.js";
import { asSentence, told } from "../messages.js";
import { cancelJob, listAlignments, listGenerations, listJobs, promote, startReindex } from "./api.js";
import { followJob, isOver } from "./events.js";
import { showJob } from "./job_card.js";
import { showAlignments, showGenerations, showJobs } from "./tables.js";

/** The view over its part of the page. */
export class AdminView {
  private readonly body = byId("admin-body", HTMLDivElement);
  private readonly keyForm = byId("key-admin", HTMLFormElement);
  private readonly problem = byId("admin-problem", HTMLDivElement);
  private following = new AbortController();
  private followed: string | undefined;
  private etag = "";

  /** onKey: told that the visitor gave a key, which opens the search as well. */
  constructor(private readonly onKey: () => void) {
    this.onSubmit("key-admin", () => this.takeKey());
    this.onSubmit("reindex", () => this.start());
    byId("job-cancel", HTMLButtonElement).addEventListener("click", () => void this.attempt(() => this.cancel()));
    byId("forget", HTMLButtonElement).addEventListener("click", () => {
      setKey(undefined);
      this.leave();
      void this.open();
    });
  }

  /** Show what there is, and follow the job that runs: also after a reload. */
  async open(): Promise<void> {
    await this.attempt(async () => {
      await this.refresh();
      byId("forget", HTMLButtonElement).hidden = currentKey() === undefined;
      this.keyForm.hidden = true;
      this.body.hidden = false;
    });
  }

  /** Stop following; the job goes on. */
  leave(): void {
    this.following.abort();
    this.followed = undefined;
  }

  private async refresh(): Promise<void> {
    const asked = [listGenerations(), listJobs(), listAlignments()] as const;
    const [{ etag, generations }, jobs, alignments] = await Promise.all(asked);
    this.etag = etag;
    showGenerations(generations, (number) => void this.attempt(() => this.promote(number)));
    showJobs(jobs);
    showAlignments(alignments);
    const running = jobs.find((job) => !isOver(job));
    if (running !== undefined) this.follow(running);
  }

  private async start(): Promise<void> {
    const factory = byId("factory", HTMLInputElement).value.trim();
    this.follow(await startReindex(factory));
    announce("The reindex has started.");
  }

  private follow(job: Job): void {
    showJob(job);
    if (this.followed === job.id) return;
    this.leave();
    this.followed = job.id;
    this.following = new AbortController();
    const { signal } = this.following;
    void followJob(job.id, (now) => this.progress(now), signal);
  }

  private progress(job: Job): void {
    if (job.id !== this.followed) return;
    showJob(job);
    if (!isOver(job)) return;
    this.followed = undefined;
    announce(`The reindex has ${job.state}.`);
    void this.attempt(() => this.refresh());
  }

  private async cancel(): Promise<void> {
    if (this.followed === undefined) return;
    setText(byId("job-stage", HTMLElement), "stopping");
    await cancelJob(this.followed);
  }

  private async promote(generation: number): Promise<void> {
    await promote(generation, this.etag);
    announce(`Generation ${generation} is live.`);
    await this.refresh();
  }

  /** Do it; say what went wrong, and ask for the key where that is the matter. */
  private async attempt(work: () => Promise<void>): Promise<void> {
    this.problem.hidden = true;
    try {
      await work();
    } catch (error) {
      const isLocked = error instanceof Unauthorized || error instanceof Forbidden;
      const isFirst = isLocked && currentKey() === undefined;
      if (isLocked) this.askForKey();
      if (!isFirst) this.complain(error);
      if (error instanceof Conflict) await this.refresh().catch(() => undefined);
    }
  }

  private askForKey(): void {
    this.body.hidden = true;
    this.keyForm.hidden = false;
    byId("key-admin-input", HTMLInputElement).focus();
  }

  private complain(error: unknown): void {
    const text = error instanceof Conflict ? asSentence(error.message) : told(error).text;
    setText(byId("admin-problem-text", HTMLParagraphElement), text);
    this.problem.hidden = false;
  }

  private async takeKey(): Promise<void> {
    const input = byId("key-admin-input", HTMLInputElement);
    setKey(input.value.trim());
    input.value = "";
    await this.open();
    this.onKey();
  }

  private onSubmit(id: string, work: () => Promise<void>): void {
    byId(id, HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.attempt(work);
    });
  }
}

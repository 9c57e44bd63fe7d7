/** The search tab: one photograph at a time, from whatever source, through to its results. */

import { announce, byId, setText } from "../dom.js";
import { setKey } from "../key.js";
import { told, type Told } from "../messages.js";
import type { Student } from "../student.js";
import { counted, milliseconds } from "../units.js";
import { showNoHits, showHits, showSkeletons } from "./hits.js";
import { listenForPhotographs } from "./photo_sources.js";
import { hideReceipt, showReceipt } from "./receipt.js";
import { Searcher, type Outcome } from "./searcher.js";

type State = "empty" | "working" | "results" | "error";

const SLOW_MS = 3000;
const WORDS = { "choose another": "Choose another photograph", "try again": "Try again" } as const;

/** The view over its part of the page. */
export class SearchView {
  private readonly view = byId("view-search", HTMLElement);
  private readonly results = byId("results", HTMLDivElement);
  private readonly note = byId("results-note", HTMLParagraphElement);
  private readonly preview = byId("preview", HTMLImageElement);
  private readonly keyForm = byId("key-search", HTMLFormElement);
  private running = new AbortController();
  private photo: Blob | undefined;
  private readonly searcher: Searcher;

  constructor(private readonly student: Student) {
    this.searcher = new Searcher(student);
    listenForPhotographs({
      photograph: (photo) => void this.searchFor(photo),
      nothing: (text) => this.showProblem({ text, wayOn: "nothing" }),
    });
    this.keyForm.addEventListener("submit", (event) => {
      event.preventDefault();
      this.takeKey();
    });
    addEventListener("online", () => this.view.dataset["state"] === "error" && this.again());
    this.preview.addEventListener("error", () => (this.preview.hidden = true));
  }

  /** Do the last thing again: search, or fetch the encoder. */
  again(): void {
    if (this.photo !== undefined) void this.searchFor(this.photo);
    else void this.begin();
  }

  /** Get the encoder ready; a failure is shown. */
  async begin(): Promise<void> {
    this.hideProblem();
    try {
      await this.student.ready();
    } catch (error) {
      if (this.photo === undefined) this.showProblem(told(error));
    }
  }

  private async searchFor(photo: Blob): Promise<void> {
    this.running.abort();
    this.running = new AbortController();
    const { signal } = this.running;
    this.show(photo);
    const slow = setTimeout(() => this.say("Still waiting for the service…"), SLOW_MS);
    try {
      const onSent = (): void => this.say("Searching the gallery…");
      const outcome = await this.searcher.search(photo, onSent, signal);
      if (!signal.aborted) this.finish(outcome, photo);
    } catch (error) {
      if (!signal.aborted) this.fail(error);
    } finally {
      clearTimeout(slow);
    }
  }

  private show(photo: Blob): void {
    this.hideProblem();
    this.enter("working");
    if (photo !== this.photo) {
      URL.revokeObjectURL(this.preview.src);
      this.preview.src = URL.createObjectURL(photo);
      this.preview.hidden = false;
    }
    this.photo = photo;
    hideReceipt();
    showSkeletons();
    this.say("Looking at the photograph…");
  }

  private finish(outcome: Outcome, photo: Blob): void {
    const [hits = []] = outcome.answer.results;
    this.enter("results");
    showHits(hits);
    showReceipt(outcome, photo.size);
    setText(this.note, `${hits.length} nearest in ${milliseconds(total(outcome))}`);
    const [best] = hits;
    const nearest = best ? ` The nearest is ${best.id}, ${best.score.toFixed(2)}.` : "";
    announce(`${counted(hits.length, "result")}.${nearest}`);
  }

  private fail(error: unknown): void {
    this.enter("error");
    showNoHits();
    setText(this.note, "");
    this.showProblem(told(error));
  }

  private enter(state: State): void {
    this.view.dataset["state"] = state;
    this.results.ariaBusy = String(state === "working");
    byId("choose", HTMLButtonElement).textContent =
      state === "empty" ? "Choose a photograph" : "Choose another";
  }

  private say(text: string): void {
    setText(this.note, text);
    announce(text);
  }

  private showProblem({ text, wayOn }: Told): void {
    setText(byId("problem-text", HTMLParagraphElement), text);
    byId("problem", HTMLDivElement).hidden = false;
    announce("");
    const action = byId("problem-action", HTMLButtonElement);
    action.hidden = !(wayOn in WORDS);
    if (wayOn === "choose another" || wayOn === "try again") {
      action.textContent = WORDS[wayOn];
      action.onclick = () =>
        wayOn === "try again" ? this.again() : byId("file", HTMLInputElement).click();
    }
    this.keyForm.hidden = wayOn !== "give a key";
    if (wayOn === "give a key") byId("key-search-input", HTMLInputElement).focus();
  }

  private hideProblem(): void {
    byId("problem", HTMLDivElement).hidden = true;
    this.keyForm.hidden = true;
  }

  private takeKey(): void {
    const input = byId("key-search-input", HTMLInputElement);
    setKey(input.value.trim());
    input.value = "";
    this.again();
  }
}

function total({ answer, embedding, network_ms }: Outcome): number {
  return embedding.decode_ms + embedding.encode_ms + network_ms + answer.took_ms;
}

/** The results as cards, and the shapes that hold their places meanwhile. */

import type { Hit, JsonValue } from "lorgnette";
import { byId, el } from "../dom.js";
import { keyHeader } from "../service.js";
import { K } from "./searcher.js";

const MOST_FACTS = 3;
let shown: string[] = [];

/** Hold the places of as many results as were asked for. */
export function showSkeletons(): void {
  const facts = (): HTMLElement => el("div", { className: "facts" }, el("i"), el("i"));
  const card = (): HTMLElement =>
    el("li", { className: "hit skeleton", ariaHidden: "true" }, el("div", { className: "frame" }), facts());
  replace(Array.from({ length: K }, card));
}

/** Show results, best first. */
export function showHits(hits: readonly Hit[]): void {
  const nothing = el("li", { className: "nothing" }, "Nothing in this gallery is near your photograph.");
  replace(hits.length ? hits.map(card) : [nothing]);
}

/** Hold the place while there are none to show. */
export function showNoHits(): void {
  replace([el("li", { className: "nothing" }, "Results will appear here.")]);
}

function replace(cards: readonly HTMLElement[]): void {
  shown.forEach((url) => URL.revokeObjectURL(url));
  shown = [];
  byId("hits", HTMLOListElement).replaceChildren(...cards);
}

function card(hit: Hit, index: number): HTMLElement {
  const rank = el("span", { className: "rank" }, String(index + 1));
  const frame = el("div", { className: "frame" });
  frame.append(rank);
  void pictureOf(hit.id).then((picture) => frame.prepend(picture));
  const score = el("data", { value: String(hit.score), title: "cosine similarity" }, hit.score.toFixed(3));
  const [last = "", folder] = [hit.id.split("/").at(-1), hit.id.split("/").slice(0, -1).join("/")];
  const near = el("i");
  near.style.width = `${Math.round(Math.max(0, Math.min(1, hit.score)) * 100)}%`;
  const facts = el(
    "div",
    { className: "facts" },
    el("p", { className: "name" }, el("b", { title: hit.id }, last), score),
    folder !== "" && el("p", { className: "folder" }, folder),
    el("div", { className: "near", ariaHidden: "true" }, near),
    metadata(hit),
  );
  return el("li", { className: "hit" }, frame, facts);
}

function metadata(hit: Hit): HTMLElement | false {
  // The id names the file already.
  const facts = Object.entries(hit.metadata).filter(([, value]) => value !== hit.id && value !== null);
  const rows = facts.slice(0, MOST_FACTS).map(([name, value]) => {
    const text = asText(value);
    return el("div", {}, el("dt", {}, name), el("dd", { title: text }, text));
  });
  return rows.length > 0 && el("dl", { className: "meta" }, ...rows);
}

function asText(value: JsonValue): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The item's picture, or the words that there is none. */
async function pictureOf(id: string): Promise<HTMLElement> {
  try {
    const url = await thumbnail(id);
    shown.push(url);
    return el("img", { src: url, alt: `Picture of ${id}` });
  } catch {
    return el("p", {}, "No picture");
  }
}

async function thumbnail(id: string): Promise<string> {
  const path = id.split("/").map(encodeURIComponent).join("/");
  const answer = await fetch(`/items/${path}/thumbnail`, { headers: keyHeader() });
  if (!answer.ok) throw new Error(String(answer.status));
  return URL.createObjectURL(await answer.blob());
}

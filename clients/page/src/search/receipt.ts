/** The receipt of a search: where the time went, and what left the device. */

import { byId } from "../dom.js";
import { bytes, milliseconds } from "../units.js";
import type { Outcome } from "./searcher.js";

/** Show the receipt of a photograph of so many bytes. */
export function showReceipt({ answer, embedding, network_ms, sent_bytes }: Outcome, size: number): void {
  const parts = [
    ["t-decode", embedding.decode_ms],
    ["t-encode", embedding.encode_ms],
    ["t-network", network_ms],
    ["t-search", answer.took_ms],
  ] as const;
  const bars = byId("split", HTMLDivElement).querySelectorAll("i");
  parts.forEach(([id, ms], index) => {
    byId(id, HTMLElement).textContent = milliseconds(ms);
    const bar = bars[index];
    if (bar) bar.style.flexGrow = String(Math.max(ms, 0.01));
  });
  byId("sent", HTMLElement).textContent = bytes(sent_bytes);
  byId("stayed", HTMLSpanElement).textContent =
    `of numbers. The photograph's ${bytes(size)} stayed here.`;
  byId("receipt", HTMLDivElement).hidden = false;
}

/** Show none. */
export function hideReceipt(): void {
  byId("receipt", HTMLDivElement).hidden = true;
}

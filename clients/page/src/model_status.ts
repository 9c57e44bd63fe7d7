/** How far the encoder is, in words and as a bar. */

import { announce, byId, setText } from "./dom.js";
import type { Progress } from "./student.js";
import { bytes, counted } from "./units.js";

/** Show one step. */
export function showProgress(progress: Progress): void {
  const text = words(progress);
  const isOver = progress.state === "ready" || progress.state === "failed";
  byId("model", HTMLDivElement).dataset["state"] = progress.state;
  setText(byId("model-text", HTMLParagraphElement), text.long);
  setText(byId("chip-text", HTMLElement), text.short);
  byId("chip", HTMLParagraphElement).dataset["state"] = isOver ? progress.state : "busy";
  const bar = byId("model-bar", HTMLProgressElement);
  if (progress.state === "fetching") bar.value = progress.have / progress.total;
  else bar.removeAttribute("value");
  // Not each piece: a screen reader would never stop.
  if (progress.state === "ready") announce("The encoder is ready.");
}

function words(progress: Progress): { readonly long: string; readonly short: string } {
  switch (progress.state) {
    case "looking":
      return { long: "Looking for the encoder", short: "Starting" };
    case "fetching": {
      const { have, total } = progress;
      const long = `Fetching the encoder, ${bytes(have)} of ${bytes(total)}: once, then it is kept`;
      return { long, short: `Fetching, ${Math.floor((100 * have) / total)} %` };
    }
    case "starting":
      return { long: "Starting the encoder", short: "Starting" };
    case "ready": {
      const { bundle, variant, threads } = progress.encoder;
      const facts = `${bundle.manifest.name}, ${variant}, ${counted(threads, "thread")}`;
      return { long: `Ready: ${facts}`, short: `Ready · ${counted(threads, "thread")}` };
    }
    case "failed":
      return { long: "There is no encoder on this device yet", short: "No encoder" };
  }
}

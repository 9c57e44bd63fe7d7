/** Where a photograph comes from: picked, taken, dropped or pasted. */

import { byId } from "../dom.js";
import { photographFromCamera } from "./camera.js";

/** What becomes of what was given. */
export interface Receiver {
  photograph(photo: Blob): void;
  /** Something was given that holds no photograph. */
  nothing(text: string): void;
}

/** Listen to all of them. */
export function listenForPhotographs(receiver: Receiver): void {
  const file = byId("file", HTMLInputElement);
  const capture = byId("capture", HTMLInputElement);
  for (const input of [file, capture]) {
    input.addEventListener("change", () => {
      const [picked] = input.files ?? [];
      // Cleared, so that the same file can be picked again.
      input.value = "";
      if (picked !== undefined) receiver.photograph(picked);
    });
  }
  byId("choose", HTMLButtonElement).addEventListener("click", () => file.click());
  byId("take", HTMLButtonElement).addEventListener("click", () => void take(capture, receiver));
  byId("drop", HTMLDivElement).addEventListener("click", () => file.click());
  listenForDrops(receiver);
  document.addEventListener("paste", (event) => {
    if (event.target instanceof HTMLInputElement) return;
    give(event.clipboardData, receiver, "The clipboard holds no picture: copy one first.");
  });
}

/** A phone opens its own camera; elsewhere the page shows the picture of one. */
async function take(capture: HTMLInputElement, receiver: Receiver): Promise<void> {
  if (matchMedia("(pointer: coarse)").matches) return capture.click();
  try {
    const photo = await photographFromCamera();
    if (photo !== undefined) receiver.photograph(photo);
  } catch {
    receiver.nothing("No camera can be used here: choose a photograph instead.");
  }
}

function listenForDrops(receiver: Receiver): void {
  const zone = byId("drop", HTMLDivElement);
  // Anywhere on the page: a near miss must not make the browser leave it and open the file.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.dataset["over"] = "";
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) delete zone.dataset["over"];
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    delete zone.dataset["over"];
    give(event.dataTransfer, receiver, "That was no file: save the picture first, then drop it here.");
  });
}

function give(data: DataTransfer | null, receiver: Receiver, otherwise: string): void {
  const [photo] = data?.files ?? [];
  if (photo === undefined) receiver.nothing(otherwise);
  else receiver.photograph(photo);
}

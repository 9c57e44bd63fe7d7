/** A camera in a dialog, for devices whose file picker has none. */

import { byId } from "../dom.js";

/** A photograph, or undefined when the visitor thought better of it. Throws without a camera. */
export async function photographFromCamera(): Promise<Blob | undefined> {
  const stream = await navigator.mediaDevices.getUserMedia({
    video: { facingMode: "environment", width: { ideal: 1600 } },
  });
  const dialog = byId("camera", HTMLDialogElement);
  const video = byId("camera-video", HTMLVideoElement);
  video.srcObject = stream;
  dialog.returnValue = "";
  dialog.showModal();
  try {
    return (await isTaken(dialog)) ? await still(video) : undefined;
  } finally {
    video.srcObject = null;
    stream.getTracks().forEach((track) => track.stop());
  }
}

function isTaken(dialog: HTMLDialogElement): Promise<boolean> {
  byId("camera-shoot", HTMLButtonElement).onclick = () => dialog.close("taken");
  byId("camera-close", HTMLButtonElement).onclick = () => dialog.close("");
  return new Promise((resolve) => {
    const closed = (): void => resolve(dialog.returnValue === "taken");
    dialog.addEventListener("close", closed, { once: true });
  });
}

function still(video: HTMLVideoElement): Promise<Blob> {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d")?.drawImage(video, 0, 0);
  return new Promise((resolve, reject) => {
    const made = (blob: Blob | null): void =>
      blob === null ? reject(new Error("the camera gave no picture")) : resolve(blob);
    canvas.toBlob(made, "image/jpeg", 0.95);
  });
}

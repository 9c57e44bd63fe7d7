/** What runs in the browser: the package, and the few things that the tests ask of it. */

import { Client, LorgnetteError, SpaceMismatch, type Pixels } from "lorgnette";
import { openStore, readImage, WebEncoder, type RuntimeOptions } from "lorgnette/web";
import { decodePlainPng } from "../../dist/png.js";

/** The bundler gave the worker this address. */
const createWorker = (): Worker => new Worker("/app/worker.js", { type: "module" });

const runtime: RuntimeOptions = { runtimePath: "/ort/", createWorker };

/** An error as a test reads it. */
async function told<T>(work: () => Promise<T>): Promise<T | { code: string; message: string }> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof LorgnetteError) return { code: error.code, message: error.message };
    throw error;
  }
}

async function blobOf(path: string): Promise<Blob> {
  return (await fetch(path)).blob();
}

async function pixelsOf(path: string): Promise<Pixels> {
  return decodePlainPng(new Uint8Array(await (await blobOf(path)).arrayBuffer()));
}

const lorgnette = {
  Client, SpaceMismatch, openStore, readImage, WebEncoder, createWorker, runtime, told, blobOf,
  pixelsOf,
};

/** What `page.evaluate` finds on the page. */
export type App = typeof lorgnette;

Object.assign(globalThis, { lorgnette });

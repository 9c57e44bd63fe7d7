/**
 * The worker: starts by itself when it is loaded.
 *
 * Bundlers that do not follow `new URL("./worker.js", import.meta.url)` are given this file as an
 * entry point of their own, and `RuntimeOptions.createWorker` the address it then has.
 */

import { packError, type Question, type Reply, type Tasks } from "./messages.js";
import { WebSession } from "./session.js";

let session: WebSession | undefined;

const tasks: Tasks = {
  open: async (model, settings) => {
    session = await WebSession.open(model, settings);
  },
  embed: (image) => opened().embed(image),
  run: (pixels) => opened().run(pixels),
};

function opened(): WebSession {
  if (session === undefined) throw new Error("the worker was asked before it was given a model");
  return session;
}

async function answer({ id, task, given }: Question): Promise<Reply> {
  try {
    const work = tasks[task] as (...given: readonly unknown[]) => Promise<unknown>;
    return { id, result: await work(...given) };
  } catch (error) {
    return { id, error: packError(error) };
  }
}

const post: (reply: Reply) => void = (reply) => globalThis.postMessage(reply);

globalThis.addEventListener("message", (event: MessageEvent<Question>) => {
  void answer(event.data).then(post);
});
post({ id: 0, result: undefined });

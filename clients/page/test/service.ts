/** A real service: the shipped pair, the demo's photographs, its own copy of the index. */

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { demoData, DIST, LORGNETTE, ROOT } from "./places.js";

const READY_MS = 60_000;

/** A running service, and how it ends. */
export interface Service {
  readonly port: number;
  stop(): Promise<void>;
}

/** The folder of the sample gallery, made once: photographs, queries, index. */
export function sample(): string {
  const data = demoData();
  const found = (): string | undefined =>
    existsSync(data) ? readdirSync(data).find((name) => name.startsWith("sample")) : undefined;
  const isWhole = found() !== undefined && existsSync(join(data, found() as string, "contact-sheet.png"));
  if (!isWhole) {
    const made = spawnSync(LORGNETTE, ["demo", "--check", "--data", data], { cwd: ROOT, encoding: "utf8" });
    if (made.status !== 0) throw new Error(`lorgnette demo: ${made.stdout}${made.stderr}${made.error ?? ""}`);
  }
  return join(data, found() as string);
}

/** Start a service on a copy of the index. environment: further `LORGNETTE_*` settings. */
export async function startService(environment: NodeJS.ProcessEnv = {}): Promise<Service> {
  const folder = mkdtempSync(join(tmpdir(), "lorgnette-page-"));
  const data = join(folder, "index");
  cpSync(join(sample(), "index"), data, { recursive: true });
  const port = await freePort();
  const child = spawn(
    LORGNETTE,
    ["serve", "--data", data, "--page", DIST, "--port", String(port)],
    { cwd: ROOT, env: { ...process.env, ...environment }, stdio: ["ignore", "pipe", "pipe"] },
  );
  let said = "";
  child.stdout.on("data", (piece) => (said = (said + piece).slice(-4000)));
  child.stderr.on("data", (piece) => (said = (said + piece).slice(-4000)));
  await untilReady(port, child, () => said);
  return { port, stop: () => stop(child, folder) };
}

async function untilReady(port: number, child: ChildProcess, said: () => string): Promise<void> {
  const deadline = Date.now() + READY_MS;
  while (Date.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`the service ended: ${said()}`);
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
    if (answer?.ok) return;
    await pause(50);
  }
  throw new Error(`the service was not ready in time: ${said()}`);
}

async function stop(child: ChildProcess, folder: string): Promise<void> {
  const ended = new Promise((resolve) => child.once("exit", resolve));
  if (child.exitCode === null) {
    child.kill("SIGTERM");
    await ended;
  }
  rmSync(folder, { recursive: true, force: true });
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

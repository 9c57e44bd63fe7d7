/** One service, one proxy and one browser for all tests of a file; a fresh context for each. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium, type Browser, type BrowserContext, type BrowserContextOptions, type Page } from "playwright-core";
import { CHROMIUM } from "./places.js";
import { Proxy } from "./proxy.js";
import { sample, startService, type Service } from "./service.js";

const ARGUMENTS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream",
  "--use-fake-ui-for-media-stream",
];
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Longest any one step may take on a busy machine. */
const PATIENCE_MS = 60_000;

/** Which photograph of the sample gallery the query is a view of. */
export interface Query {
  readonly path: string;
  readonly folder: string;
}

/** The demo's first query: a view of this folder's photograph that the gallery does not hold. */
export function query(): Query {
  return { path: join(sample(), "queries/query-1.jpg"), folder: "chelsea" };
}

/** What the tests of one file share. */
export class World {
  private readonly contexts: BrowserContext[] = [];
  private shared: Promise<Page> | undefined;
  /** Every address that any page asked for. */
  readonly asked: string[] = [];
  /** What any page complained about: errors of scripts, refusals by the content policy. */
  readonly complaints: string[] = [];

  private constructor(
    readonly service: Service,
    readonly proxy: Proxy,
    private readonly browser: Browser,
  ) {}

  static async open(environment: NodeJS.ProcessEnv = {}): Promise<World> {
    // The service last: a process of its own, which nobody would end if the browser did not start.
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS });
    const service = await startService(environment);
    const proxy = await Proxy.open(service.port);
    return new World(service, proxy, browser);
  }

  /** A browser that has never been here. */
  async context(options: BrowserContextOptions = {}): Promise<BrowserContext> {
    const context = await this.browser.newContext({
      baseURL: this.proxy.origin,
      viewport: { width: 1280, height: 860 },
      serviceWorkers: "block",
      ...options,
    });
    context.setDefaultTimeout(PATIENCE_MS);
    this.contexts.push(context);
    context.on("request", (request) => this.asked.push(request.url()));
    context.on("weberror", (error) => this.complaints.push(String(error.error())));
    context.on("console", (message) => {
      if (/Content Security Policy|Refused to/.test(message.text())) this.complaints.push(message.text());
    });
    return context;
  }

  /** One page for all tests that need none of their own, for an encoder takes seconds to start. */
  async page(): Promise<Page> {
    const page = await this.startingPage();
    await encoderIs(page, "ready");
    if (!page.url().endsWith("#search")) await page.goto("/#search");
    return page;
  }

  /** The same, at its first use still without an encoder. */
  startingPage(): Promise<Page> {
    this.shared ??= this.visit({ permissions: ["camera"], reducedMotion: "reduce" }).then((page) => {
      this.contexts.splice(this.contexts.indexOf(page.context()), 1);
      return page;
    });
    return this.shared;
  }

  /** The page, opened by a visitor who has never been here. */
  async visit(options: BrowserContextOptions = {}): Promise<Page> {
    const page = await (await this.context(options)).newPage();
    await page.goto("/#search");
    return page;
  }

  /** The same, with its encoder ready. */
  async readyPage(options: BrowserContextOptions = {}): Promise<Page> {
    const page = await this.visit(options);
    await encoderIs(page, "ready");
    return page;
  }

  /** Between two tests. */
  async tidy(): Promise<void> {
    await Promise.all(this.contexts.splice(0).map((context) => context.close()));
    this.proxy.reset();
  }

  async close(): Promise<void> {
    await this.browser.close();
    await this.proxy.close();
    await this.service.stop();
  }
}

let opened: Promise<World> | undefined;

/** The world of the tests that need no keys. */
export function theWorld(): Promise<World> {
  return (opened ??= World.open());
}

/** Wait for the encoder to be `ready` or `failed`. */
export async function encoderIs(page: Page, state: "ready" | "failed"): Promise<void> {
  await page.waitForSelector(`#chip[data-state=${state}]`);
}

/** Wait for the search view to be in a state. */
export async function viewIs(page: Page, state: "empty" | "working" | "results" | "error"): Promise<void> {
  await page.waitForSelector(`#view-search[data-state=${state}]`);
}

/** Wait for the sentence of a problem, and give it. */
export async function complaint(page: Page): Promise<string> {
  await page.waitForSelector("#problem:visible");
  return (await page.textContent("#problem-text")) ?? "";
}

/** Pick the query and wait for its results; the ids, best first. */
export async function searchFor(page: Page, path: string): Promise<string[]> {
  await forgetResults(page);
  await page.setInputFiles("#file", path);
  return results(page);
}

/** Take away what is shown, so that what is waited for is new. */
export async function forgetResults(page: Page): Promise<void> {
  await page.evaluate(() => document.getElementById("hits")?.replaceChildren());
}

/** Choose a file in the picker that something opens. */
export async function choose(page: Page, path: string, opening: () => Promise<void>): Promise<void> {
  const chooser = page.waitForEvent("filechooser");
  // A key goes another way through the browser than the wish to catch the picker, and overtakes it.
  await page.evaluate(() => undefined);
  await opening();
  await (await chooser).setFiles(path);
}

/** Wait for the results; their ids, best first. */
export async function results(page: Page): Promise<string[]> {
  await page.waitForSelector("#view-search[data-state=results] .hit:not(.skeleton)");
  return page.$$eval(".hit b", (names) => names.map((name) => name.getAttribute("title") ?? ""));
}

/** The folder of the nearest: which photograph was found. */
export function firstFolder(ids: readonly string[]): string | undefined {
  return ids[0]?.split("/")[0];
}

/** The serious and critical accessibility faults of the page as it is now. */
export async function faults(page: Page): Promise<readonly string[]> {
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } };
    interface Violation {
      readonly id: string;
      readonly impact: string;
      readonly nodes: readonly { readonly html: string }[];
    }
    const { violations } = await axe.run();
    return violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  });
}

/** One Chromium and one front for a file of browser tests. */

import { after, before } from "node:test";
import type { BrowserContext, Page } from "playwright-core";
import type { ModelStore } from "lorgnette";
import type { WebEncoder } from "lorgnette/web";
import { fromBase64, fromBytes } from "../../dist/vectors.js";
import type { App } from "./app.js";
import { backend } from "./backend.js";
import { bundled, noBrowser, openBrowser, openPage, pages } from "./chromium.js";
import type { Expected } from "./expected.js";
import { Front, type Answering } from "./front.js";

declare global {
  /** What the page's own script put there: see `app.ts`. */
  const lorgnette: App;
  /** What `Browsing.encoding` put there. */
  const encoder: WebEncoder;
  const store: ModelStore<WebEncoder>;
}

/** A name that is this machine, and that no browser takes for a secure place. */
export const LAN = "lan.example";

/** What every file of browser tests stands on. */
export class Browsing {
  expected!: Expected;
  front!: Front;
  context!: BrowserContext;
  private app!: ReadonlyMap<string, Buffer>;
  private end!: () => Promise<void>;

  /** Before the file's first test, and after its last. then: more to do before. */
  static forThisFile(then?: (browsing: Browsing) => Promise<void>): Browsing {
    const browsing = new Browsing();
    before(async () => {
      if (noBrowser) return;
      await browsing.start();
      await then?.(browsing);
    });
    after(() => (noBrowser ? undefined : browsing.stop()));
    return browsing;
  }

  /** The Python side's files, then the service. */
  readonly honest: Answering = async (seen, pass) => {
    const path = seen.path.replace(/\?.*/, "");
    if (!path.startsWith("/files/")) return pass();
    const body = Buffer.from(await backend().file(...path.split("/").slice(2)));
    return { status: 200, body, headers: { "content-length": String(body.length) } };
  };

  /** Answer so from now on, the pages' own files apart. */
  serve(rest: Answering): void {
    this.front.answering = pages(this.app, rest);
  }

  /** A page that has started; `/isolated` may run threads, `/plain` may not. */
  open(path: string, origin = this.front.url): Promise<Page> {
    return openPage(this.context, origin + path);
  }

  /** A page with `encoder` and `store`, of the student that the service has. */
  async encoding(path: string): Promise<Page> {
    return this.encodingOn(await this.open(path));
  }

  async encodingOn(page: Page): Promise<Page> {
    await page.evaluate(async () => {
      const client = new lorgnette.Client("/");
      const kept = await lorgnette.openStore({ ...lorgnette.runtime, client });
      Object.assign(globalThis, { store: kept, encoder: await kept.latest() });
    });
    return page;
  }

  /** Work with the service of the tiny pair, whose model is a few kilobytes. */
  async withTiny<T>(work: () => Promise<T>): Promise<T> {
    this.front.upstream = backend().urls.tiny;
    try {
      return await work();
    } finally {
      this.front.upstream = backend().urls.shipped;
    }
  }

  /** The page's vector of one of the photograph files. */
  embedded(page: Page, name: string): Promise<number[]> {
    return page.evaluate(async (path) => {
      return [...(await encoder.encode(await lorgnette.blobOf(path)))];
    }, `/files/photographs/${name}`);
  }

  private async start(): Promise<void> {
    this.expected = await backend().json<Expected>("vectors.json");
    this.front = await Front.open(backend().urls.shipped);
    this.app = await bundled();
    this.serve(this.honest);
    const rules = `--host-resolver-rules=MAP ${LAN} 127.0.0.1`;
    ({ context: this.context, close: this.end } = await openBrowser([rules]));
  }

  private async stop(): Promise<void> {
    await this.end();
    await this.front.close();
  }
}

/** A row as the Python side writes it. */
export function row(text: string): Float32Array {
  const raw = fromBase64(text);
  return fromBytes(raw, "f32", raw.length / 4)[0]!;
}

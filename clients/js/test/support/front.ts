/** A real HTTP server before a real service: passes requests on, notes them, and spoils some. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A request as it came. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
}

/** An answer on its way back. */
export interface Passing {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

/** What becomes of a request: an answer, or what the service says, or the line is cut. */
export type Answering = (
  seen: Seen,
  pass: () => Promise<Passing>,
) => Promise<
  Passing | "cut" | "silence" | { readonly cutAfter: number; readonly of: Passing } | { readonly drip: number }
>;

/** A server in front of another. */
export class Front {
  readonly seen: Seen[] = [];
  answering: Answering = (_seen, pass) => pass();
  private server: Server;

  private constructor(public upstream: string) {
    this.server = createServer((request, response) => {
      void this.serve(request, response).catch(() => response.destroy());
    });
  }

  /** Listen on a port of its own. */
  static async open(upstream: string): Promise<Front> {
    const front = new Front(upstream);
    await new Promise<void>((resolve) => front.server.listen(0, "127.0.0.1", resolve));
    return front;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Paths asked for since the last `forget`, in order. */
  get paths(): readonly string[] {
    return this.seen.map(({ method, path }) => `${method} ${path.replace(/\?.*/, "")}`);
  }

  /** Answer honestly again, and forget what was seen. */
  reset(): void {
    this.answering = (_seen, pass) => pass();
    this.seen.length = 0;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = Buffer.concat(await request.toArray());
    const { method = "GET", url: path = "/" } = request;
    const headers = request.headers as Record<string, string>;
    const seen = { method, path, headers, body };
    this.seen.push(seen);
    const answer = await this.answering(seen, () => passOn(this.upstream, seen));
    if (answer === "silence") return;
    if (answer === "cut") {
      response.destroy();
    } else if ("drip" in answer) {
      // A body that comes for ever, a little at a time.
      response.writeHead(answer.drip);
      const drops = setInterval(() => response.write("drip "), 20);
      response.once("close", () => clearInterval(drops));
    } else if ("cutAfter" in answer) {
      response.writeHead(answer.of.status, answer.of.headers);
      response.write(answer.of.body.subarray(0, answer.cutAfter), () => response.destroy());
    } else {
      response.writeHead(answer.status, answer.headers).end(answer.body);
    }
  }
}

/** An answer of our own. */
export function answer(
  status: number,
  body: unknown = "",
  headers: Record<string, string> = {},
): Passing {
  const raw = Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
  return { status, headers: { "content-length": String(raw.length), ...headers }, body: raw };
}

/** A problem as the service writes them. */
export function problem(status: number, code: string, more: object = {}): Passing {
  const type = `urn:lorgnette:problem:${code}`;
  return answer(status, { type, title: code, status, detail: `${code} it is`, ...more }, {
    "content-type": "application/problem+json",
    "retry-after": "0",
  });
}

async function passOn(upstream: string, seen: Seen): Promise<Passing> {
  const { host: _host, connection: _connection, "content-length": _length, ...headers } =
    seen.headers;
  const response = await fetch(upstream + seen.path, {
    method: seen.method,
    headers: headers as Record<string, string>,
    redirect: "manual",
    ...(seen.body.length ? { body: new Uint8Array(seen.body) } : {}),
  });
  const body = Buffer.from(await response.arrayBuffer());
  const back = Object.fromEntries(response.headers);
  delete back["content-encoding"];
  delete back["transfer-encoding"];
  if (seen.method !== "HEAD") back["content-length"] = String(body.length);
  return { status: response.status, headers: back, body };
}

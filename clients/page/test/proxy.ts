/** Between the browser and the service: writes down what passes, and does what bad networks do. */

import { createServer, request as ask, type IncomingMessage, type Server, type ServerResponse } from "node:http";

/** One request as the wire saw it. */
export interface Passed {
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly sent: Buffer;
  status: number;
}

/** An answer as it came from the service. */
export interface Whole {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

/** Takes part in an answer: changes it, or answers by itself and gives undefined. */
export type Fault = (whole: Whole, response: ServerResponse, passed: Passed) => Whole | undefined | Promise<Whole | undefined>;

interface Rule {
  readonly path: RegExp;
  readonly fault: Fault;
  left: number;
}

/** A proxy in front of one service. */
export class Proxy {
  readonly log: Passed[] = [];
  /** True: every connection is dropped. */
  isDown = false;
  private rules: Rule[] = [];

  private constructor(
    private readonly server: Server,
    readonly origin: string,
  ) {}

  static async open(port: number): Promise<Proxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port: own } = server.address() as { port: number };
    const proxy = new Proxy(server, `http://127.0.0.1:${own}`);
    server.on("request", (request, response) => {
      proxy.pass(port, request, response).catch(() => response.destroy());
    });
    return proxy;
  }

  /** Do this to the next answers under a path; `times` of them. */
  when(path: RegExp, fault: Fault, times = Infinity): void {
    this.rules.push({ path, fault, left: times });
  }

  /** Be an honest network again, and forget what passed. */
  reset(): void {
    this.rules = [];
    this.isDown = false;
    this.log.length = 0;
  }

  /** What passed under a path. */
  passed(path: RegExp): readonly Passed[] {
    return this.log.filter((entry) => path.test(entry.path));
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async pass(port: number, request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.isDown) return void response.destroy();
    const { method = "GET", url = "/", headers } = request;
    const sent = await bodyOf(request);
    const path = new URL(url, this.origin).pathname;
    const entry: Passed = { method, path, range: headers.range, sent, status: 0 };
    this.log.push(entry);
    if (/\/events$/.test(path)) return stream(port, request, response, entry);
    const whole = await forward(port, request, sent);
    const rule = this.rules.find((known) => known.left > 0 && known.path.test(path));
    if (rule !== undefined) rule.left -= 1;
    const changed = rule ? await rule.fault(whole, response, entry) : whole;
    if (changed === undefined) return;
    entry.status = changed.status;
    response.writeHead(changed.status, withLength(changed));
    response.end(method === "HEAD" ? undefined : changed.body);
  }
}

function withLength({ headers, body, status }: Whole): Record<string, string | string[]> {
  const kept = Object.entries(headers).filter(([name, value]) => value !== undefined && !/^(content-length|transfer-encoding|connection|keep-alive)$/.test(name));
  const length = status === 304 || status === 204 ? {} : { "content-length": String(body.length) };
  return { ...(Object.fromEntries(kept) as Record<string, string | string[]>), ...length };
}

function forward(port: number, request: IncomingMessage, sent: Buffer): Promise<Whole> {
  const { method, url: path, headers } = request;
  return new Promise((resolve, reject) => {
    const asked = ask({ host: "127.0.0.1", port, method, path, headers }, (answer) => {
      bodyOf(answer).then((body) => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body }), reject);
    });
    asked.on("error", reject);
    asked.end(sent);
  });
}

function stream(port: number, request: IncomingMessage, response: ServerResponse, entry: Passed): void {
  const { method, url: path, headers } = request;
  const asked = ask({ host: "127.0.0.1", port, method, path, headers }, (answer) => {
    entry.status = answer.statusCode ?? 0;
    response.writeHead(entry.status, answer.headers);
    answer.pipe(response);
  });
  asked.on("error", () => response.destroy());
  response.on("close", () => asked.destroy());
  asked.end();
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of message) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

/** Cut the line after so many bytes of an answer. */
export function cutAfter(count: number): Fault {
  // Ended, not destroyed: a reset would take back bytes that are on their way.
  return begun(count, (response) => response.socket?.end());
}

/** Send so many bytes of an answer, then nothing more. */
export function stallAfter(count: number): Fault {
  return begun(count, () => undefined);
}

function begun(count: number, then: (response: ServerResponse) => void): Fault {
  return async ({ status, headers, body }, response, entry) => {
    entry.status = status;
    response.writeHead(status, withLength({ status, headers, body }));
    response.write(body.subarray(0, count), () => setImmediate(() => then(response)));
    return undefined;
  };
}

/** Another answer altogether, as the service words its problems. */
export function problem(status: number, code: string, detail: string, headers = {}): Fault {
  const body = { type: `urn:lorgnette:problem:${code}`, title: code, status, detail, instance: null };
  return () => ({
    status,
    headers: { "content-type": "application/problem+json", ...headers },
    body: Buffer.from(JSON.stringify(body)),
  });
}

/** The same JSON with changes. */
export function edited(change: (document: never) => void): Fault {
  return ({ status, headers, body }) => {
    if (status !== 200) return { status, headers, body };
    const document = JSON.parse(body.toString()) as never;
    change(document);
    return { status, headers, body: Buffer.from(JSON.stringify(document)) };
  };
}

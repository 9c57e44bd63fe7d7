import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import {
  Client, Conflict, InvalidConfiguration, ServerFault, TimedOut, TooManyRequests, Unavailable,
  Unreachable, type Exchange, type SpaceInfo,
} from "lorgnette";
import { backend } from "./support/backend.js";
import { answer, Front, problem } from "./support/front.js";

const { urls } = backend();
let front: Front;
let live: SpaceInfo;

before(async () => {
  front = await Front.open(urls.tiny);
  [live] = (await new Client(urls.tiny).spaces()) as [SpaceInfo];
});
afterEach(() => front.reset());
after(() => front.close());

test("a busy server is asked again, after the pause it asks for", async () => {
  for (const status of [408, 429, 500, 502, 503, 504]) {
    front.reset();
    front.answering = async (_seen, pass) =>
      front.seen.length < 3 ? answer(status, "", { "retry-after": "0" }) : pass();
    assert.equal((await new Client(front.url).spaces()).length, 1);
    assert.equal(front.seen.length, 3);
  }
});

test("after two retries the answer is what it is", async () => {
  front.answering = async () => problem(429, "too-many-requests");
  await assert.rejects(new Client(front.url).spaces(), TooManyRequests);
  assert.equal(front.seen.length, 3);
  front.reset();
  front.answering = async () => problem(503, "unavailable");
  await assert.rejects(new Client(front.url, { maxRetries: 0 }).spaces(), Unavailable);
  assert.equal(front.seen.length, 1);
});

test("a conflict is not retried, nor is a reindex that may have begun", async () => {
  front.answering = async () => problem(409, "conflict");
  await assert.rejects(new Client(front.url).reindex(), Conflict);
  front.answering = async () => "cut";
  await assert.rejects(new Client(front.url).reindex(), Unreachable);
  front.answering = async () => problem(503, "unavailable");
  await assert.rejects(new Client(front.url).reindex({ factory: "Flat" }), Unavailable);
  assert.equal(front.seen.length, 3);
  assert.deepEqual(JSON.parse(front.seen[2]!.body.toString()), { factory: "Flat" });
});

test("a line that is cut is tried again", async () => {
  front.answering = async (_seen, pass) => {
    if (front.seen.length === 1) return "cut";
    return front.seen.length === 2 ? { cutAfter: 10, of: await pass() } : pass();
  };
  assert.equal((await new Client(front.url).spaces()).length, 1);
  assert.equal(front.seen.length, 3);
});

test("nobody there is Unreachable, silence is TimedOut", async () => {
  const gone = await Front.open(urls.tiny);
  const nobody = new Client(gone.url, { maxRetries: 0 });
  await gone.close();
  await assert.rejects(nobody.spaces(), (error) => {
    assert.ok(error instanceof Unreachable && !(error instanceof TimedOut));
    assert.match(error.message, /127\.0\.0\.1:.*ECONNREFUSED/);
    return true;
  });
  front.answering = async () => "silence";
  const impatient = new Client(front.url, { maxRetries: 0, timeoutMs: 50 });
  await assert.rejects(impatient.spaces(), TimedOut);
  await assert.rejects(new Client(front.url, { maxRetries: 0 }).spaces({ timeoutMs: 50 }), TimedOut);
});

test("an aborted call rejects with the signal's reason, in a pause too", async () => {
  const reason = new Error("changed my mind");
  front.answering = async () => "silence";
  const controller = new AbortController();
  const call = new Client(front.url).spaces({ signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(call, reason);
  front.answering = async () => {
    queueMicrotask(() => later.abort(reason));
    return answer(503, "", { "retry-after": "30" });
  };
  const later = new AbortController();
  await assert.rejects(new Client(front.url).spaces({ signal: later.signal }), reason);
});

test("something else than a service is named", async () => {
  const client = new Client(front.url, { maxRetries: 0 });
  front.answering = async () => answer(200, "<html>hello</html>");
  await assert.rejects(client.spaces(), (error) => {
    assert.ok(error instanceof ServerFault);
    assert.match(error.message, /is this the address of a lorgnette service\? It begins: '<html>/);
    return true;
  });
  front.answering = async () => answer(200, { spaces: [{ space: { id: "x" } }] });
  await assert.rejects(client.spaces(), /spaces\.0\.space\.dim: expected a whole number/);
  front.answering = async () => answer(302, "", { location: "https://elsewhere.example/" });
  await assert.rejects(client.spaces(), /redirects to https:\/\/elsewhere/);
  front.answering = async () => answer(418, "teapot");
  await assert.rejects(client.spaces(), /answered 418/);
});

test("a newer problem is still the class of its status", async () => {
  const client = new Client(front.url, { maxRetries: 0 });
  front.answering = async () => problem(409, "not-invented-yet");
  await assert.rejects(client.spaces(), Conflict);
});

test("the answer to another question is a fault of the server", async () => {
  const client = new Client(front.url);
  const row = new Float32Array(live.space.dim).fill(1);
  front.answering = async (seen, pass) => {
    if (seen.path !== "/search") return pass();
    return answer(200, { space: "y", generation: 1, results: [[]], took_ms: 1 });
  };
  await assert.rejects(client.searchVectors([row], live.space), ServerFault);
  await assert.rejects(client.searchVectors([row, row], live.space), ServerFault);
});

test("nothing indexed is Unavailable", async () => {
  front.answering = async () => answer(200, { spaces: [] });
  await assert.rejects(new Client(front.url).searchVectors([[1]], { id: "x", dim: 1 }), Unavailable);
});

test("addresses that are none are refused at once", () => {
  for (const url of ["localhost:8080", "", "ftp://x", "/"]) {
    assert.throws(() => new Client(url), InvalidConfiguration, url);
  }
  assert.throws(() => new Client(front.url, { timeoutMs: 0 }), InvalidConfiguration);
  assert.throws(() => new Client(front.url, { maxRetries: -1 }), InvalidConfiguration);
});

test("a server below a path is asked there", async () => {
  front.answering = async (seen, pass) =>
    seen.path === "/search-api/spaces" ? answer(200, { spaces: [] }) : pass();
  assert.deepEqual(await new Client(`${front.url}/search-api/`).spaces(), []);
});

test("the app's own fetch is used, and told of, exchange by exchange", async () => {
  const exchanges: Exchange[] = [];
  const asked: string[] = [];
  const client = new Client(front.url, {
    fetch: (input, init) => (asked.push(String(input)), fetch(input, init)),
    onExchange: (exchange) => exchanges.push(exchange),
  });
  await client.searchVectors([new Float32Array(live.space.dim).fill(1)], live.space);
  assert.deepEqual(asked, [`${front.url}/spaces`, `${front.url}/search`]);
  const [, search] = exchanges;
  assert.deepEqual([search!.method, search!.path, search!.status], ["POST", "/search", 200]);
  assert.equal(search!.sent_bytes, front.seen[1]!.body.length);
  assert.ok(search!.received_bytes > 0 && search!.took_ms > 0);
});

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import {
  Client, Forbidden, InvalidConfiguration, InvalidImage, InvalidRequest, NotFound, SpaceMismatch,
  Unauthorized,
} from "lorgnette";
import { NodeEncoder, openBundle } from "lorgnette/node";
import { decodePlainPng } from "../dist/png.js";
import { backend } from "./support/backend.js";
import { answer, Front, problem } from "./support/front.js";

const { urls, searchKey, adminKey, folder, file } = backend();
let front: Front;
let tiny: NodeEncoder;
let other: NodeEncoder;

/** Decoded as a golden image is: the gallery's pictures are plain PNGs. */
const open = async (name: string): Promise<NodeEncoder> =>
  NodeEncoder.open(await openBundle(`${folder}/${name}/query`), { decode: decodePlainPng });

before(async () => {
  front = await Front.open(urls.tiny);
  [tiny, other] = await Promise.all([open("tiny0"), open("tiny1")]);
});
afterEach(() => front.reset());
after(() => front.close());

test("a photograph finds its picture, and only its vector leaves", async () => {
  const client = new Client(front.url, { encoder: tiny });
  const photo = await file("gallery", "picture3.png");
  const hits = await client.search(photo, { k: 2 });
  assert.deepEqual([hits.length, hits[0]!.id], [2, "picture3.png"]);
  assert.ok(hits[0]!.score > hits[1]!.score);
  assert.deepEqual(front.paths, ["GET /spaces", "POST /search"]);
  const sent = JSON.parse(front.seen[1]!.body.toString()) as Record<string, unknown>;
  assert.ok(front.seen[1]!.body.length < 300);
  assert.deepEqual([sent["space"], sent["student"]], [tiny.space.id, "tiny-query@1"]);
});

test("a path is a photograph, too", async () => {
  const client = new Client(front.url, { encoder: tiny });
  const [hit] = await client.search(`${folder}/gallery/picture1.png`);
  assert.equal(hit?.id, "picture1.png");
});

test("the handshake is made once", async () => {
  const client = new Client(front.url, { encoder: tiny });
  const photo = await file("gallery", "picture0.png");
  await client.search(photo);
  await client.search(photo);
  assert.deepEqual(front.paths, ["GET /spaces", "POST /search", "POST /search"]);
});

test("the photograph itself can be sent, with every option in the query string", async () => {
  const client = new Client(front.url);
  const photo = await file("gallery", "picture2.png");
  const filter = { field: "file", in: ["picture2.png", "picture4.png"] } as const;
  const hits = await client.searchImage(photo, { k: 5, filter, fields: [] });
  assert.deepEqual([hits.length, hits[0]!.id, hits[0]!.metadata], [2, "picture2.png", {}]);
  assert.equal(front.seen[0]!.headers["content-type"], "image/png");
});

test("options of a search reach the service", async () => {
  const client = new Client(front.url, { encoder: tiny });
  const photo = await file("gallery", "picture2.png");
  const filter = { not: { field: "file", eq: "picture2.png" } } as const;
  const hits = await client.search(photo, { filter, fields: ["file"], k: 3, offset: 1 });
  assert.equal(hits.length, 3);
  assert.ok(hits.every(({ id, metadata }) => id !== "picture2.png" && metadata["file"] === id));
});

test("several rows are answered in order, from one generation", async () => {
  const client = new Client(front.url);
  const rows = await Promise.all(
    [4, 1].map(async (n) => tiny.encode(await file("gallery", `picture${n}.png`))),
  );
  const found = await client.searchVectors(rows, tiny.space, { k: 1 });
  assert.deepEqual(found.results.map(([hit]) => hit?.id), ["picture4.png", "picture1.png"]);
  assert.ok(found.took_ms >= 0 && found.generation >= 0);
});

test("spaces and models are typed", async () => {
  const client = new Client(front.url);
  const [space] = await client.spaces();
  const [student] = await client.models();
  assert.deepEqual([space!.space, space!.count], [tiny.space, 6]);
  assert.deepEqual([student!.name, student!.space], ["tiny-query", tiny.space.id]);
});

test("without an encoder, search says what to do", async () => {
  await assert.rejects(new Client(front.url).search(undefined as never), InvalidConfiguration);
});

test("what is no image is refused before anything is sent", async () => {
  const client = new Client(front.url);
  await assert.rejects(client.searchImage(new Uint8Array()), InvalidImage);
  await assert.rejects(client.searchImage(new TextEncoder().encode("text")), InvalidImage);
  assert.deepEqual(front.seen, []);
});

test("a search for no hits is refused here, other nonsense by the service", async () => {
  const client = new Client(front.url, { encoder: tiny });
  const photo = await file("gallery", "picture0.png");
  await assert.rejects(client.search(photo, { k: 0 }), InvalidRequest);
  await assert.rejects(client.search(photo, { group_size: 2 }), InvalidRequest);
});

test("a stranger's space is refused by the handshake, with the students that fit", async () => {
  const client = new Client(front.url, { encoder: other });
  const refusal = client.search(await file("gallery", "picture0.png"));
  await assert.rejects(refusal, (error) => {
    assert.ok(error instanceof SpaceMismatch);
    assert.deepEqual(error.expected, [tiny.space.id]);
    assert.deepEqual([error.found, error.students], [other.space.id, ["tiny-query"]]);
    return true;
  });
  assert.deepEqual(front.paths, ["GET /spaces"]);
});

test("a 409 is looked into once and never looped on", async () => {
  const client = new Client(front.url, { encoder: tiny });
  const photo = await file("gallery", "picture0.png");
  front.answering = async (seen, pass) => {
    // A client that loops is let out at last, or this test would never end.
    if (seen.path !== "/search" || front.seen.length > 20) return pass();
    return problem(409, "space-mismatch", { found: "x" });
  };
  await assert.rejects(client.search(photo), SpaceMismatch);
  assert.deepEqual(front.paths, ["GET /spaces", "POST /search", "GET /spaces", "POST /search"]);
});

test("when the teacher changed, one renewal gets the student that fits", async () => {
  let renewals = 0;
  const renew = async (): Promise<NodeEncoder> => ((renewals += 1), other);
  const client = new Client(front.url, { encoder: tiny, renew });
  const photo = await file("gallery", "picture5.png");
  await client.search(photo);
  front.upstream = urls.other;
  front.answering = async (seen, pass) => {
    Object.assign(seen.headers, { authorization: `Bearer ${searchKey}` });
    return pass();
  };
  const [hit] = await client.search(photo);
  assert.deepEqual([hit?.id, renewals, client.encoder], ["picture5.png", 1, other]);
  await client.search(photo);
  assert.equal(renewals, 1);
  front.upstream = urls.tiny;
});

test("a renewal that brings the same space is the end", async () => {
  let renewals = 0;
  const renew = async (): Promise<NodeEncoder> => ((renewals += 1), tiny);
  const client = new Client(front.url, { encoder: tiny, renew });
  front.answering = async () => answer(200, { spaces: [stranger()] });
  await assert.rejects(client.search(await file("gallery", "picture5.png")), SpaceMismatch);
  assert.equal(renewals, 1);
  assert.deepEqual(front.paths, ["GET /spaces"], "nothing is embedded or asked for in vain");
});

function stranger(): object {
  return { space: { id: "x-0123456789ab", dim: 16 }, generation: 1, count: 1, students: [] };
}

test("keys open doors, and the wrong ones are named errors", async () => {
  const call = (key?: string): Client => new Client(urls.other, key === undefined ? {} : { key });
  await assert.rejects(call().spaces(), Unauthorized);
  await assert.rejects(call("not-the-key-of-anyone").spaces(), Unauthorized);
  assert.equal((await call(searchKey).spaces()).length, 1);
  await assert.rejects(call(searchKey).job("x"), Forbidden);
  await assert.rejects(call(adminKey).job("x"), NotFound);
  assert.throws(() => call("two\nlines"), InvalidConfiguration);
});

test("any other route is a request away, with the same errors", async () => {
  const client = new Client(urls.other, { key: adminKey });
  assert.ok(await client.request("GET", "/admin/generations"));
  await assert.rejects(client.request("GET", "/nowhere"), NotFound);
  const { headers } = await client.exchange("GET", "/admin/generations");
  assert.match(headers.get("etag") ?? "", /^"/);
});


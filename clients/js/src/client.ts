/** The client: photographs or vectors in, hits out. */

import { mismatch, parse, requireSuccess, type Answer } from "./answers.js";
import { Connection, type Call, type CallOptions, type ConnectionOptions } from "./connection.js";
import { JOB, MODELS_RESPONSE, SEARCH_RESPONSE, SPACES_RESPONSE } from "./documents.js";
import type { QueryEncoder } from "./encoder.js";
import {
  InvalidConfiguration, InvalidRequest, ServerFault, SpaceMismatch, Unavailable,
} from "./errors.js";
import type { Space } from "./manifest.js";
import { mediaType } from "./photo.js";
import { asBody, asQuery } from "./requests.js";
import { anything } from "./shape.js";
import { pack, unitRows } from "./vectors.js";
import type { Hit, Job, SearchOptions, SearchResponse, SpaceInfo, StudentInfo } from "./wire.js";

/** Options of a client. */
export interface ClientOptions<Image> extends ConnectionOptions {
  /** Embeds photographs here; needed by `search` alone. */
  readonly encoder?: QueryEncoder<Image>;
  /**
   * Gets another encoder when the server no longer speaks this one's space: mostly
   * `() => store.latest()`. Called once a search; the new encoder stays.
   */
  readonly renew?: (cause: SpaceMismatch) => Promise<QueryEncoder<Image>>;
}

/** Options of `Client.searchImage`. */
export interface ImageSearchOptions extends SearchOptions {
  /** The space to search, where several are live. */
  readonly space?: string;
}

/** Options of `Client.searchVectors`. */
export interface VectorSearchOptions extends SearchOptions {
  /** Who embedded them, an encoder's `identity`: the server aligns the vectors when it can. */
  readonly student?: string;
}

/** Options of `Client.request`. */
export interface RequestOptions extends CallOptions {
  readonly query?: { readonly [name: string]: string | readonly string[] };
  readonly headers?: { readonly [name: string]: string };
  /** Sent as JSON. */
  readonly json?: unknown;
}

/** Rows to search with. */
export type Rows = readonly ArrayLike<number>[];

/**
 * A client of one lorgnette service.
 *
 *     const client = new Client("http://127.0.0.1:8080", { encoder });
 *     for (const hit of await client.search(photo, { k: 5 })) console.log(hit.id, hit.score);
 */
export class Client<Image = never> {
  /** @internal */
  readonly connection: Connection;
  private live: ReadonlySet<string> = new Set();
  private current: QueryEncoder<Image> | undefined;
  private readonly renew: ClientOptions<Image>["renew"];

  /** baseUrl: the server's address; in a browser it may be relative, as `"/"`. */
  constructor(baseUrl: string, options: ClientOptions<Image> = {}) {
    this.connection = new Connection(baseUrl, options);
    this.current = options.encoder;
    this.renew = options.renew;
  }

  /** What embeds photographs; another one after a renewal. */
  get encoder(): QueryEncoder<Image> | undefined {
    return this.current;
  }

  /**
   * Embed a photograph here and ask who is near: at most k hits, best first.
   *
   * Throws `InvalidImage` for the photograph, and `SpaceMismatch`, naming the students that fit,
   * before anything is embedded when the server does not speak the encoder's space.
   */
  async search(
    image: Image,
    options: SearchOptions = {},
    call: CallOptions = {},
  ): Promise<readonly Hit[]> {
    const encoder = this.requireEncoder();
    try {
      return await this.searchWith(encoder, image, options, call);
    } catch (error) {
      if (!(error instanceof SpaceMismatch) || this.renew === undefined) throw error;
      const renewed = await this.renew(error);
      // The same space again would be refused again.
      if (renewed.space.id === encoder.space.id) throw error;
      this.current = renewed;
      return this.searchWith(renewed, image, options, call);
    }
  }

  /** Ask about vectors of a space embedded elsewhere; `results[i]` is row i's. */
  async searchVectors(
    rows: Rows,
    space: Space,
    options: VectorSearchOptions = {},
    call: CallOptions = {},
  ): Promise<SearchResponse> {
    const unit = unitRows(rows, space.dim);
    const request = { space: space.id, vectors: pack(unit) };
    const search = jsonCall("POST", "/search", asBody(request, options));
    await this.ensureLive(space, call);
    try {
      return await this.postSearch(search, space, unit.length, call);
    } catch (error) {
      if (!(error instanceof SpaceMismatch)) throw error;
    }
    // Once more, in case the space came back; a second refusal is final.
    await this.lookUp(space, call);
    return this.postSearch(search, space, unit.length, call);
  }

  /** Send the photograph itself (encoded bytes); the server's student embeds it. */
  async searchImage(
    photo: Blob | Uint8Array,
    options: ImageSearchOptions = {},
    call: CallOptions = {},
  ): Promise<readonly Hit[]> {
    const body = photo instanceof Blob ? photo : new Uint8Array(photo);
    const answer = await this.connection.send(
      {
        method: "POST",
        path: "/search/image",
        body,
        contentType: await mediaType(body),
        query: asQuery(options),
      },
      call,
    );
    return firstOf(parse<SearchResponse>(answer, SEARCH_RESPONSE), 1);
  }

  /** The live spaces, with their counts and the students that fit. */
  async spaces(call: CallOptions = {}): Promise<readonly SpaceInfo[]> {
    const answer = await this.connection.send({ method: "GET", path: "/spaces" }, call);
    return parse<{ spaces: SpaceInfo[] }>(answer, SPACES_RESPONSE).spaces;
  }

  /** The student bundles the server hands out; a `ModelStore` fetches one. */
  async models(call: CallOptions = {}): Promise<readonly StudentInfo[]> {
    const answer = await this.connection.send({ method: "GET", path: "/models" }, call);
    return parse<{ models: StudentInfo[] }>(answer, MODELS_RESPONSE).models;
  }

  /** The state of a job (needs an admin key). Throws `NotFound`. */
  async job(id: string, call: CallOptions = {}): Promise<Job> {
    const path = `/admin/jobs/${segment(id)}`;
    return parse<Job>(await this.connection.send({ method: "GET", path }, call), JOB);
  }

  /**
   * Start a reindex (needs an admin key). Throws `Conflict` when one runs already.
   *
   * factory: a FAISS factory string; the server's own unless said. After `TimedOut` or `Unreachable`
   * the reindex may have started: it is not asked for twice.
   */
  async reindex(options: { readonly factory?: string } = {}, call: CallOptions = {}): Promise<Job> {
    const asked = { ...jsonCall("POST", "/admin/reindex", options), isRepeatable: false };
    return parse<Job>(await this.connection.send(asked, call), JOB);
  }

  /**
   * Any other route, with the client's key, retries and errors, and its answer's JSON: undefined
   * where there is none.
   *
   *     await client.request("GET", "/admin/generations")
   *
   * All but POST and PATCH are tried again. path: from the server's root, each part encoded.
   */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<unknown> {
    const answer = await this.exchange(method, path, options);
    return answer.body.length ? parse<unknown>(answer, anything) : undefined;
  }

  /** `request`, with the answer's status and headers: an `ETag`, say, for a later `If-Match`. */
  async exchange(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    const { query, headers, json } = options;
    const isRepeatable = !/^(post|patch)$/i.test(method);
    const call = json === undefined ? { method, path } : jsonCall(method, path, json);
    const extra = { ...(query && { query }), ...(headers && { headers }) };
    const answer = await this.connection.send({ ...call, ...extra, isRepeatable }, options);
    requireSuccess(answer);
    return answer;
  }

  private async searchWith(
    encoder: QueryEncoder<Image>,
    image: Image,
    options: SearchOptions,
    call: CallOptions,
  ): Promise<readonly Hit[]> {
    await this.ensureLive(encoder.space, call);
    const row = await encoder.encode(image, call);
    const { space, identity } = encoder;
    const asked = identity === undefined ? options : { ...options, student: identity };
    return firstOf(await this.searchVectors([row], space, asked, call), 1);
  }

  private async postSearch(
    search: Call,
    space: Space,
    count: number,
    call: CallOptions,
  ): Promise<SearchResponse> {
    const response = parse<SearchResponse>(
      await this.connection.send(search, call),
      SEARCH_RESPONSE,
    );
    firstOf(response, count);
    if (response.space !== space.id) {
      throw new ServerFault(`asked in space '${space.id}', answered in '${response.space}'`);
    }
    return response;
  }

  /** The handshake: ask `GET /spaces` unless this space was already seen live. */
  private async ensureLive(space: Space, call: CallOptions): Promise<void> {
    if (!this.live.has(keyOf(space))) await this.lookUp(space, call);
  }

  private async lookUp(space: Space, call: CallOptions): Promise<void> {
    const infos = await this.spaces(call);
    this.live = new Set(infos.map((info) => keyOf(info.space)));
    if (!infos.length) {
      throw new Unavailable("the server has nothing indexed yet: index a gallery, then search");
    }
    if (!this.live.has(keyOf(space))) throw mismatch(space, infos);
  }

  private requireEncoder(): QueryEncoder<Image> {
    if (this.current !== undefined) return this.current;
    throw new InvalidConfiguration(
      "search embeds the photograph here and this client has no encoder: give it one, or send " +
        "the photograph itself with searchImage",
    );
  }
}

/** A path segment of a URL. Throws `InvalidRequest` for one that would change the path. */
export function segment(text: string): string {
  if (["", ".", ".."].includes(text)) throw new InvalidRequest(`'${text}' is not a name or an id`);
  return encodeURIComponent(text);
}

function jsonCall(method: string, path: string, json: unknown): Call {
  const body = new TextEncoder().encode(JSON.stringify(json));
  return { method, path, body, contentType: "application/json" };
}

function keyOf(space: Space): string {
  return `${space.id} ${space.dim}`;
}

/** The hits of the first row. Throws `ServerFault` when there are not as many as were asked for. */
function firstOf(response: SearchResponse, count: number): readonly Hit[] {
  const [hits] = response.results;
  if (hits !== undefined && response.results.length === count) return hits;
  throw new ServerFault(`asked about ${count} vectors, answered ${response.results.length}`);
}

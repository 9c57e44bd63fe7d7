/** One file of a bundle, over as many connections, and page loads, as it takes. */

import { requireSuccess, type Answer } from "./answers.js";
import type { Head, Limit, Reader } from "./attempt.js";
import { verify } from "./bundle.js";
import { Body, type Call, type CallOptions, type Connection } from "./connection.js";
import { BundleCorrupt, ServerFault, Unreachable } from "./errors.js";
import type { BundleFile } from "./manifest.js";
import type { Shelf } from "./shelf.js";

/** Bytes between two writes: what a page that is closed in the middle fetches again. */
const PIECE_BYTES = 512 * 1024;

/** Where a verified file is on a shelf. */
export function fileKey(file: BundleFile): string {
  return `files/${file.sha256}`;
}

/** Where the pieces of an unfinished one are. */
function piecePrefix(file: BundleFile): string {
  return `pieces/${file.sha256}/`;
}

/**
 * Put a file on the shelf; a cut connection goes on where it was, if it gained bytes.
 *
 * onBytes: told how many bytes are here by now. Throws `BundleCorrupt` for other bytes than the
 * manifest states, `Unreachable` when the retries without a new byte are used up; what came by then
 * stays on the shelf for the next time.
 */
export async function download(
  source: { readonly connection: Connection; readonly call: Call; readonly file: BundleFile },
  shelf: Shelf,
  onBytes: (have: number) => void,
  options: CallOptions,
): Promise<void> {
  const pieces = new Pieces(shelf, source.file);
  try {
    await pieces.recall();
    await complete(source, pieces, onBytes, options);
    await verify(pieces.whole, source.file);
    await shelf.write(fileKey(source.file), pieces.whole);
  } catch (error) {
    if (error instanceof BundleCorrupt) await pieces.forget();
    throw error;
  }
  await pieces.forget();
}

async function complete(
  source: { readonly connection: Connection; readonly call: Call },
  pieces: Pieces,
  onBytes: (have: number) => void,
  options: CallOptions,
): Promise<void> {
  const { connection, call } = source;
  for (let most = -1; pieces.isShort; ) {
    most = Math.max(most, pieces.have);
    try {
      const once = (): Promise<Answer> => fetchRest(source, pieces, onBytes, options);
      const answer = await connection.insist(call, options, once);
      requireSuccess(answer);
      if (pieces.isShort) {
        throw new ServerFault(
          `${call.path} answered ${answer.status} with other bytes than were asked for`,
        );
      }
    } catch (error) {
      if (!(error instanceof Unreachable) || error instanceof ServerFault) throw error;
      if (pieces.have <= most) throw error;
    }
  }
}

async function fetchRest(
  source: { readonly connection: Connection; readonly call: Call },
  pieces: Pieces,
  onBytes: (have: number) => void,
  options: CallOptions,
): Promise<Answer> {
  const reader = new PieceReader(pieces, onBytes);
  const call = { ...source.call, headers: { Accept: "*/*", ...pieces.rangeHeaders() } };
  try {
    const answer = await source.connection.attempt(call, options, reader);
    if (reader.isOurs && pieces.isShort) throw new Unreachable(`${call.path} ended too early`);
    return { ...answer, body: reader.other.joined() };
  } finally {
    await pieces.keep();
  }
}

/** The file so far: in memory, and on the shelf up to the last `keep`. */
class Pieces {
  readonly whole: Uint8Array<ArrayBuffer>;
  have = 0;
  private kept = 0;

  constructor(
    private readonly shelf: Shelf,
    private readonly file: BundleFile,
  ) {
    this.whole = new Uint8Array(file.bytes);
  }

  get isShort(): boolean {
    return this.have < this.file.bytes;
  }

  /** Ask for the rest alone, of this file and no other. */
  rangeHeaders(): Record<string, string> {
    if (!this.have) return {};
    return { Range: `bytes=${this.have}-`, "If-Range": `"${this.file.sha256}"` };
  }

  /** Take up what an earlier download left. */
  async recall(): Promise<void> {
    for (const key of await this.shelf.keys(piecePrefix(this.file))) {
      const isNext = key === this.key(this.have);
      const piece = isNext ? await this.shelf.read(key) : undefined;
      if (piece === undefined || this.have + piece.length > this.file.bytes) return this.forget();
      this.whole.set(piece, this.have);
      this.have += piece.length;
    }
    this.kept = this.have;
  }

  async add(piece: Uint8Array): Promise<void> {
    if (this.have + piece.length > this.file.bytes) {
      throw new BundleCorrupt(
        `${this.file.path} is longer than the ${this.file.bytes} bytes its manifest states: the ` +
          "server's bundle is inconsistent; try again later",
      );
    }
    this.whole.set(piece, this.have);
    this.have += piece.length;
    if (this.have - this.kept >= PIECE_BYTES) await this.keep();
  }

  /** Write down what is not yet; a file that is complete is written elsewhere, once verified. */
  async keep(): Promise<void> {
    if (this.kept === this.have || !this.isShort) return;
    await this.shelf.write(this.key(this.kept), this.whole.slice(this.kept, this.have));
    this.kept = this.have;
  }

  /** Begin again. */
  restart(): void {
    this.have = this.kept = 0;
  }

  async forget(): Promise<void> {
    this.restart();
    for (const key of await this.shelf.keys(piecePrefix(this.file))) await this.shelf.remove(key);
  }

  private key(offset: number): string {
    return piecePrefix(this.file) + String(offset).padStart(12, "0");
  }
}

/** Gives the body to the pieces when it is the file's, else collects it: an error's explanation. */
class PieceReader implements Reader {
  readonly other = new Body();
  isOurs = false;

  constructor(
    private readonly pieces: Pieces,
    private readonly onBytes: (have: number) => void,
  ) {}

  start({ status, headers }: Head): void {
    const range = headers.get("content-range") ?? "";
    const isResumed = status === 206 && range.startsWith(`bytes ${this.pieces.have}-`);
    this.isOurs = isResumed || status === 200;
    if (status === 200) this.pieces.restart();
  }

  async chunk(piece: Uint8Array, limit: Limit): Promise<void> {
    if (!this.isOurs) {
      this.other.chunk(piece);
      return;
    }
    limit.restart();
    await this.pieces.add(piece);
    this.onBytes(this.pieces.have);
  }
}

/** The one implementation of `ModelStore`, over any shelf. */

import { Bundle } from "./bundle.js";
import { fileKey } from "./download.js";
import type { Abortable, BundleEncoder } from "./encoder.js";
import { DiskFull, InvalidBundle, NotFound, Unreachable } from "./errors.js";
import { allFiles, type BundleFile } from "./manifest.js";
import { bringFiles, callOptions, fetchOffer, verifyKept, type Offer } from "./offer.js";
import { readRecord, writeRecord, type Kept, type StudentRecord } from "./record.js";
import { isFor } from "./release.js";
import type { Shelf } from "./shelf.js";
import type { Held, LoadOptions, ModelStore, Started, StoreOptions } from "./store.js";
import { toBase64 } from "./vectors.js";

/** What a platform brings to a store. */
export interface Platform<E> {
  readonly shelf: Shelf;
  /** Where to go on when `shelf` is full; without one, `DiskFull` is thrown. */
  readonly spare?: Shelf;
  /** The files that an encoder here needs. Throws `InvalidBundle` when the bundle lacks them. */
  files(bundle: Bundle): readonly BundleFile[];
  /** Open an encoder, which has then reproduced its golden vectors. */
  open(bundle: Bundle, options: Abortable): Promise<E>;
}

/** Whether what the server offers is to be opened. */
type IsWanted = (offered: Kept, record: StudentRecord) => boolean;

/** Draws the device's place in rollouts; kept, never sent. */
const DEVICE_KEY = "device";

/** All students of a shelf share their files, so one works at a time. */
const LOCK = "students";

/** A store of one student, of one server. */
export class Keeper<E extends BundleEncoder<never>> implements ModelStore<E> {
  private shelf: Shelf;
  private readonly key: string;

  constructor(
    private readonly options: StoreOptions,
    private readonly platform: Platform<E>,
  ) {
    this.shelf = platform.shelf;
    const server = encodeURIComponent(options.client.connection.origin);
    const name = options.name === undefined ? "@" : encodeURIComponent(options.name);
    this.key = `students/${server}/${name}`;
  }

  get isKept(): boolean {
    return this.shelf.isKept;
  }

  async held(): Promise<Held> {
    const { active, previous } = await this.record();
    return { active: active?.manifest, previous: previous?.manifest };
  }

  async local(options: Abortable = {}): Promise<E> {
    const { active } = await this.record();
    if (active !== undefined) return this.open(active, options);
    throw new NotFound("no student is held here yet: fetch one while the server can be reached");
  }

  async latest(options: LoadOptions = {}): Promise<E> {
    const encoder = await this.refresh(options, () => true);
    // The newest is not yet released to this device: the held one is what it may have.
    return encoder ?? this.local(options);
  }

  async localThenUpdate(options: LoadOptions = {}): Promise<Started<E>> {
    try {
      const encoder = await this.local(options);
      const update = this.update(options);
      // A failed update must not end a process that did not look.
      update.catch(() => undefined);
      return { encoder, update };
    } catch (error) {
      if (!(error instanceof NotFound || error instanceof InvalidBundle)) throw error;
    }
    return { encoder: await this.latest(options), update: Promise.resolve(undefined) };
  }

  async rollback(options: Abortable = {}): Promise<E> {
    return this.shelf.exclusively(LOCK, async () => {
      const { active, previous } = await this.record();
      if (previous === undefined) {
        throw new NotFound("no earlier student is held here, so there is none to go back to");
      }
      const encoder = await this.open(previous, options);
      const after = { active: previous, previous: active, refused: active?.sha256 };
      await writeRecord(this.shelf, this.key, after);
      return encoder;
    });
  }

  async clear(): Promise<void> {
    await this.shelf.exclusively(LOCK, async () => {
      await this.shelf.remove(this.key);
      await this.prune();
    });
  }

  /** The server's student, opened and in place; undefined when it is not wanted. */
  private async refresh(options: LoadOptions, isWanted: IsWanted): Promise<E | undefined> {
    try {
      return await this.refreshHere(options, isWanted);
    } catch (error) {
      const { spare } = this.platform;
      if (!(error instanceof DiskFull) || spare === undefined || spare === this.shelf) throw error;
      await this.shelf.exclusively(LOCK, () => this.prune());
      this.shelf = spare;
      return this.refreshHere(options, isWanted);
    }
  }

  private refreshHere(options: LoadOptions, isWanted: IsWanted): Promise<E | undefined> {
    return this.shelf.exclusively(LOCK, async () => {
      const record = await this.record();
      const offer = await fetchOffer(this.options, record.active, callOptions(options));
      const isHeld = offer.kept.sha256 === record.active?.sha256;
      if (!isWanted(offer.kept, record)) return undefined;
      if (!isHeld && !(await this.isReleased(offer, record))) return undefined;
      const sound = isHeld ? await this.openIfSound(offer.kept, options) : undefined;
      if (sound === undefined) return this.bring(record, offer, options);
      // The signature may have come after the student.
      if (offer.kept.signature !== record.active?.signature) await this.activate(record, offer.kept);
      return sound;
    });
  }

  /** A rollout decides among students of one space: another one's vectors would find nothing. */
  private async isReleased(offer: Offer, { active }: StudentRecord): Promise<boolean> {
    const isOneSpace = active?.manifest.space.id === offer.kept.manifest.space.id;
    if (offer.release === undefined || !isOneSpace) return true;
    return isFor(offer.release, await this.deviceId());
  }

  private async deviceId(): Promise<string> {
    const held = await this.shelf.read(DEVICE_KEY);
    if (held !== undefined) return new TextDecoder().decode(held);
    const drawn = toBase64(globalThis.crypto.getRandomValues(new Uint8Array(16)));
    await this.shelf.write(DEVICE_KEY, new TextEncoder().encode(drawn));
    return drawn;
  }

  private async bring(before: StudentRecord, offer: Offer, options: LoadOptions): Promise<E> {
    const bundle = this.bundleOf(offer.kept);
    try {
      await bringFiles(this.options, offer, this.platform.files(bundle), this.shelf, options);
      const encoder = await this.platform.open(bundle, options);
      await this.activate(before, offer.kept);
      return encoder;
    } catch (error) {
      // What came before the line was cut stays for the next time; a bad model does not.
      if (error instanceof InvalidBundle) await this.prune();
      throw error;
    }
  }

  private async activate(before: StudentRecord, kept: Kept): Promise<void> {
    const isSame = before.active?.sha256 === kept.sha256;
    const previous = isSame ? before.previous : before.active;
    await writeRecord(this.shelf, this.key, { active: kept, previous, refused: undefined });
    await this.prune();
  }

  /** Remove every file, and every piece of one, that no record on the shelf needs. */
  private async prune(): Promise<void> {
    const needed = new Set<string>();
    for (const key of await this.shelf.keys("students/")) {
      const { active, previous } = await readRecord(this.shelf, key);
      for (const kept of [active, previous]) {
        if (kept) allFiles(kept.manifest).forEach((file) => needed.add(fileKey(file)));
      }
    }
    const there = [...(await this.shelf.keys("files/")), ...(await this.shelf.keys("pieces/"))];
    for (const key of there) if (!needed.has(key)) await this.shelf.remove(key);
  }

  private record(): Promise<StudentRecord> {
    return readRecord(this.shelf, this.key);
  }

  private async open(kept: Kept, options: Abortable): Promise<E> {
    verifyKept(kept, this.options.publicKeys ?? []);
    return this.platform.open(this.bundleOf(kept), options);
  }

  private async openIfSound(kept: Kept, options: Abortable): Promise<E | undefined> {
    try {
      return await this.open(kept, options);
    } catch (error) {
      if (error instanceof InvalidBundle) return undefined;
      throw error;
    }
  }

  private bundleOf(kept: Kept): Bundle {
    const { shelf } = this;
    return new Bundle(kept.manifest, async (file) => {
      const raw = await shelf.read(fileKey(file));
      if (raw !== undefined) return raw;
      throw new InvalidBundle(`${file.path} is not held here any more: fetch the student again`);
    });
  }

  /** In the background: a student that was rolled back stays away, and no server is no failure. */
  private async update(options: LoadOptions): Promise<E | undefined> {
    try {
      return await this.refresh(
        options,
        ({ sha256 }, { active, refused }) => sha256 !== active?.sha256 && sha256 !== refused,
      );
    } catch (error) {
      if (error instanceof Unreachable) return undefined;
      throw error;
    }
  }
}

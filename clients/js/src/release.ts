/** `release.json`: who may have a student now, which changes while the student does not. */

import { sha256Hex } from "./digest.js";
import { InvalidBundle, SdkTooOld } from "./errors.js";
import { checked, exactly, Malformed, oneOf, text, whole } from "./shape.js";

/** The document. */
export interface Release {
  readonly schema_version: 1;
  readonly manifest_sha256: string;
  /** `major.minor.patch`. */
  readonly min_sdk: string;
  /** Share of the devices. */
  readonly rollout_percent: number;
}

const MAX_RELEASE_BYTES = 64 * 1024;
const BUCKETS = 100;

const RELEASE = exactly({
  schema_version: oneOf(1),
  manifest_sha256: text(/^[0-9a-f]{64}$/, "64 hexadecimal digits"),
  min_sdk: text(/^\d{1,6}\.\d{1,6}\.\d{1,6}$/, "major.minor.patch"),
  rollout_percent: whole(0, 100),
});

/** Validate a document. Throws `InvalidBundle`, also for the release of another manifest. */
export function parseRelease(raw: Uint8Array, manifestSha256: string, origin: string): Release {
  if (raw.length > MAX_RELEASE_BYTES) {
    throw new InvalidBundle(`${origin} is longer than ${MAX_RELEASE_BYTES} bytes: no release`);
  }
  const release = parsed(raw, origin);
  if (release.manifest_sha256 === manifestSha256) return release;
  throw new InvalidBundle(
    `${origin} is the release of another manifest: let the operator run \`lorgnette release\` on ` +
      "the bundle that is served",
  );
}

/** Throw `SdkTooOld` when `have`, this SDK's version, is below what the release asks for. */
export function requireSdk({ min_sdk }: Release, have: string): void {
  const numbers = (version: string): number[] => version.split(".").map((part) => parseInt(part, 10));
  const [ours, asked] = [numbers(have), numbers(min_sdk)];
  const at = asked.findIndex((part, i) => part !== (ours[i] ?? 0));
  if (at === -1 || (ours[at] ?? 0) > asked[at]!) return;
  throw new SdkTooOld(
    `the server's student needs lorgnette ${min_sdk} or newer and this is ${have}: the student ` +
      "held here goes on; update the SDK to have the new one",
  );
}

/**
 * Whether the rollout has reached a device. The id is hashed here and never sent.
 *
 * The bucket is salted with the manifest, so that it is not always the same devices that come first.
 */
export async function isFor(release: Release, deviceId: string): Promise<boolean> {
  const salted = new TextEncoder().encode(`${release.manifest_sha256}:${deviceId}`);
  const digest = await sha256Hex(salted);
  return parseInt(digest.slice(0, 8), 16) % BUCKETS < release.rollout_percent;
}

function parsed(raw: Uint8Array, origin: string): Release {
  try {
    return checked<Release>(JSON.parse(new TextDecoder().decode(raw)), RELEASE);
  } catch (error) {
    const why = error instanceof Malformed ? error.message : "it is not JSON";
    throw new InvalidBundle(`${origin} does not validate: ${why}`, { cause: error });
  }
}

/**
 * lorgnette: visual search whose photos stay on the device.
 *
 * This entry holds what needs no ONNX Runtime: the client, the wire, the errors. Encoders are in
 * `lorgnette/web` and `lorgnette/node`.
 */

export * from "./errors.js";
export type * from "./wire.js";
export { DEFAULT_K, PROBLEM_TYPE } from "./wire.js";
export type * from "./filters.js";
export { parseManifest } from "./manifest.js";
export type * from "./manifest.js";
export { Bundle } from "./bundle.js";
export type { GoldenCase, ReadFile } from "./bundle.js";
export type * from "./encoder.js";
export { Client } from "./client.js";
export type { Answer } from "./answers.js";
export type {
  ClientOptions, ImageSearchOptions, RequestOptions, Rows, VectorSearchOptions,
} from "./client.js";
export type { CallOptions, ConnectionOptions, Exchange } from "./connection.js";
export type * from "./store.js";
export { cosine, pack, unitRows, unpack } from "./vectors.js";
export type { PackedVectors, WireDtype } from "./vectors.js";

/** Whether int8 is the fast variant on this machine's processor: the Python SDK's rule. */

import { readFileSync } from "node:fs";

/** Linux' names of integer dot products: x86 (AVX-512 and AVX VNNI), 64-bit ARM. */
const DOT_PRODUCTS: readonly string[] = ["avx512_vnni", "avx_vnni", "asimddp"];

/**
 * Whether this processor multiplies and adds bytes in one instruction, as far as is known.
 *
 * Linux says so in /proc/cpuinfo, and every Apple processor can. Elsewhere the answer is no, and int8
 * is there for who asks for it by name.
 */
export function hasInt8DotProduct(): boolean {
  if (process.platform === "darwin") return process.arch === "arm64";
  if (process.platform !== "linux") return false;
  try {
    return namesDotProduct(readFileSync("/proc/cpuinfo", "utf8"));
  } catch {
    return false;
  }
}

/** Whether a /proc/cpuinfo lists such an instruction among its `flags` or `Features`. */
export function namesDotProduct(cpuinfo: string): boolean {
  const lists = [...cpuinfo.matchAll(/^(?:flags|Features)\s*:(.*)$/gm)];
  return lists.some(([, names]) => DOT_PRODUCTS.some((dot) => names!.split(/\s+/).includes(dot)));
}

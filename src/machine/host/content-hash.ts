import { createHash } from "node:crypto";

/** SHA-256 of some bytes in hexadecimal: the name of a program's content. */
export function contentHash(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

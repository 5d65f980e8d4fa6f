import { hash } from "node:crypto";

/** SHA-256 of some bytes in hexadecimal: the name of a program's content, or of a page's. */
export function contentHash(bytes: Uint8Array): string {
  return hash("sha256", bytes, "hex");
}

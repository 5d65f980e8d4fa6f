/** What a path walk needs to know about mounts; `Mounts` is the implementation. */
import { errno } from "../../kernel/errno.ts";
import type { FileSystem } from "./filesystem.ts";
import type { Namespace } from "./namespace.ts";

export interface MountView {
  readonly namespace: Namespace;
  /** The file system of a mount that the caller holds. */
  fileSystem(mount: number): FileSystem;
  /** The mount that covers a directory, or 0. */
  covering(mount: number, inode: number): number;
  /** Holds a mount so that it cannot go away. False when it is going. */
  enter(mount: number): boolean;
  leave(mount: number): void;
  /** Whether names found in this mount mean the same until the name space changes. */
  cacheable(mount: number): boolean;
}

/** An absolute path without ".", empty components or a slash at the end; −INVAL for anything with "..". */
export function normalizeMountPath(path: string): string | number {
  if (!path.startsWith("/") || path.includes("\0")) return -errno.INVAL;
  const components = path.split("/").filter((component) => component !== "" && component !== ".");
  return components.includes("..") ? -errno.INVAL : `/${components.join("/")}`;
}

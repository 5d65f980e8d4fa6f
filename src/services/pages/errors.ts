/** What a page allocator says about calls that break its rules. */
import type { Accessor } from "../../memory/index.ts";
import { order_max, type PageFrame, pageState } from "./layout.ts";

/** The allocator was used against its rules, for example a block was freed twice. */
export class PagesError extends Error {
  override readonly name: string = "PagesError";
}

/** @throws PagesError for an order outside 0 to 12. */
export function requireOrder(name: string, order: number): void {
  if (!Number.isInteger(order) || order < 0 || order > order_max) {
    throw new PagesError(`pages ${name}: order ${order} must be 0 to ${order_max}`);
  }
}

/** @throws PagesError for a number that no lock can have as its holder. */
export function requireOwner(name: string, owner: number): void {
  if (!Number.isInteger(owner) || owner < 1) {
    throw new PagesError(`pages ${name}: owner ${owner} must be a positive integer, for example core id + 1`);
  }
}

/** Why no block of this order can be freed at a page; empty when one can. */
export function whyNotFree(frames: Accessor<typeof PageFrame.fields>, page: number, order: number): string {
  const state = frames.state(page);
  if (state === pageState.inside) return "no block starts there";
  if (state !== pageState.allocated) return "it is free already (a double free)";
  return frames.order(page) === order ? "" : `the block there has order ${frames.order(page)}`;
}

export function wrongFree(name: string, offset: number, order: number, why: string): PagesError {
  return new PagesError(`pages ${name}: cannot free order ${order} at offset ${offset}: ${why}`);
}

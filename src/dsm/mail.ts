/**
 * The messages of the coherence protocol: 32-bit hardware mails of 20 bits page frame, 3 bits type and 9 bits sequence
 * number. `recovered` carries a domain where the others carry a page.
 *
 * One fault's way, R being the domain that faults, O the owner of the page (two-state: 1, 2, 3):
 *
 *  1. R finds O in the owner table and sends `getExclusive` (or `getShared`, three-state, for reading).
 *  2. O cleans its copy of the page; for `getExclusive` it also invalidates it and enters R in the owner table.
 *     It answers `putExclusive` (`putShared`) with the sequence number of the request.
 *     - O that waits for the page itself keeps the request, and serves it after its own access.
 *     - Who is not the owner (any more) answers `retry`: R looks into the table again.
 *  3. R invalidates what stale copy it may have, and goes on.
 *  4. Three-state: the new owner sends `invalidate` to every domain that has a copy to read, and goes on when each has
 *     answered `invalidated`. Whoever is asked to invalidate a page while it waits for `putShared` does not use what
 *     arrives, but asks again: mails of different senders overtake each other, and the copy may be an old one.
 *
 * Every `get…` is answered once (`put…` or `retry`), every `invalidate` once (`invalidated`). `recovered` has no answer:
 * a core of a domain is lost, or an answer of that domain may be, and who waits for it looks into the tables again.
 * Answers can come late, then, for requests that were made again; they are known by their sequence numbers, and the
 * owner table says what they are worth.
 *
 * Nobody waits in a circle: a domain that is named in the table while its request is under way has been answered. So
 * those who wait for each other were answered one after the other, and the first of them goes on.
 */
import { DsmError } from "./errors.ts";

export const mailType = {
  getExclusive: 0,
  putExclusive: 1,
  getShared: 2,
  putShared: 3,
  invalidate: 4,
  invalidated: 5,
  retry: 6,
  recovered: 7,
} as const;

export type MailType = (typeof mailType)[keyof typeof mailType];

const sequence_bits = 9;
const type_bits = 3;
const page_bits = 20;
const page_shift = sequence_bits + type_bits;
const typeMask = 2 ** type_bits - 1;

/** Memory must have fewer pages than this. */
export const pagesLimit = 2 ** page_bits;
/** Sequence numbers are below this, and start again at 0. */
export const sequenceLimit = 2 ** sequence_bits;

/** @throws DsmError when something does not fit. */
export function packMail(type: MailType, page: number, sequence: number): number {
  if (!(page >= 0 && page < pagesLimit && sequence >= 0 && sequence < sequenceLimit))
    throw new DsmError(`page ${page}, sequence ${sequence} do not fit in a mail`);
  return ((page << page_shift) | (type << sequence_bits) | sequence) >>> 0;
}

export function typeOfMail(word: number): MailType {
  return ((word >>> sequence_bits) & typeMask) as MailType;
}

export function pageOfMail(word: number): number {
  return word >>> page_shift;
}

export function sequenceOfMail(word: number): number {
  return word & (sequenceLimit - 1);
}

/**
 * Multicast groups: one write into a shared ring, read by every member.
 *
 * The island has a fixed number of slots for groups, each with a control record, a place for every address,
 * and a ring. A slot's memory is never used for anything else, so a handle to a group that is gone reads
 * positions and bits that say so, never somebody else's data.
 *
 * Members send while they hold the slot's claim. As in a ring between two, a message is either published or
 * not there, so whoever inherits the claim of a dead sender has only `tail` to correct. A message is written
 * where every living member has read what was there before: a slow member holds senders back with AGAIN, a
 * dead one is removed.
 *
 * A group lives as long as it has members. After `close` nothing more is sent; members read what was sent
 * before and then leave by themselves.
 *
 * Waiting for room loses no wake-up, for the reason given in `ring.ts`: a sender sets its bit in
 * `roomWanted` and then looks at the cursors, a member stores its cursor and then looks at `roomWanted`.
 */

import { errno } from "../kernel/errno.ts";
import type { Accessor } from "../memory/index.ts";
import {
  type FaultReport,
  lifeState,
  life as lives,
  type MessageHeader,
  type Priority,
  type ReceivedMessage,
} from "./channel.ts";
import type { Claimant, ClaimWord } from "./claim.ts";
import type { MulticastChannel } from "./endpoint.ts";
import {
  advance,
  distance,
  type GroupControl,
  type GroupMember,
  type GroupPeek,
  groupState,
  linesFor,
} from "./layout.ts";
import type { MessageLines } from "./lines.ts";
import { MessageReader } from "./reader.ts";
import type { PayloadBuffer } from "./staging.ts";

/** Pauses a sender spends on a claim before it reports the group as full for now. */
const sendPauses_max = 20_000;
/** Pauses spent on a claim by what cannot simply be tried again. */
const changePauses_max = 5_000_000;

/** The shared memory of one slot, and what a group needs to know about its surroundings. */
export interface GroupPlace {
  readonly name: string;
  readonly slot: number;
  readonly control: Accessor<typeof GroupControl.fields>;
  /** Plain looks at the same record; see `RingLinePeek`. */
  readonly peek: Accessor<typeof GroupPeek.fields>;
  readonly members: Accessor<typeof GroupMember.fields>;
  readonly lines: MessageLines;
  readonly lineCount: number;
  readonly payload_bytes_max: number;
  readonly priority: Priority;
  readonly address: number;
  readonly address_limit: number;
  readonly claimant: Claimant;
  readonly life: (address: number) => number;
  readonly notify: (address: number) => void;
  readonly report: FaultReport;
  /** Called once when this endpoint is no longer a member. */
  readonly left: (group: Group) => void;
}

/** The claim word of a slot. */
export function slotClaim(control: Accessor<typeof GroupControl.fields>, slot: number): ClaimWord {
  return {
    load: () => control.holder(slot),
    compareExchange: (expected, value) => control.compareExchangeHolder(slot, expected, value),
  };
}

export class Group implements MulticastChannel {
  readonly priority: Priority;
  readonly #place: GroupPlace;
  readonly #claim: ClaimWord;
  readonly #reader: MessageReader;
  readonly #waiters: { readonly size: number; readonly settled: (status: number) => void }[] = [];
  /** The cursor when senders that wait for room were last looked for. */
  #released: number;
  #left = false;

  /** A handle of a member; made by `Groups.open`, which has put this endpoint on the list of members. */
  constructor(place: GroupPlace) {
    this.#place = place;
    this.priority = place.priority;
    const { control, members, slot } = place;
    const member = this.#memberRecord(place.address);
    this.#claim = slotClaim(control, slot);
    const cursor = members.cursor(member);
    this.#released = cursor;
    this.#reader = new MessageReader({
      lines: place.lines,
      lineCount: place.lineCount,
      priority: place.priority,
      sender: -1,
      positions: {
        tail: () => control.tail(slot),
        storeCursor: (position) => members.setCursor(member, position),
      },
      cursor,
      report: place.report,
    });
  }

  get name(): string {
    return this.#place.name;
  }

  /** True while this endpoint is a member. */
  get joined(): boolean {
    return !this.#left && this.#isMember(this.#place.address);
  }

  /** Addresses of the living members. */
  members(): number[] {
    const addresses: number[] = [];
    for (let address = 0; address < this.#place.address_limit; address++) {
      if (this.#isMember(address) && this.#isSame(address)) addresses.push(address);
    }
    return addresses;
  }

  /** @returns 0, or AGAIN, MSGSIZE, IDRM (closed, or this endpoint is no member) negated. Use `Endpoint.multicast`. */
  send(header: MessageHeader, payload: PayloadBuffer, size: number): number {
    if (size > this.#place.payload_bytes_max) return -errno.MSGSIZE;
    if (!this.joined) return -errno.IDRM;
    if (!this.#take(sendPauses_max)) return -errno.AGAIN;
    const status = this.#sendHeld(header, payload, size);
    this.#place.claimant.give(this.#claim);
    if (status === 0) this.#notifyOthers();
    return status;
  }

  /** Resolves to 0 when a message with `size` bytes of payload is likely to find room, to −IDRM when the group closes. */
  writable(size = 0): Promise<number> {
    const waiting = new Promise<number>((settled) => this.#waiters.push({ size, settled }));
    this.flush();
    return waiting;
  }

  receive(into: ReceivedMessage, level: Priority): boolean {
    if (level !== this.priority || this.#left) return false;
    const { peek, slot, address } = this.#place;
    if ((peek.members(slot, address >>> 5) & (1 << (address & 31))) === 0 && !this.joined) {
      this.#forget();
      return false;
    }
    while (this.#reader.receive(into)) {
      const { sender } = into;
      if (sender === this.#place.address) continue;
      // Need not be a member any more: it may have left after sending.
      if (sender < this.#place.address_limit) return true;
      this.#place.report({
        kind: "malformed",
        peer: -1,
        type: into.type,
        detail: `sender ${sender} of a group`,
      });
    }
    // Messages of our own that were skipped on the way have made room too.
    this.release();
    if (peek.state(slot) === groupState.closed && !this.#reader.pending()) this.leave();
    return false;
  }

  pending(): boolean {
    if (this.#left) return false;
    return this.#reader.pending() || this.#place.control.state(this.#place.slot) === groupState.closed;
  }

  release(): void {
    if (this.#released === this.#reader.cursor) return;
    this.#released = this.#reader.cursor;
    this.#wakeWaiting();
  }

  flush(): void {
    while (this.#waiters.length > 0) {
      const closed = !this.joined || this.#place.control.state(this.#place.slot) !== groupState.open;
      if (!closed && (this.#stillFull() || !this.#awaitRoom(this.#waiters[0].size))) return;
      this.#waiters.shift()?.settled(closed ? -errno.IDRM : 0);
    }
  }

  /** Leaves the group. Messages not yet received are lost to this endpoint. @returns 0, or −AGAIN. */
  leave(): number {
    if (this.#left) return 0;
    if (!this.#take(changePauses_max)) return -errno.AGAIN;
    this.#remove(this.#place.address);
    this.#place.claimant.give(this.#claim);
    this.#forget();
    // What this member had not read no longer holds anybody back.
    this.#wakeWaiting();
    return 0;
  }

  /** Closes the group for everybody; see the head of this file. @returns 0, or −AGAIN, −IDRM. */
  close(): number {
    if (!this.joined) return -errno.IDRM;
    const { control, slot } = this.#place;
    if (!this.#take(changePauses_max)) return -errno.AGAIN;
    control.setState(slot, groupState.closed);
    this.#place.claimant.give(this.#claim);
    this.#notifyOthers();
    this.#place.notify(this.#place.address);
    return 0;
  }

  #sendHeld(header: MessageHeader, payload: PayloadBuffer, size: number): number {
    const { control, slot, lines } = this.#place;
    if (control.state(slot) !== groupState.open || !this.joined) return -errno.IDRM;
    if (!this.#hasRoom(size)) return -errno.AGAIN;
    const tail = control.tail(slot);
    const upToDate = this.#reader.cursor === tail;
    const next = lines.write(tail, header, payload, size);
    control.setTail(slot, next);
    // A member that has nothing unread need not read its own message either: one that only sends never
    // holds itself back.
    if (upToDate) this.#reader.skipTo(next);
    return 0;
  }

  /** Looks for room, at the cursors of all members if need be. The claim must be held. */
  #hasRoom(size: number): boolean {
    const { control, slot, lineCount } = this.#place;
    const lines = linesFor(size);
    const tail = control.tail(slot);
    if (lineCount - distance(control.head(slot), tail) > lines) return true;
    let unread = 0;
    for (let address = 0; address < this.#place.address_limit; address++) {
      if (!this.#isMember(address)) continue;
      const behind = distance(this.#place.members.cursor(this.#memberRecord(address)), tail);
      // A cursor outside the ring is as good as dead: its owner cannot be reading.
      if (behind > lineCount || !this.#isSame(address)) this.#remove(address);
      else if (behind > unread) unread = behind;
    }
    control.setHead(slot, advance(tail, -unread));
    return lineCount - unread > lines;
  }

  /** True if nobody has read or died since this endpoint last looked for room in vain. */
  #stillFull(): boolean {
    const { control, slot, address, address_limit } = this.#place;
    if ((control.roomWanted(slot, address >>> 5) & (1 << (address & 31))) === 0) return false;
    for (let other = 0; other < address_limit; other++)
      if (this.#isMember(other) && !this.#isSame(other)) return false;
    return true;
  }

  #awaitRoom(size: number): boolean {
    const { control, slot, address } = this.#place;
    control.orRoomWanted(slot, address >>> 5, 1 << (address & 31));
    if (!this.#take(sendPauses_max)) {
      // Whether there is room is unknown, so nobody may ever ring: come back to it ourselves.
      this.#place.notify(address);
      return false;
    }
    const room = this.#hasRoom(size);
    this.#place.claimant.give(this.#claim);
    if (room) control.andRoomWanted(slot, address >>> 5, ~(1 << (address & 31)));
    return room;
  }

  #wakeWaiting(): void {
    const { control, slot, address_limit } = this.#place;
    for (let word = 0; word * 32 < address_limit; word++) {
      if (control.roomWanted(slot, word) === 0) continue;
      const bits = control.exchangeRoomWanted(slot, word, 0);
      for (let bit = 0; bit < 32; bit++) if ((bits & (1 << bit)) !== 0) this.#place.notify(word * 32 + bit);
    }
  }

  #notifyOthers(): void {
    const { address, address_limit } = this.#place;
    for (let other = 0; other < address_limit; other++) {
      if (other !== address && this.#isMember(other)) this.#place.notify(other);
    }
  }

  /** Takes the slot's claim, and puts in order what a dead sender left. */
  #take(pauses_max: number): boolean {
    const taken = this.#place.claimant.take(this.#claim, pauses_max);
    if (taken === "inherited") repairTail(this.#place);
    return taken !== "busy";
  }

  #isMember(address: number): boolean {
    const { control, slot } = this.#place;
    return (control.members(slot, address >>> 5) & (1 << (address & 31))) !== 0;
  }

  /** True if a member is still the incarnation that joined. */
  #isSame(address: number): boolean {
    const word = this.#place.life(address);
    return lifeState(word) === lives.live && word === this.#place.members.life(this.#memberRecord(address));
  }

  /** Takes an address off the list of members; the last one frees the slot. The claim must be held. */
  #remove(address: number): void {
    removeMember(this.#place, address);
  }

  #forget(): void {
    if (this.#left) return;
    this.#left = true;
    this.#place.left(this);
    this.flush();
  }

  #memberRecord(address: number): number {
    return this.#place.slot * this.#place.address_limit + address;
  }
}

/** Steps over a message that a sender published before it died without moving `tail`. The claim must be held. */
export function repairTail(place: Pick<GroupPlace, "control" | "slot" | "lines">): void {
  const tail = place.control.tail(place.slot);
  if (place.lines.publishedNow(tail))
    place.control.setTail(place.slot, advance(tail, place.lines.linesAt(tail)));
}

/** Takes an address off the list of members; the last one frees the slot. The claim must be held. */
export function removeMember(
  place: Pick<GroupPlace, "control" | "slot" | "address_limit">,
  address: number,
): void {
  const { control, slot } = place;
  control.andMembers(slot, address >>> 5, ~(1 << (address & 31)));
  for (let word = 0; word * 32 < place.address_limit; word++) if (control.members(slot, word) !== 0) return;
  control.setState(slot, groupState.free);
}

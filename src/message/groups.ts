/**
 * The groups of an island: opens and joins them by name.
 */

import { errno } from "../kernel/errno.ts";
import type { Accessor, TypedMemory } from "../memory/index.ts";
import { type FaultReport, lifeState, life as lives, type Priority, priority } from "./channel.ts";
import { Claimant } from "./claim.ts";
import type { Endpoint } from "./endpoint.ts";
import { MessageUsageError } from "./errors.ts";
import { areaName, type MessageGeometry } from "./geometry.ts";
import { Group, removeMember, repairTail, slotClaim } from "./group.ts";
import {
  attachLines,
  createLines,
  GroupControl,
  GroupMember,
  GroupPeek,
  groupState,
  recordsAt,
} from "./layout.ts";
import { MessageLines } from "./lines.ts";
import type { SharedTransport } from "./shared-transport.ts";

const name_bytes_max = 48;
/** Pauses spent on a claim before a change of a group is given up. */
const changePauses_max = 5_000_000;

export interface GroupsOptions {
  readonly memory: TypedMemory;
  readonly endpoint: Endpoint;
  readonly transport: SharedTransport;
  readonly pause: () => void;
  readonly report?: FaultReport;
}

/** One endpoint's view of all groups. */
export class Groups {
  readonly #memory: TypedMemory;
  readonly #endpoint: Endpoint;
  readonly #transport: SharedTransport;
  readonly #geometry: MessageGeometry;
  readonly #claimant: Claimant;
  readonly #report: FaultReport;
  /** One record more than there are groups: its claim guards opening. */
  readonly #control: Accessor<typeof GroupControl.fields>;
  readonly #peek: Accessor<typeof GroupPeek.fields>;
  readonly #members: Accessor<typeof GroupMember.fields>;
  readonly #joined = new Map<string, Group>();

  constructor(options: GroupsOptions) {
    const { memory, transport } = options;
    this.#memory = memory;
    this.#endpoint = options.endpoint;
    this.#transport = transport;
    this.#report = options.report ?? (() => {});
    this.#geometry = transport.geometry;
    const { groups_max, endpoints_max } = this.#geometry;
    const base = attachLines(memory, areaName.groups);
    this.#control = recordsAt(GroupControl, memory, base, groups_max + 1);
    this.#peek = recordsAt(GroupPeek, memory, base, groups_max + 1);
    this.#members = recordsAt(
      GroupMember,
      memory,
      attachLines(memory, areaName.groupMembers),
      groups_max * endpoints_max,
    );
    const life = (address: number) => transport.life(address);
    this.#claimant = new Claimant({ address: transport.address, life, pause: options.pause });
  }

  /**
   * Joins the group of that name, which is opened if need be; its handle is the same for every call. The
   * endpoint's `drain` then delivers what others send to it.
   * @param level priority of the group's messages; counts for whoever opens it.
   * @returns the group, or a negated error number: AGAIN (opening stayed busy, or the group is closing),
   * NOMEM (all slots are taken, or no memory for another ring).
   * @throws MessageUsageError for a name that is empty or longer than 48 bytes.
   */
  open(name: string, level: Priority = priority.normal): Group | number {
    return this.#enter(name, level, true);
  }

  /** Joins the group of that name if it is open; results as `open`, and −NOENT if there is none. */
  join(name: string): Group | number {
    return this.#enter(name, priority.normal, false);
  }

  /** Leaves all groups; for a kernel that stops. */
  leaveAll(): void {
    for (const group of [...this.#joined.values()]) group.leave();
  }

  #enter(name: string, level: Priority, create: boolean): Group | number {
    const known = this.#joined.get(name);
    if (known?.joined === true) return known;
    if (known !== undefined) this.#forget(known);
    const bytes = encodeName(name);
    const table = slotClaim(this.#control, this.#geometry.groups_max);
    if (this.#claimant.take(table, changePauses_max) === "busy") return -errno.AGAIN;
    try {
      return this.#enterHeld(name, bytes, level, create);
    } finally {
      this.#claimant.give(table);
    }
  }

  #enterHeld(name: string, bytes: Uint8Array, level: Priority, create: boolean): Group | number {
    let free = -1;
    for (let slot = 0; slot < this.#geometry.groups_max; slot++) {
      if (this.#control.state(slot) !== groupState.free) this.#sweep(slot);
      if (this.#control.state(slot) === groupState.free) {
        if (free < 0) free = slot;
      } else if (sameBytes(this.#control.name(slot), bytes)) {
        return this.#joinSlot(slot, name);
      }
    }
    if (!create) return -errno.NOENT;
    if (free < 0) return -errno.NOMEM;
    if (this.#ring(free, true) === undefined) return -errno.NOMEM;
    this.#control.setName(free, bytes);
    this.#control.setPriority(free, level);
    return this.#joinSlot(free, name);
  }

  /** Frees a slot whose members are all dead. Only opening needs that; senders remove the dead as they meet them. */
  #sweep(slot: number): void {
    const claim = slotClaim(this.#control, slot);
    const taken = this.#claimant.take(claim, changePauses_max);
    if (taken === "busy") return;
    if (taken === "inherited") this.#repair(slot);
    const { endpoints_max } = this.#geometry;
    for (let address = 0; address < endpoints_max; address++) {
      if ((this.#control.members(slot, address >>> 5) & (1 << (address & 31))) === 0) continue;
      const word = this.#transport.life(address);
      const joinedAs = this.#members.life(slot * endpoints_max + address);
      if (lifeState(word) === lives.live && word === joinedAs) continue;
      removeMember({ control: this.#control, slot, address_limit: endpoints_max }, address);
    }
    this.#claimant.give(claim);
  }

  #joinSlot(slot: number, name: string): Group | number {
    const claim = slotClaim(this.#control, slot);
    const taken = this.#claimant.take(claim, changePauses_max);
    if (taken === "busy") return -errno.AGAIN;
    try {
      if (taken === "inherited") this.#repair(slot);
      if (this.#control.state(slot) === groupState.closed) return -errno.AGAIN;
      const lines = this.#ring(slot, false);
      if (lines === undefined) return -errno.NOMEM;
      this.#addMember(slot);
      const group = this.#handle(slot, name, lines);
      // Last of all: a slot is open only when everything in it is in place.
      this.#control.setState(slot, groupState.open);
      return group;
    } finally {
      this.#claimant.give(claim);
    }
  }

  #addMember(slot: number): void {
    const { address } = this.#transport;
    const control = this.#control;
    const record = slot * this.#geometry.endpoints_max + address;
    const word = this.#transport.life(address);
    const bit = 1 << (address & 31);
    const already = (control.members(slot, address >>> 5) & bit) !== 0 && this.#members.life(record) === word;
    // A kernel that took over from the one that joined reads on where that stopped.
    if (!already) {
      this.#members.setLife(record, word);
      this.#members.setCursor(record, control.tail(slot));
    }
    control.orMembers(slot, address >>> 5, bit);
  }

  #handle(slot: number, name: string, lines: MessageLines): Group {
    const transport = this.#transport;
    const group = new Group({
      name,
      slot,
      control: this.#control,
      peek: this.#peek,
      members: this.#members,
      lines,
      lineCount: this.#geometry.groupLines,
      payload_bytes_max: this.#geometry.payload_bytes_max,
      priority: this.#control.priority(slot) === priority.urgent ? priority.urgent : priority.normal,
      address: transport.address,
      address_limit: this.#geometry.endpoints_max,
      claimant: this.#claimant,
      life: (address) => transport.life(address),
      notify: (address) => transport.notify(address),
      report: this.#report,
      left: (gone) => this.#forget(gone),
    });
    this.#joined.set(name, group);
    this.#endpoint.attach(group);
    return group;
  }

  #forget(group: Group): void {
    if (this.#joined.get(group.name) === group) this.#joined.delete(group.name);
    this.#endpoint.detach(group);
  }

  #repair(slot: number): void {
    const lines = this.#ring(slot, false);
    if (lines !== undefined) repairTail({ control: this.#control, slot, lines });
  }

  /** The ring of a slot, made when the slot is first used and kept for ever; undefined if that fails. */
  #ring(slot: number, create: boolean): MessageLines | undefined {
    const { groupLines, payload_bytes_max } = this.#geometry;
    const name = areaName.groupRing(slot);
    try {
      const exists = this.#memory.lookup(name) !== undefined;
      if (!exists && !create) return undefined;
      const base = exists ? attachLines(this.#memory, name) : createLines(this.#memory, name, groupLines);
      return new MessageLines(this.#memory, base, groupLines, payload_bytes_max);
    } catch {
      // The area is all that can fail here, for want of memory or of a directory entry.
      return undefined;
    }
  }
}

/** A group name as it is stored: 48 bytes, zeros at the end. */
function encodeName(name: string): Uint8Array {
  const bytes = new TextEncoder().encode(name);
  if (bytes.length === 0 || bytes.length > name_bytes_max) {
    throw new MessageUsageError(`group name ${JSON.stringify(name)} must have 1 to ${name_bytes_max} bytes`);
  }
  const padded = new Uint8Array(name_bytes_max);
  padded.set(bytes);
  return padded;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < b.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/**
 * The control records of all endpoints of an island: who lives, who wants doorbells, what they have seen.
 * The machine declares endpoints dead here, and anyone may read the counters.
 */
import type { Accessor, TypedMemory } from "../memory/index.ts";
import { life, lifeIncarnation, lifeState, lifeWord } from "./channel.ts";
import { areaName, messageGeometry } from "./geometry.ts";
import { attachLines, EndpointControl, EndpointPeek, recordsAt } from "./layout.ts";

export type EndpointRecords = Accessor<typeof EndpointControl.fields>;

/** What an endpoint has seen so far, as anyone on the island can read it. */
export interface EndpointCounters {
  readonly sent: number;
  readonly received: number;
  /** Messages not sent because a ring was full. */
  readonly refused: number;
  readonly malformed: number;
  /** Messages for an earlier incarnation, of unknown type, or replies nobody waits for. */
  readonly dropped: number;
  readonly doorbells: number;
  /** Times a peer was not interrupted because it was looking by itself. */
  readonly doorbellsSaved: number;
  /** Times the endpoint stopped looking by itself; `received / batches` is what masking gains. */
  readonly batches: number;
}

export class EndpointTable {
  readonly endpoints_max: number;
  readonly records: EndpointRecords;
  /** Plain looks at the same records; see `EndpointPeek`. */
  readonly peek: Accessor<typeof EndpointPeek.fields>;

  constructor(memory: TypedMemory) {
    this.endpoints_max = messageGeometry(memory).endpoints_max;
    const base = attachLines(memory, areaName.endpoints);
    this.records = recordsAt(EndpointControl, memory, base, this.endpoints_max);
    this.peek = recordsAt(EndpointPeek, memory, base, this.endpoints_max);
  }

  /** The life word of an address; 0 for one that does not exist. */
  life(address: number): number {
    return address >= 0 && address < this.endpoints_max ? this.records.life(address) : life.absent;
  }

  /** Makes an address alive as a new incarnation, which receives no message meant for an earlier one. */
  open(address: number): number {
    const word = lifeWord(life.live, lifeIncarnation(this.life(address)) + 1);
    this.records.setMasked(address, 0);
    this.records.setLife(address, word);
    return word;
  }

  /**
   * Declares the owner of an endpoint dead: nothing is sent to it any more and what it owes fails. Its
   * peers notice when they next drain; interrupt them.
   */
  markDead(address: number): void {
    const word = this.life(address);
    if (lifeState(word) !== life.live) return;
    this.records.compareExchangeLife(address, word, lifeWord(life.dead, lifeIncarnation(word)));
  }

  counters(address: number): EndpointCounters {
    const records = this.records;
    return {
      sent: records.sent(address),
      received: records.received(address),
      refused: records.refused(address),
      malformed: records.malformed(address),
      dropped: records.dropped(address),
      doorbells: records.doorbells(address),
      doorbellsSaved: records.doorbellsSaved(address),
      batches: records.batches(address),
    };
  }
}

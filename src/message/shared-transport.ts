/**
 * The shared-memory plug-in: carries messages between the cores of one island.
 *
 * In the island's memory lie, as named areas,
 * - `message.root`: how everything below is sized, written once by the machine (`formatMessages`);
 * - `message.endpoints`: a control record for each address: is it alive, does it want doorbells;
 * - `message.groups` and others: see `group.ts`;
 * - `message.ring.A.B`: the rings from A to B, one for each priority, made by A on its first message.
 *
 * Doorbells: a receiver that drains its rings masks them, and senders then ring nobody. No wake-up is
 * lost. A sender publishes, then loads `masked`; a receiver stores 0 to `masked`, then looks at its rings
 * once more before it goes away. Atomic operations have one total order: if the sender's load comes after
 * the receiver's store, it sees 0 and rings; if it comes before, so does the publication, and the
 * receiver's last look sees the message. The same holds for a new ring: its maker bumps `connections`
 * before it sends, and the last look includes that word.
 */
import { errno } from "../kernel/errno.ts";
import type { Accessor, TypedMemory } from "../memory/index.ts";
import {
  type ChannelCapabilities,
  type Doorbell,
  type FaultReport,
  life,
  lifeState,
  type OutgoingChannel,
  type Priority,
  priority,
  priorityCount,
  type ReceivedMessage,
  type Transport,
} from "./channel.ts";
import { type EndpointRecords, EndpointTable } from "./endpoint-table.ts";
import { MessageUsageError } from "./errors.ts";
import { areaName, type MessageGeometry, messageGeometry } from "./geometry.ts";
import {
  attachLines,
  cacheLine_bytes,
  createLines,
  type EndpointPeek,
  linesOf,
  RingControl,
  recordsAt,
} from "./layout.ts";
import { formatRing, RingConsumer, type RingPlace, RingProducer } from "./ring.ts";

export interface SharedTransportOptions {
  readonly memory: TypedMemory;
  readonly address: number;
  readonly doorbell: Doorbell;
  /** Told about each malformed message. */
  readonly report?: FaultReport;
  /**
   * Carry on as the incarnation that is alive (a new kernel takes over the state of the old one) instead
   * of opening a new one.
   */
  readonly continueIncarnation?: boolean;
}

/** One endpoint's end of all rings from and to it. */
export class SharedTransport implements Transport {
  readonly address: number;
  readonly address_limit: number;
  readonly capabilities: ChannelCapabilities;
  readonly geometry: MessageGeometry;
  readonly table: EndpointTable;
  readonly #memory: TypedMemory;
  readonly #records: EndpointRecords;
  readonly #peek: Accessor<typeof EndpointPeek.fields>;
  readonly #doorbell: Doorbell;
  readonly #report: FaultReport;
  /** Rings towards this endpoint, by priority, and where the last look at them ended. */
  readonly #incoming: RingConsumer[][] = [];
  readonly #turn: number[] = [];
  readonly #connected = new Set<number>();
  #connectionsSeen = 0;

  constructor(options: SharedTransportOptions) {
    const { memory, address } = options;
    this.geometry = messageGeometry(memory);
    this.table = new EndpointTable(memory);
    if (!Number.isInteger(address) || address < 0 || address >= this.table.endpoints_max) {
      throw new MessageUsageError(
        `address ${address} must be 0 to ${this.table.endpoints_max - 1} (endpoints_max)`,
      );
    }
    this.address = address;
    this.address_limit = this.table.endpoints_max;
    this.capabilities = { payload_bytes_max: this.geometry.payload_bytes_max, ordered: true, reliable: true };
    this.#memory = memory;
    this.#records = this.table.records;
    this.#peek = this.table.peek;
    this.#doorbell = options.doorbell;
    const report = options.report ?? (() => {});
    this.#report = (fault) => {
      this.count("malformed");
      report(fault);
    };
    for (let i = 0; i < priorityCount; i++) {
      this.#incoming.push([]);
      this.#turn.push(0);
    }
    this.#findSenders();
    if (options.continueIncarnation !== true || lifeState(this.life(address)) !== life.live)
      this.table.open(address);
  }

  reaches(peer: number): boolean {
    return peer >= 0 && peer < this.address_limit;
  }

  life(peer: number): number {
    return this.#peek.life(peer);
  }

  connect(peer: number, level: Priority): OutgoingChannel | number {
    if (!this.reaches(peer)) return -errno.HOSTUNREACH;
    const name = areaName.ring(this.address, peer);
    let places: RingPlace[];
    try {
      if (this.#memory.lookup(name) === undefined) {
        places = placesAt(
          this.#memory,
          createLines(this.#memory, name, ringArea_lines(this.geometry)),
          this.geometry,
        );
      } else {
        places = placesAt(this.#memory, attachLines(this.#memory, name), this.geometry);
      }
    } catch {
      // The area is all that can fail here, and only for want of memory or of a directory entry.
      return -errno.NOMEM;
    }
    // Every time, because an earlier incarnation may have died between making the area and labelling it.
    for (const place of places) formatRing(place, this.address, peer);
    this.#records.orSenders(peer, this.address >>> 5, 1 << (this.address & 31));
    this.#records.addConnections(peer, 1);
    return new RingProducer(places[level]);
  }

  notify(peer: number): void {
    const records = this.#records;
    records.setSent(this.address, records.sent(this.address) + 1);
    this.#interrupt(peer);
  }

  #interrupt(peer: number): void {
    const records = this.#records;
    if (records.masked(peer) !== 0) {
      records.setDoorbellsSaved(this.address, records.doorbellsSaved(this.address) + 1);
      return;
    }
    records.setDoorbells(this.address, records.doorbells(this.address) + 1);
    this.#doorbell.ring(peer);
  }

  /** The owner stops: from here on it is dead to its peers. */
  close(): void {
    this.table.markDead(this.address);
  }

  wake(): void {
    this.#doorbell.ring(this.address);
  }

  count(counter: "refused" | "malformed" | "dropped"): void {
    const records = this.#records;
    switch (counter) {
      case "refused":
        records.setRefused(this.address, records.refused(this.address) + 1);
        break;
      case "malformed":
        records.setMalformed(this.address, records.malformed(this.address) + 1);
        break;
      case "dropped":
        records.setDropped(this.address, records.dropped(this.address) + 1);
        break;
    }
  }

  mask(): void {
    this.#records.setMasked(this.address, 1);
  }

  unmask(): void {
    this.#records.setBatches(this.address, this.#records.batches(this.address) + 1);
    this.#records.setMasked(this.address, 0);
  }

  receive(into: ReceivedMessage, level: Priority): boolean {
    if (this.#peek.connections(this.address) !== this.#connectionsSeen) this.#findSenders();
    const rings = this.#incoming[level];
    const count = rings.length;
    let turn = this.#turn[level];
    for (let looked = 0; looked < count; looked++) {
      // The ring after the one that was served last comes first, so that no sender waits for another's flood.
      turn = turn + 1 < count ? turn + 1 : 0;
      const ring = rings[turn];
      if (!ring.receive(into)) continue;
      this.#turn[level] = turn;
      this.#records.setReceived(this.address, this.#records.received(this.address) + 1);
      if (ring.shouldRelease()) this.#release(ring, true);
      return true;
    }
    return false;
  }

  pending(): boolean {
    if (this.#records.connections(this.address) !== this.#connectionsSeen) return true;
    for (const rings of this.#incoming) for (const ring of rings) if (ring.pending()) return true;
    return false;
  }

  release(all: boolean): void {
    for (const rings of this.#incoming) for (const ring of rings) this.#release(ring, all);
  }

  #release(ring: RingConsumer, all: boolean): void {
    if (ring.release(all)) this.#interrupt(ring.sender);
  }

  /** Attaches to the rings of peers that connected since the last look. */
  #findSenders(): void {
    // The count is read first: whoever connects after this load bumps it again and is found next time.
    this.#connectionsSeen = this.#records.connections(this.address);
    for (let peer = 0; peer < this.address_limit; peer++) {
      if (this.#connected.has(peer)) continue;
      if ((this.#records.senders(this.address, peer >>> 5) & (1 << (peer & 31))) === 0) continue;
      const base = attachLines(this.#memory, areaName.ring(peer, this.address));
      const places = placesAt(this.#memory, base, this.geometry);
      const control = recordsAt(RingControl, this.#memory, places[0].control, 1);
      if (control.sender(0) !== peer || control.receiver(0) !== this.address) {
        this.#report({ kind: "broken", peer, type: 0, detail: "its ring is labelled for others" });
        continue;
      }
      for (const place of places)
        this.#incoming[place.priority].push(new RingConsumer(place, peer, this.#report));
      this.#connected.add(peer);
    }
  }
}

function ringArea_lines(geometry: MessageGeometry): number {
  return linesOf(RingControl, priorityCount) + geometry.urgentLines + geometry.normalLines;
}

/** Where the rings of one area lie: all control records first, then the lines of each ring. */
function placesAt(memory: TypedMemory, base: number, geometry: MessageGeometry): RingPlace[] {
  const control_bytes = linesOf(RingControl, 1) * cacheLine_bytes;
  const places: RingPlace[] = [];
  let lines = base + priorityCount * control_bytes;
  for (const level of [priority.urgent, priority.normal]) {
    const lineCount = level === priority.urgent ? geometry.urgentLines : geometry.normalLines;
    places.push({
      memory,
      control: base + level * control_bytes,
      lines,
      lineCount,
      payload_bytes_max: geometry.payload_bytes_max,
      priority: level,
    });
    lines += lineCount * cacheLine_bytes;
  }
  return places;
}

/**
 * The shared structures of the message layer. All of them are made of whole cache lines, each line
 * written by one side only, because a line that two cores write travels between them on every message.
 */
import {
  type Accessor,
  array,
  atomic,
  bytes,
  type Fields,
  f64,
  i32,
  layoutOf,
  overlay,
  type StructType,
  struct,
  type TypedMemory,
  u8,
  u16,
  u32,
} from "../memory/index.ts";

/** What cores transfer between each other, and what rings are counted in. */
export const cacheLine_bytes = 64;

/** Message layer structures always have this format: every kernel of an island generates the same code. */
const format = "lp64";

/** A whole cache line; areas are created as rows of them. */
export const CacheLine = struct("CacheLine", { line: bytes(cacheLine_bytes) });

/** How the message layer of an island is built; written once by the machine. */
export const MessageRoot = struct("MessageRoot", {
  endpoints_max: u32,
  urgentLines: u32,
  normalLines: u32,
  payload_bytes_max: u32,
  groups_max: u32,
  groupLines: u32,
});

/** One endpoint as its peers see it. */
export const EndpointControl = struct("EndpointControl", {
  /** Line 0, written when an endpoint is opened, dies, or a peer connects to it. */
  life: atomic(u32),
  /** Bumped by each peer that made a ring towards this endpoint, after setting its bit in `senders`. */
  connections: atomic(u32),
  senders: array(atomic(u32), 8),
  controlPad: bytes(24),
  /** Line 1, written by the endpoint: it looks at its rings by itself, doorbells are unnecessary. */
  masked: atomic(u32),
  maskPad: bytes(60),
  /** Line 2, written by the endpoint: what it has seen. Doubles are exact up to 2^53. */
  sent: f64,
  received: f64,
  refused: f64,
  malformed: f64,
  dropped: f64,
  doorbells: f64,
  doorbellsSaved: f64,
  batches: f64,
});

/** Addresses that the `senders` bitmaps have room for. */
export const endpoints_max_limit = 256;

/** The two ends of one ring. Positions count lines and wrap at `positionLimit`. */
export const RingControl = struct("RingControl", {
  /** Line 0: written once by whoever makes the ring. */
  lineCount: u32,
  sender: u32,
  receiver: u32,
  geometryPad: bytes(52),
  /** Line 1, written by the producer: where its next message goes. */
  tail: atomic(u32),
  tailPad: bytes(60),
  /**
   * Line 2, written by the consumer: the next message to take, which only its successor reads, and up to
   * where lines are free again.
   */
  cursor: u32,
  head: atomic(u32),
  headPad: bytes(56),
  /** Line 3, written by the producer only when the ring is full: it wants a doorbell when there is room. */
  roomWanted: atomic(u32),
  roomPad: bytes(60),
});

/** The first line of a message: its header and the start of its payload, which runs on over whole lines. */
export const RingLine = struct("RingLine", {
  /** `stampOf(position)` when the message is complete; stored last, and the only thing a consumer polls. */
  stamp: atomic(i32),
  type: u32,
  size: u32,
  correlation: u32,
  status: i32,
  sender: u32,
  toIncarnation: u16,
  fromIncarnation: u16,
  flags: u16,
  priority: u8,
  headerPad: u8,
  body: bytes(32),
});

/** Payload bytes in the first line of a message. */
export const firstLinePayload_bytes = 32;

/**
 * The same memory again with plain fields, for looking whether something has changed. An atomic load costs some
 * 15 ns, a plain one 1 ns, and polling is mostly looking in vain. What a plain load finds is only a hint: before
 * anything depends on it, an atomic load confirms it.
 */
export const RingLinePeek = struct("RingLinePeek", { stamp: i32, rest: bytes(60) });
export const EndpointPeek = struct("EndpointPeek", { life: u32, connections: u32, rest: bytes(184) });
export const GroupPeek = struct("GroupPeek", {
  state: u32,
  beforeMembers: bytes(60),
  members: array(u32, 8),
  rest: bytes(96),
});
export const RingRoomPeek = struct("RingRoomPeek", { before: bytes(192), roomWanted: u32, rest: bytes(60) });

/** States of a group's slot. A closed group can still be read. */
export const groupState = { free: 0, open: 1, closed: 2 } as const;

/** A slot for a multicast group; see `group.ts`. */
export const GroupControl = struct("GroupControl", {
  /** Line 0: changes when somebody opens, joins, leaves or closes. */
  state: atomic(u32),
  priority: u32,
  name: bytes(48),
  statePad: bytes(8),
  /** Line 1: the members, a bit for each address; and those of them that wait for room. */
  members: array(atomic(u32), 8),
  roomWanted: array(atomic(u32), 8),
  /** Line 2: who holds the slot (see `Claim`), and, written by the holder, the ring's positions. */
  holder: atomic(u32),
  tail: atomic(u32),
  /** No member's cursor is behind this. */
  head: atomic(u32),
  tailPad: bytes(52),
});

/** One member's place in a group. */
export const GroupMember = struct("GroupMember", {
  /** The life word it joined with. */
  life: atomic(u32),
  cursor: atomic(u32),
  memberPad: bytes(56),
});

/** Positions count lines modulo this, so that a stamp always has its top bit set and is never zero. */
export const positionLimit = 0x80000000;
const positionMask = 0x7fffffff;

/** The stamp of a message that starts at `position`: never 0, and different for every lap of the ring. */
export function stampOf(position: number): number {
  return position | 0x80000000;
}

/** The position `lines` lines further on. */
export function advance(position: number, lines: number): number {
  return (position + lines) & positionMask;
}

/** How many lines `to` is ahead of `from`. */
export function distance(from: number, to: number): number {
  return (to - from) & positionMask;
}

/** Lines of a message with `size` bytes of payload. */
export function linesFor(size: number): number {
  return size <= firstLinePayload_bytes ? 1 : (size + firstLinePayload_bytes + 63) >>> 6;
}

/** Largest payload that fits `lines` lines. */
export function payloadOf(lines: number): number {
  return lines * cacheLine_bytes - firstLinePayload_bytes;
}

/** Lines needed for `count` records of a struct. */
export function linesOf(shape: StructType, count: number): number {
  return (layoutOf(shape, format).size / cacheLine_bytes) * count;
}

/**
 * Makes an area of whole cache lines.
 * @returns the byte offset of its first line, a multiple of 64.
 * @throws AreaError when the name is taken or the island's memory has no room.
 */
export function createLines(memory: TypedMemory, name: string, lines: number): number {
  return memory.create(name, CacheLine, { count: lines, format, align: cacheLine_bytes }).offset(0);
}

/** The byte offset of the first line of an area made by `createLines`. */
export function attachLines(memory: TypedMemory, name: string): number {
  return memory.attachArea(name, CacheLine).offset(0);
}

/**
 * An accessor without bounds checks over `count` records of whole lines at a byte offset. Every index
 * that is used with it is masked or checked by the caller.
 */
export function recordsAt<F extends Fields>(
  shape: StructType<F>,
  memory: TypedMemory,
  base: number,
  count: number,
): Accessor<F> {
  return overlay(shape, memory.buffer, { format, base, count, checked: false, guard: memory.guard });
}

// A struct that is not made of whole lines would share one with its neighbour.
for (const shape of [EndpointControl, RingControl, RingLine, GroupControl, GroupMember]) {
  const { size } = layoutOf(shape, format);
  if (size % cacheLine_bytes !== 0) throw new Error(`struct ${shape.name} has ${size} bytes, no whole lines`);
}

// A peek that lies elsewhere than what it peeks at would never see anything.
function requireSamePlaces(peek: StructType, whole: StructType): void {
  const layout = layoutOf(whole, format);
  const peekLayout = layoutOf(peek, format);
  const misplaced = peekLayout.fields.filter((field) =>
    layout.fields.some((other) => other.path === field.path && other.offset !== field.offset),
  );
  if (peekLayout.size !== layout.size || misplaced.length > 0)
    throw new Error(`struct ${peek.name} is misplaced`);
}
requireSamePlaces(RingLinePeek, RingLine);
requireSamePlaces(EndpointPeek, EndpointControl);
requireSamePlaces(RingRoomPeek, RingControl);
requireSamePlaces(GroupPeek, GroupControl);

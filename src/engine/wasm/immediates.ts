/**
 * The kinds of immediate operands that follow an opcode. One small number each: the opcode table maps every
 * instruction to a kind, and whoever walks code needs to know kinds only, never single opcodes.
 */
export const immediate = {
  /** Not an instruction. */
  invalid: 0,
  none: 1,
  /** A block type: empty, one value type, or a type index as a signed integer. */
  blockType: 2,
  /** One unsigned index of something that instrumentation leaves alone: label, local, global, tag, data... */
  index: 3,
  /** Two such indices. */
  indexPair: 4,
  /** A function index. */
  function: 5,
  /** A type index and a table index. */
  callIndirect: 6,
  /** The labels of a `br_table`. */
  labels: 7,
  /** Alignment, optional memory index, offset. */
  memoryArgument: 8,
  /** A memory argument and a lane number. */
  memoryArgumentLane: 9,
  /** A memory index. */
  memory: 10,
  /** Target and source memory index of `memory.copy`. */
  memoryPair: 11,
  /** A data segment index and a memory index. */
  dataMemory: 12,
  signed32: 13,
  signed64: 14,
  bytes1: 15,
  bytes4: 16,
  bytes8: 17,
  bytes16: 18,
  /** The result types of a typed `select`. */
  valueTypes: 19,
  heapType: 20,
  /** A block type and the catch clauses of a `try_table`. */
  catches: 21,
  /** Flags, label and two heap types of a `br_on_cast`. */
  castBranch: 22,
} as const;

export type Immediate = (typeof immediate)[keyof typeof immediate];

/** In the alignment of a memory argument: a memory index follows. */
export const memoryIndexFlag = 0x40;

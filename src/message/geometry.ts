/**
 * How the message layer of an island is sized, and the laying out of its areas.
 */
import type { TypedMemory } from "../memory/index.ts";
import { MessageUsageError } from "./errors.ts";
import {
  createLines,
  EndpointControl,
  endpoints_max_limit,
  GroupControl,
  GroupMember,
  linesFor,
  linesOf,
  MessageRoot,
  payloadOf,
} from "./layout.ts";

/** Names of the areas. */
export const areaName = {
  /** The sizes, written once. */
  root: "message.root",
  /** A control record for each address. */
  endpoints: "message.endpoints",
  /** Control records of groups. */
  groups: "message.groups",
  /** The members' places in groups. */
  groupMembers: "message.group.members",
  /** The ring of a group's slot. */
  groupRing: (slot: number) => `message.group.${slot}`,
  /** The rings from one address to another. */
  ring: (sender: number, receiver: number) => `message.ring.${sender}.${receiver}`,
} as const;

/** Sizes of the message layer. All lines are 64 bytes; line counts are powers of two. */
export interface MessageGeometry {
  /** Addresses are 0 up to this; at most 256. */
  readonly endpoints_max: number;
  /** Lines of each ring for urgent messages. */
  readonly urgentLines: number;
  /** Lines of each ring for normal messages. */
  readonly normalLines: number;
  /** Largest payload; it must fit half of the smallest ring. The default is a page and a few words. */
  readonly payload_bytes_max: number;
  /** Multicast groups that can be open at the same time. */
  readonly groups_max: number;
  /** Lines of a group's ring. */
  readonly groupLines: number;
}

const defaultGeometry: MessageGeometry = {
  endpoints_max: 16,
  urgentLines: 128,
  normalLines: 256,
  payload_bytes_max: 4128,
  groups_max: 16,
  groupLines: 256,
};

/**
 * Lays out the message layer in an island's memory. Called once, by the machine, before any endpoint opens.
 * @throws MessageUsageError when the sizes contradict each other, AreaError when they do not fit the memory.
 */
export function formatMessages(memory: TypedMemory, sizes: Partial<MessageGeometry> = {}): MessageGeometry {
  const geometry = { ...defaultGeometry, ...sizes };
  const { endpoints_max, payload_bytes_max } = geometry;
  if (!Number.isInteger(endpoints_max) || endpoints_max < 1 || endpoints_max > endpoints_max_limit) {
    throw new MessageUsageError(`endpoints_max ${endpoints_max} must be 1 to ${endpoints_max_limit}`);
  }
  for (const name of ["urgentLines", "normalLines", "groupLines"] as const) {
    const lines = geometry[name];
    if (!Number.isInteger(Math.log2(lines)) || lines < 8) {
      throw new MessageUsageError(`${name} ${lines} must be a power of two, at least 8`);
    }
    if (linesFor(payload_bytes_max) > lines / 2 + 1) {
      throw new MessageUsageError(
        `payload_bytes_max ${payload_bytes_max} must be at most ${payloadOf(lines / 2 + 1)} with ${lines} ${name}`,
      );
    }
  }
  const root = memory.create(areaName.root, MessageRoot, { count: 1 });
  root.setEndpoints_max(0, endpoints_max);
  root.setUrgentLines(0, geometry.urgentLines);
  root.setNormalLines(0, geometry.normalLines);
  root.setPayload_bytes_max(0, payload_bytes_max);
  root.setGroups_max(0, geometry.groups_max);
  root.setGroupLines(0, geometry.groupLines);
  createLines(memory, areaName.endpoints, linesOf(EndpointControl, endpoints_max));
  createLines(memory, areaName.groups, linesOf(GroupControl, geometry.groups_max + 1));
  createLines(memory, areaName.groupMembers, linesOf(GroupMember, geometry.groups_max * endpoints_max));
  return geometry;
}

/** The sizes an island's message layer was formatted with. */
export function messageGeometry(memory: TypedMemory): MessageGeometry {
  const root = memory.attachArea(areaName.root, MessageRoot);
  return {
    endpoints_max: root.endpoints_max(0),
    urgentLines: root.urgentLines(0),
    normalLines: root.normalLines(0),
    payload_bytes_max: root.payload_bytes_max(0),
    groups_max: root.groups_max(0),
    groupLines: root.groupLines(0),
  };
}

/**
 * Messages between kernels: endpoints, channels, groups, message types. Built on typed shared memory; knows
 * nothing of kernels and processes.
 */
export type {
  ChannelCapabilities,
  Doorbell,
  FaultReport,
  MessageFault,
  MessageHeader,
  MessageSource,
  OutgoingChannel,
  Priority,
  ReceivedMessage,
  Transport,
} from "./channel.ts";
export { life, lifeIncarnation, lifeState, lifeWord, messageFlag, priority } from "./channel.ts";
export type { EndpointOptions, MessageHandler, MulticastChannel, RequestHandler } from "./endpoint.ts";
export { Endpoint } from "./endpoint.ts";
export type { EndpointCounters } from "./endpoint-table.ts";
export { EndpointTable } from "./endpoint-table.ts";
export { MessageUsageError } from "./errors.ts";
export type { MessageGeometry } from "./geometry.ts";
export { formatMessages, messageGeometry } from "./geometry.ts";
export type { Group } from "./group.ts";
export type { GroupsOptions } from "./groups.ts";
export { Groups } from "./groups.ts";
export type {
  FieldValue,
  MessageFields,
  MessageTail,
  MessageType,
  MessageValues,
  RequestType,
} from "./protocol.ts";
export { message, rawMessage, rawRequest, request, typeNumber } from "./protocol.ts";
export type { Reply } from "./requests.ts";
export type { SharedTransportOptions } from "./shared-transport.ts";
export { SharedTransport } from "./shared-transport.ts";

/**
 * Message types, declared once and shared by sender and receiver:
 *
 *     const ProcessExited = message("process_exited", { pid: u32, status: i32 });
 *     const OpenFile = request("open_file", { flags: u32 }, { handle: u32 }, { tail: true });
 *
 * A payload is a memory struct in the format `lp64`, optionally followed by a *tail* of bytes (a path, file
 * contents). A request is a pair of message types, `open_file_request` and `open_file_reply`. Types are told
 * apart on the wire by a number made from the name, so there is no table to keep; an endpoint refuses to
 * handle two types whose numbers collide.
 */
import {
  type ArrayType,
  type BytesType,
  type Fields,
  type FieldType,
  layoutOf,
  type PointerType,
  type ScalarType,
  type StructType,
  struct,
} from "../memory/index.ts";
import { type Codec, payloadFormat, rawCodec, structCodec } from "./codec.ts";
import { MessageUsageError } from "./errors.ts";
import type { Staging } from "./staging.ts";

/** What a message's fields may be. Atomics and locks make no sense in a copy. */
export type MessageField = ScalarType | BytesType | PointerType | ArrayType | StructType;
export type MessageFields = { readonly [field: string]: MessageField };

/** The JavaScript value of a field: a number, a boolean, bytes, an array of values, an object of values. */
export type FieldValue<T> =
  T extends ScalarType<infer Name>
    ? "bool" extends Name
      ? boolean
      : number
    : T extends BytesType
      ? Uint8Array
      : T extends ArrayType<infer Element>
        ? readonly FieldValue<Element>[]
        : T extends StructType<infer F>
          ? MessageValues<F>
          : number;

/** The values of all fields of a payload. */
export type MessageValues<F extends Fields> = { readonly [Key in keyof F]: FieldValue<F[Key]> };

/** Bytes after the fields of a payload. */
export interface MessageTail {
  readonly tail: Uint8Array;
}

export interface MessageType<T> {
  readonly name: string;
  /** Identifies the type on the wire; made from the name. */
  readonly number: number;
  /** Bytes of the fields; a tail comes on top. */
  readonly size: number;
  /** A codec over a staging memory. */
  bind(staging: Staging): Codec<T>;
}

/** A request and its reply. */
export interface RequestType<Q, R> {
  readonly name: string;
  readonly request: MessageType<Q>;
  readonly reply: MessageType<R>;
}

/** The wire number of a type name: 30 bits of its FNV-1a hash, which is what engines handle as small integers. */
export function typeNumber(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash >>> 2;
}

/** Declares an asynchronous message. With `tail`, the payload ends with any number of bytes. */
export function message<const F extends MessageFields>(
  name: string,
  fields: F,
  options: { readonly tail: true },
): MessageType<MessageValues<F> & MessageTail>;
export function message<const F extends MessageFields>(
  name: string,
  fields: F,
): MessageType<MessageValues<F>>;
export function message(
  name: string,
  fields: MessageFields,
  options?: { readonly tail: true },
): MessageType<MessageValues<MessageFields> & Partial<MessageTail>> {
  const withTail = options?.tail === true;
  if (withTail && "tail" in fields)
    throw new MessageUsageError(`message ${name}: a field cannot be called tail`);
  for (const [field, type] of Object.entries(fields)) requireCopyable(name, field, type);
  // A struct needs a field, a payload does not.
  const shape = Object.keys(fields).length === 0 ? undefined : struct(name, fields);
  const size = shape === undefined ? 0 : layoutOf(shape, payloadFormat).size;
  return Object.freeze({
    name,
    number: typeNumber(name),
    size,
    // The codec is made from the same declaration as the type of the values.
    bind: (staging: Staging) => structCodec(shape, withTail, staging) as Codec<never>,
  });
}

/** Declares a request and its reply. With `tail`, both payloads end with any number of bytes. */
export function request<const Q extends MessageFields, const R extends MessageFields>(
  name: string,
  fields: Q,
  replyFields: R,
  options: { readonly tail: true },
): RequestType<MessageValues<Q> & MessageTail, MessageValues<R> & MessageTail>;
export function request<const Q extends MessageFields, const R extends MessageFields>(
  name: string,
  fields: Q,
  replyFields: R,
): RequestType<MessageValues<Q>, MessageValues<R>>;
export function request(
  name: string,
  fields: MessageFields,
  replyFields: MessageFields,
  options?: { readonly tail: true },
): RequestType<MessageValues<MessageFields>, MessageValues<MessageFields>> {
  const declare = (full: string, of: MessageFields) =>
    options === undefined ? message(full, of) : message(full, of, options);
  return Object.freeze({
    name,
    request: declare(`${name}_request`, fields),
    reply: declare(`${name}_reply`, replyFields),
  });
}

/** Declares a message whose payload is bytes and nothing else. */
export function rawMessage(name: string): MessageType<Uint8Array> {
  return Object.freeze({ name, number: typeNumber(name), size: 0, bind: rawCodec });
}

/** Declares a request and a reply whose payloads are bytes and nothing else. */
export function rawRequest(name: string): RequestType<Uint8Array, Uint8Array> {
  return Object.freeze({ name, request: rawMessage(`${name}_request`), reply: rawMessage(`${name}_reply`) });
}

function requireCopyable(name: string, field: string, type: FieldType): void {
  if (type.kind === "atomic" || type.kind === "lock") {
    throw new MessageUsageError(
      `message ${name}: field ${field} is a ${type.kind}, which a message cannot carry`,
    );
  }
  if (type.kind === "array") requireCopyable(name, field, type.element);
  if (type.kind === "struct") {
    for (const [part, inner] of Object.entries(type.fields)) requireCopyable(name, `${field}.${part}`, inner);
  }
}

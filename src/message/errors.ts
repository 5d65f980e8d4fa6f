/**
 * What can go wrong with a message is a value: a result below zero is a negated number from the errno table.
 * Everything in this folder uses these of them:
 *
 * | error | meaning |
 * |---|---|
 * | AGAIN | the ring is full (or a group stayed busy): nothing was sent, try again when the peer is writable |
 * | NOLINK | the peer is dead, or died before it replied |
 * | HOSTUNREACH | no endpoint of that address was ever opened, or no transport reaches it |
 * | MSGSIZE | the payload is larger than the channel takes |
 * | BADMSG | the payload does not fit its declared type |
 * | NOSYS | the peer has no handler for that type of request |
 * | IO | the handler of the request failed |
 * | DEADLK | the peer's handlers are nested too deep in calls of their own to run another; the request was not handled |
 * | TIMEDOUT | no reply came in time; the request may or may not have been carried out |
 * | IDRM | the group was closed, or this endpoint is not a member of it |
 * | NOENT | no group of that name is open |
 * | NOMEM | no memory is left for another ring or group |
 * | PROTO | the other side's ring positions contradict each other; the channel is out of service |
 */

/** The message layer was used against its rules: a broken invariant of the caller. */
export class MessageUsageError extends Error {
  override readonly name: string = "MessageUsageError";
}

/**
 * `sock_*`: there is no network yet, so no descriptor is a socket. The calls say so in the order in which
 * they would find out.
 */
import { errno } from "../kernel/errno.ts";
import type { Caller } from "./caller.ts";

/** `sock_accept`, `sock_recv`, `sock_send`, `sock_shutdown` */
export function onSocket(caller: Caller, fd: number): number {
  const file = caller.lookup(fd, 0);
  return file < 0 ? -file : errno.NOTSOCK;
}

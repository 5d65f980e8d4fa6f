/**
 * `dma_transfer`: moves bytes by the DMA engine of machines that have one. In C:
 *
 *     __attribute__((import_module("archipelago_1"), import_name("dma_transfer")))
 *     int dma_transfer(int fd, int length);
 *
 * `fd` is an open `/dev/dma`. The first `length` bytes that were put into its source buffer (`pwrite`) are copied to its
 * target buffer, where `read` finds them. The caller sleeps meanwhile. At most 1 MiB at once.
 */
import { errno } from "../kernel/errno.ts";
import type { Caller } from "./caller.ts";
import type { WasiFunction } from "./functions.ts";
import { right } from "./rights.ts";
import { descriptorFlag } from "./structs.ts";

/** Also EAGAIN, with the flag for not waiting; EBUSY: another thread has one going; EINVAL: no such length; ENOTTY. */
function transfer(caller: Caller, fd: number, length: number): number {
  const { files } = caller;
  const { thread } = caller.process;
  caller.awake();
  const file = caller.lookup(fd, right.FD_WRITE);
  if (file < 0) return caller.dataError(fd, file);
  if (length < 0) return errno.INVAL;
  let moved = files.transfer?.(file, length, thread) ?? -errno.NOTTY;
  if (moved === -errno.AGAIN) {
    if ((files.flags(file) & descriptorFlag.nonblock) !== 0) return errno.AGAIN;
    const linked = caller.waitOn(files.writeQueue(file));
    moved = files.transfer?.(file, length, thread) ?? -errno.NOTTY;
    if (moved === -errno.AGAIN) return caller.sleep(Infinity, linked);
    caller.awake();
  }
  if (moved < 0) return -moved;
  return moved === length ? errno.SUCCESS : errno.INVAL;
}

export const dmaFunctions: Readonly<Record<string, WasiFunction>> = {
  dma_transfer: {
    parameters: "ii",
    make: (c) => (fd: number, length: number) => transfer(c.caller, fd, length),
  },
};

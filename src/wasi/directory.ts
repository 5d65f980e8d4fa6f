/** `fd_readdir`: directory entries, packed into the program's buffer. */
import { errno } from "../kernel/errno.ts";
import { type Accessor, overlay } from "../memory/index.ts";
import type { FileType } from "../services/fs/filesystem.ts";
import type { Caller } from "./caller.ts";
import { highHalf, lowHalf } from "./guest-memory.ts";
import { right } from "./rights.ts";
import { DirectoryEntry, guestFormat } from "./structs.ts";

type EntryAccessor = Accessor<typeof DirectoryEntry.fields>;

/**
 * Fills a buffer with entries, one after the other. The last one is cut off where the buffer ends: a program
 * knows from a full buffer that there is more, and asks again from the last entry it got whole.
 */
export class EntryPacker {
  private readonly caller: Caller;
  private readonly headerSize: number;
  private start = 0;
  private at = 0;
  private end = 0;
  /** Where the header of an entry that does not fit is made. */
  private cutHeader: EntryAccessor | undefined;
  private readonly cutHeaderBytes: Uint8Array;

  constructor(caller: Caller) {
    this.caller = caller;
    this.headerSize = caller.memory.sizeOf(caller.memory.directoryEntries);
    this.cutHeaderBytes = new Uint8Array(this.headerSize);
  }

  begin(address: number, length: number): void {
    this.start = address;
    this.at = address;
    this.end = address + length;
  }

  /** Bytes filled since `begin`. */
  get used(): number {
    return this.at - this.start;
  }

  /** Takes one entry; false when the buffer is full. A field, so that it can be handed out as it is. */
  readonly visit = (next: number, inode: number, type: FileType, name: Uint8Array): boolean => {
    if (this.at >= this.end) return false;
    const { memory } = this.caller;
    const size = this.headerSize + name.length;
    if (this.at + size <= this.end) {
      putHeader(memory.directoryEntries, this.at, next, inode, type, name.length);
      memory.put(this.at + this.headerSize, name);
      this.at += size;
      return this.at < this.end;
    }
    this.cutHeader ??= overlay(DirectoryEntry, this.cutHeaderBytes.buffer, {
      format: guestFormat,
      addressing: "address",
    });
    putHeader(this.cutHeader, 0, next, inode, type, name.length);
    const room = this.end - this.at;
    memory.put(this.at, this.cutHeaderBytes.subarray(0, Math.min(room, this.headerSize)));
    if (room > this.headerSize)
      memory.put(this.at + this.headerSize, name.subarray(0, room - this.headerSize));
    this.at = this.end;
    return false;
  };
}

function putHeader(
  entries: EntryAccessor,
  at: number,
  next: number,
  inode: number,
  type: FileType,
  nameLength: number,
): void {
  entries.clear(at);
  entries.setNextHalves(at, lowHalf(next), highHalf(next));
  entries.setInodeHalves(at, lowHalf(inode), highHalf(inode));
  entries.setNameLength(at, nameLength);
  entries.setFileType(at, type);
}

/** `fd_readdir`: entries from `cookie` on, 0 being the first. */
export function fdReadDirectory(
  caller: Caller,
  fd: number,
  bufferAddress: number,
  bufferLength: number,
  cookie: number,
  resultAddress: number,
): number {
  const { memory, files } = caller;
  const address = bufferAddress >>> 0;
  const length = bufferLength >>> 0;
  const result = resultAddress >>> 0;
  memory.refresh();
  const file = caller.lookup(fd, right.FD_READDIR);
  if (file < 0) return caller.directoryError(fd, file);
  if (!memory.holds(address, length) || !memory.holdsWord(result)) return errno.FAULT;
  if (!Number.isSafeInteger(cookie) || cookie < 0) return errno.INVAL;
  const { packer } = caller;
  packer.begin(address, length);
  const failure = files.readDirectory(file, cookie, packer.visit);
  if (failure < 0) return -failure;
  memory.words.setValue(result, packer.used);
  return errno.SUCCESS;
}

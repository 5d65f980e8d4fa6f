/**
 * Character devices: what drivers offer and where files find them. Every kernel has a table of its own with
 * the same numbers; a device that belongs to one kernel (the terminal) is a proxy on the others. Numbers are
 * given by whoever composes the system, and an open file stores only the number.
 */

/** Numbers of the devices that every system has. */
export const deviceNumber = {
  null: 1,
  zero: 2,
  full: 3,
  random: 4,
  urandom: 5,
  tty: 6,
  console: 7,
  dma: 8,
} as const;

/**
 * One device, as a kernel uses it. Results are counts or negated errors; −AGAIN when a call would have to
 * wait, with `readQueue` and `writeQueue` saying for what.
 */
export interface CharacterDevice {
  /** Name in `/dev`. */
  readonly name: string;
  /** A terminal: `isatty` is true and it cannot seek. */
  readonly isTerminal: boolean;
  /** `session` is what `openSession` gave, 0 without one; `thread` is who asks, 0 when that does not matter. */
  read(target: Uint8Array, offset: number, length: number, session: number, thread: number): number;
  write(source: Uint8Array, offset: number, length: number, session: number, thread: number): number;
  /** Zero or more when a read would not wait: bytes there are, 0 at the end of input. −AGAIN otherwise. */
  pollRead(session: number): number;
  pollWrite(session: number): number;
  /** Wait queues, 0 for a device that never blocks. */
  readonly readQueue: number;
  readonly writeQueue: number;

  // For devices that remember something for each open file.

  /** Number of a new session, 1 or more, or a negated errno. */
  openSession?(): number;
  closeSession?(session: number): void;
  /** Queue for reading and writing in a session, in place of `readQueue` and `writeQueue`. */
  queueOf?(session: number): number;
  /** As `read` and `write`, where positions mean something; otherwise they are ignored. */
  readAt?(target: Uint8Array, offset: number, length: number, position: number, session: number): number;
  writeAt?(source: Uint8Array, offset: number, length: number, position: number, session: number): number;
  /** What `dma_transfer` asks for: bytes, or −AGAIN. */
  transfer?(length: number, session: number, thread: number): number;
}

export class Devices {
  private readonly table: (CharacterDevice | undefined)[] = [];

  /**
   * Makes a device known under a number of one or more.
   * @throws RangeError when the number is taken.
   */
  register(number: number, device: CharacterDevice): void {
    if (!Number.isInteger(number) || number < 1) {
      throw new RangeError(`device ${device.name}: number ${number} is not positive`);
    }
    const present = this.table[number];
    if (present !== undefined) throw new RangeError(`device number ${number} is taken by ${present.name}`);
    this.table[number] = device;
  }

  get(number: number): CharacterDevice | undefined {
    return this.table[number];
  }

  /** Number of the device with a name, or 0. */
  find(name: string): number {
    for (let number = 1; number < this.table.length; number++)
      if (this.table[number]?.name === name) return number;
    return 0;
  }

  /** Numbers and devices, in the order of numbers. */
  list(): { readonly number: number; readonly device: CharacterDevice }[] {
    return this.table.flatMap((device, number) => (device === undefined ? [] : [{ number, device }]));
  }
}

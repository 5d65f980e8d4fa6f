/**
 * Reading a ring message by message, at a cursor: the part that rings of one consumer and rings of groups
 * have in common. A malformed message is counted, reported and skipped, and costs no other message.
 */
import type { FaultReport, Priority, ReceivedMessage } from "./channel.ts";
import { advance, distance } from "./layout.ts";
import type { MessageLines } from "./lines.ts";

/** The shared words a reader needs, wherever they lie. */
export interface ReaderPositions {
  /** Where the producer's next message goes; it lags behind what is published by an instant. */
  tail(): number;
  /** Stores the position of the next message to read. */
  storeCursor(position: number): void;
}

export interface ReaderOptions {
  readonly lines: MessageLines;
  readonly lineCount: number;
  readonly priority: Priority;
  /** The only sender there can be, or −1 if the ring has several. */
  readonly sender: number;
  readonly positions: ReaderPositions;
  readonly cursor: number;
  readonly report: FaultReport;
}

export class MessageReader {
  readonly #lines: MessageLines;
  readonly #lineCount: number;
  readonly #priority: Priority;
  readonly #sender: number;
  readonly #positions: ReaderPositions;
  readonly #report: FaultReport;
  /** The next message to read. */
  cursor: number;
  malformed = 0;
  /** A malformed message was met: its length is not to be trusted, so the next stamp has to be searched for. */
  #searching = false;
  /** The producer's positions are impossible. Only a new ring helps. */
  #broken = false;

  constructor(options: ReaderOptions) {
    this.#lines = options.lines;
    this.#lineCount = options.lineCount;
    this.#priority = options.priority;
    this.#sender = options.sender;
    this.#positions = options.positions;
    this.#report = options.report;
    this.cursor = options.cursor;
  }

  /**
   * True if a message, or what claims to be one, waits. Also finds out when a message lied about its size
   * and left the cursor where no message starts; that needs the producer's `tail`, whose line is in use
   * over there, so the polling in `receive` does without.
   */
  pending(): boolean {
    if (this.#broken) return false;
    if (this.#lines.publishedNow(this.cursor)) return true;
    const ahead = distance(this.cursor, this.#positions.tail());
    if (ahead === 0 || ahead > this.#lineCount) return false;
    // `tail` has passed the cursor, so a message that starts here must be visible by now.
    if (this.#searching || this.#lines.publishedNow(this.cursor)) return true;
    this.#refuse("no message starts where the one before it ended");
    return true;
  }

  /** Takes the next message; see `MessageSource.receive`. */
  receive(into: ReceivedMessage): boolean {
    for (;;) {
      if (this.#searching) this.#search();
      if (!this.#lines.published(this.cursor) || this.#broken) return false;
      const lines = this.#lines.read(this.cursor, into, this.#priority, this.#sender);
      if (lines > 0) {
        this.#moveTo(advance(this.cursor, lines));
        return true;
      }
      this.#refuse(this.#lines.refusal);
      this.#moveTo(advance(this.cursor, 1));
    }
  }

  /** Moves the cursor past messages that need not be read. */
  skipTo(position: number): void {
    this.#moveTo(position);
  }

  #refuse(detail: string): void {
    this.malformed++;
    this.#searching = true;
    this.#report({ kind: "malformed", peer: this.#sender, type: this.#lines.typeAt(this.cursor), detail });
  }

  /**
   * After a malformed message: goes on to the next stamp, or to `tail` if there is none. Payload that
   * imitates a stamp is taken for a message, but of the same sender, who could have sent it.
   */
  #search(): void {
    const tail = this.#positions.tail();
    if (distance(this.cursor, tail) > this.#lineCount) {
      // The cursor is ahead of `tail`: the producer is about to move it, and rings once it has.
      if (distance(tail, this.cursor) <= this.#lineCount) return;
      // Neither header nor tail can be trusted, so nothing more is read and nothing is freed: to its
      // producer the ring is full from now on.
      this.#broken = true;
      this.#report({
        kind: "broken",
        peer: this.#sender,
        type: 0,
        detail: `tail ${tail} is outside the ring`,
      });
      return;
    }
    while (this.cursor !== tail && !this.#lines.publishedNow(this.cursor))
      this.#moveTo(advance(this.cursor, 1));
    this.#searching = false;
  }

  #moveTo(position: number): void {
    this.cursor = position;
    this.#positions.storeCursor(position);
  }
}

/**
 * Hardware mailboxes: 32-bit words from core to core, each with an interrupt. The words of one core to another arrive
 * in the order of sending; words of different senders may overtake each other.
 */
import type { Mailbox } from "../soc.ts";
import type { SimWiring } from "./wiring.ts";

/** Fault injection: how much later than usual a mail arrives. The order for each pair stays. */
export type MailDelay = (from: number, to: number, word: number) => number;

export type MailHandler = (from: number, word: number) => void;

export interface MailStatistics {
  sent: number;
  delivered: number;
  /** Sent to a core that had no power when the mail arrived. */
  lost: number;
}

interface Mail {
  readonly from: number;
  readonly word: number;
}

/** A mail between its sending and its arrival. */
interface Journey {
  readonly sent_ns: number;
  readonly arrival_ns: number;
}

/** What one core has of the mailboxes. */
interface Receiver {
  handler: MailHandler | undefined;
  /** Mails that arrived before there was a handler. */
  readonly waiting: Mail[];
}

export class Mailboxes {
  readonly statistics: MailStatistics = { sent: 0, delivered: 0, lost: 0 };
  /** Extra delay of each mail; none unless a test or a simulation sets it. */
  extraDelay_ns: MailDelay | undefined;
  private readonly wiring: SimWiring;
  private readonly latency_ns: number;
  private readonly receivers: readonly Receiver[];
  /** When the last mail of a pair arrives, by sender × cores + receiver. */
  private readonly lastArrival_ns: Float64Array;
  /** Mails under way that postponed handlers have sent, likewise. */
  private readonly postponed: readonly Journey[][];

  constructor(wiring: SimWiring, coreCount: number, latency_ns: number) {
    this.wiring = wiring;
    this.latency_ns = latency_ns;
    this.receivers = Array.from({ length: coreCount }, () => ({ handler: undefined, waiting: [] }));
    this.lastArrival_ns = new Float64Array(coreCount * coreCount);
    this.postponed = Array.from({ length: coreCount * coreCount }, () => []);
  }

  /** The mailbox as one core's kernel sees it. */
  of(core: number): Mailbox {
    return {
      send: (to, word) => this.send(core, to, word),
      receive: (handler) => this.receive(core, handler),
    };
  }

  /**
   * @param isPostponed it is sent by a handler that was to wait until now. The core's own code has not got so far yet:
   * what that sends later, but at an earlier time, arrives before. All else arrives in the order in which the
   * simulation comes to it, so that nobody is asked for a page before he has got it.
   * @throws RangeError for a core that does not exist, or a word that does not fit in 32 bits.
   */
  send(from: number, to: number, word: number, isPostponed = false): void {
    if (this.receivers[to] === undefined) throw new RangeError(`mail to core ${to}`);
    if (word >>> 0 !== word && (word | 0) !== word) throw new RangeError(`mail of ${word}`);
    const { wiring } = this;
    const bits = word >>> 0;
    const sent_ns = wiring.now_ns();
    const extra_ns = Math.max(0, this.extraDelay_ns?.(from, to, bits) ?? 0);
    const pair = from * this.receivers.length + to;
    const postponed = this.postponed[pair];
    let arrival_ns = Math.max(sent_ns + this.latency_ns + extra_ns, this.lastArrival_ns[pair]);
    for (const earlier of postponed)
      if (earlier.sent_ns <= sent_ns) arrival_ns = Math.max(arrival_ns, earlier.arrival_ns);
    const journey: Journey = { sent_ns, arrival_ns };
    if (isPostponed) postponed.push(journey);
    else this.lastArrival_ns[pair] = arrival_ns;
    this.statistics.sent++;
    wiring.trace("mail-sent", from, to, bits);
    // Equal times keep the order of scheduling, so a pair's mails cannot change places in the queue either.
    const arrive = () => {
      if (isPostponed) postponed.splice(postponed.indexOf(journey), 1);
      this.arrive(to, { from, word: bits }, arrival_ns);
    };
    wiring.queue.push(arrival_ns, true, arrive, "mail");
  }

  /** Sets a core's handler; it then gets, as a hardware event, what arrived before. */
  receive(core: number, handler: MailHandler): void {
    const receiver = this.receivers[core];
    receiver.handler = handler;
    if (receiver.waiting.length === 0) return;
    const { wiring } = this;
    const time_ns = wiring.now_ns();
    wiring.queue.push(time_ns, true, () => this.drain(core, time_ns), "mail");
  }

  /** The core loses power or is reset: its handler and what waits for it are gone. */
  reset(core: number): void {
    const receiver = this.receivers[core];
    receiver.handler = undefined;
    this.statistics.lost += receiver.waiting.length;
    receiver.waiting.length = 0;
  }

  private arrive(to: number, mail: Mail, time_ns: number): void {
    const { statistics, wiring } = this;
    if (!wiring.isOn(to)) {
      statistics.lost++;
      wiring.trace("mail-lost", to, mail.from, mail.word);
      return;
    }
    this.receivers[to].waiting.push(mail);
    this.drain(to, time_ns);
  }

  /** Hands over what waits, one mail after the other, as long as there is a handler. */
  private drain(to: number, time_ns: number): void {
    const receiver = this.receivers[to];
    let now_ns = time_ns;
    while (receiver.handler !== undefined && receiver.waiting.length > 0 && this.wiring.isOn(to)) {
      const mail = receiver.waiting.shift() as Mail;
      const { handler } = receiver;
      this.statistics.delivered++;
      this.wiring.trace("mail", to, mail.from, mail.word);
      now_ns = this.wiring.runHandler(to, now_ns, () => handler(mail.from, mail.word));
    }
  }
}

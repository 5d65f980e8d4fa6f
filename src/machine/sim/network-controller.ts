/**
 * The network controller, in loopback: a frame leaves the transmit queue at the wire's bandwidth and arrives in the
 * receive queue of the same controller some time later. Both queues are bounded; a frame that finds the receive queue
 * full is lost, as on any network.
 */
import type { NetworkController } from "../soc.ts";
import type { SimWiring } from "./wiring.ts";

export interface NetworkTraits {
  readonly frame_bytes_max: number;
  /** Length of each of the two queues. */
  readonly queueFrames: number;
  readonly bandwidth_MBps: number;
  readonly latency_us: number;
}

export interface NetworkStatistics {
  sent: number;
  received: number;
  /** Arrived while the receive queue was full. */
  lost: number;
}

export class NetworkControllers {
  readonly frame_bytes_max: number;
  readonly statistics: NetworkStatistics = { sent: 0, received: 0, lost: 0 };
  private readonly wiring: SimWiring;
  private readonly raise: () => void;
  private readonly queueFrames: number;
  private readonly bytesPer_ns: number;
  private readonly latency_ns: number;
  private readonly arrived: Uint8Array[] = [];
  /** Frames that have not left the transmit queue. */
  private transmitting = 0;
  /** When the wire has sent all of them. */
  private wireFree_ns = 0;
  /** Somebody was refused and waits for room. */
  private refused = false;
  /** Grows with each reset: frames that were on the wire before do not arrive. */
  private life = 0;

  /** @param raise Raises the shared interrupt `network`. */
  constructor(wiring: SimWiring, traits: NetworkTraits, raise: () => void) {
    this.wiring = wiring;
    this.raise = raise;
    this.frame_bytes_max = traits.frame_bytes_max;
    this.queueFrames = traits.queueFrames;
    this.bytesPer_ns = traits.bandwidth_MBps / 1000;
    this.latency_ns = traits.latency_us * 1000;
  }

  /**
   * The controller as one core's kernel sees it.
   * @param reachOut Called before each access to the controller's registers: lets time pass on the core.
   */
  of(reachOut: () => void): NetworkController {
    return {
      frame_bytes_max: this.frame_bytes_max,
      send: (frame) => {
        reachOut();
        return this.send(frame);
      },
      receive: () => {
        reachOut();
        return this.receive();
      },
    };
  }

  /** Takes a copy of the frame. @throws RangeError for an empty frame or one that is too long. */
  send(frame: Uint8Array): boolean {
    if (!(frame.length > 0 && frame.length <= this.frame_bytes_max)) {
      throw new RangeError(`a frame of ${frame.length} bytes; at most ${this.frame_bytes_max}`);
    }
    if (this.transmitting >= this.queueFrames) {
      this.refused = true;
      return false;
    }
    const { wiring } = this;
    const copy = new Uint8Array(frame.length);
    copy.set(frame);
    const sent_ns = Math.max(this.wireFree_ns, wiring.now_ns()) + frame.length / this.bytesPer_ns;
    this.wireFree_ns = sent_ns;
    this.transmitting++;
    this.statistics.sent++;
    wiring.trace("frame-sent", -1, frame.length);
    const life = this.life;
    const arrival_ns = sent_ns + this.latency_ns;
    wiring.queue.push(sent_ns, true, () => this.leave(life), "network");
    wiring.queue.push(arrival_ns, true, () => this.arrive(life, copy), "network");
    return true;
  }

  receive(): Uint8Array | undefined {
    return this.arrived.shift();
  }

  /** Forgets all frames. For a reset of the whole machine. */
  reset(): void {
    this.life++;
    this.arrived.length = 0;
    this.transmitting = 0;
    this.wireFree_ns = 0;
    this.refused = false;
  }

  /** A frame has left the transmit queue. */
  private leave(life: number): void {
    if (life !== this.life) return;
    this.transmitting--;
    if (!this.refused) return;
    this.refused = false;
    this.raise();
  }

  private arrive(life: number, frame: Uint8Array): void {
    if (life !== this.life) return;
    if (this.arrived.length >= this.queueFrames) {
      this.statistics.lost++;
      this.wiring.trace("frame-lost", -1, frame.length);
      return;
    }
    this.arrived.push(frame);
    this.statistics.received++;
    this.wiring.trace("frame", -1, frame.length);
    this.raise();
  }
}

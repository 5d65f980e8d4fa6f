/**
 * What carries datagrams away: software, which hands them to the receiving socket at once, or a network controller
 * in loopback, where they arrive again as packets.
 */
import { errno } from "../../kernel/errno.ts";
import type { WaitService } from "../../kernel/wait.ts";
import type { Soc } from "../../machine/soc.ts";
import { type Datagram, emptyDatagram, payload_bytes_max } from "./datagram.ts";
import { headers_bytes, PacketCodec } from "./packet.ts";
import type { NetworkAreas } from "./state.ts";

/** Hands a datagram to the socket that it is for. */
export type Deliver = (datagram: Datagram) => void;

export interface Interface {
  /** The largest payload that it carries. */
  readonly payload_bytes_max: number;
  /** Queue to wait on when it takes nothing more; 0 where that does not happen. */
  readonly transmitQueue: number;
  /** Zero, or −AGAIN when it takes nothing more for now. */
  send(datagram: Datagram): number;
  /** False while `send` would give −AGAIN. */
  isReady(): boolean;
  /** Takes what has arrived. */
  interrupt(): void;
}

export class SoftwareLoopback implements Interface {
  readonly payload_bytes_max = payload_bytes_max;
  readonly transmitQueue = 0;
  private readonly deliver: Deliver;

  constructor(deliver: Deliver) {
    this.deliver = deliver;
  }

  send(datagram: Datagram): number {
    this.deliver(datagram);
    return 0;
  }

  isReady(): boolean {
    return true;
  }

  interrupt(): void {}
}

/** The parts of a chip that the driver uses. */
export type NetworkHardware = Pick<Soc, "network" | "spend">;

/**
 * What copying a payload and adding its checksum up takes, in cycles for each byte: an input. Packets are private to
 * the driver, so no cache charges for them.
 */
const packetCyclesPerByte = 2;

/** The driver of the network controller. Any kernel runs it: what it must remember is in the `NetworkBlock`. */
export class ControllerInterface implements Interface {
  readonly payload_bytes_max: number;
  private readonly hardware: NetworkHardware;
  private readonly network: NetworkAreas["network"];
  private readonly waits: WaitService;
  private readonly deliver: Deliver;
  private readonly codec: PacketCodec;
  private readonly arrived = emptyDatagram();

  constructor(
    hardware: NetworkHardware,
    network: NetworkAreas["network"],
    waits: WaitService,
    deliver: Deliver,
  ) {
    const packet_bytes_max = Math.min(hardware.network.frame_bytes_max, headers_bytes + payload_bytes_max);
    this.hardware = hardware;
    this.network = network;
    this.waits = waits;
    this.deliver = deliver;
    this.codec = new PacketCodec(packet_bytes_max);
    this.payload_bytes_max = packet_bytes_max - headers_bytes;
  }

  get transmitQueue(): number {
    return this.network.transmitQueue(0);
  }

  send(datagram: Datagram): number {
    this.hardware.spend((headers_bytes + datagram.length) * packetCyclesPerByte);
    if (this.hardware.network.send(this.codec.encode(datagram))) return 0;
    this.network.setTransmitFull(0, 1);
    return -errno.AGAIN;
  }

  isReady(): boolean {
    return this.network.transmitFull(0) === 0;
  }

  interrupt(): void {
    const { hardware, network, arrived } = this;
    for (;;) {
      const packet = hardware.network.receive();
      if (packet === undefined) break;
      hardware.spend(packet.length * packetCyclesPerByte);
      if (this.codec.decode(packet, arrived)) this.deliver(arrived);
      else network.addMalformed(0, 1);
    }
    // There may be room again: whoever waits tries, and finds out.
    if (network.transmitFull(0) === 0) return;
    network.setTransmitFull(0, 0);
    this.waits.wake(network.transmitQueue(0));
  }
}

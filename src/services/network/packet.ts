/**
 * Datagrams as they travel: IPv4 packets with a UDP header, both with checksums (RFC 791, RFC 768). Packets are
 * whole, never fragments, and have no options.
 */
import { layoutOf, overlay, struct, u8, u16, u32 } from "../../memory/index.ts";
import type { Datagram } from "./datagram.ts";

const networkOrder = "ilp32be";

const Ipv4Header = struct("Ipv4Header", {
  /** Version 4 in the upper half, the header's length in words in the lower. */
  versionAndLength: u8,
  service: u8,
  totalLength: u16,
  identification: u16,
  flagsAndOffset: u16,
  timeToLive: u8,
  protocol: u8,
  checksum: u16,
  source: u32,
  destination: u32,
});

const UdpHeader = struct("UdpHeader", { source: u16, destination: u16, length: u16, checksum: u16 });

const ipv4_bytes = layoutOf(Ipv4Header, networkOrder).size;
const udp_bytes = layoutOf(UdpHeader, networkOrder).size;
if (ipv4_bytes !== 20 || udp_bytes !== 8) throw new Error("packet headers are not laid out as the RFCs say");

/** Bytes of a packet besides the payload. */
export const headers_bytes = ipv4_bytes + udp_bytes;

const versionAndLength = (4 << 4) | (ipv4_bytes / 4);
const dontFragment = 0x4000;
/** Bits that say that a packet is part of a larger one: more fragments, or an offset. */
const fragment = 0x3fff;
const timeToLive = 64;
const udpProtocol = 17;

/** Puts packets together and takes them apart. One for each core. */
export class PacketCodec {
  private readonly buffer: Uint8Array;
  private readonly ipv4;
  private readonly udp;
  private identification = 0;

  /** For packets of up to `packet_bytes_max`. */
  constructor(packet_bytes_max: number) {
    const buffer = new ArrayBuffer(packet_bytes_max);
    this.buffer = new Uint8Array(buffer);
    this.ipv4 = overlay(Ipv4Header, buffer, { format: networkOrder, count: 1 });
    this.udp = overlay(UdpHeader, buffer, { format: networkOrder, base: ipv4_bytes, count: 1 });
  }

  /** The packet for a datagram, in memory of its own. The datagram must fit. */
  encode(datagram: Datagram): Uint8Array {
    const { buffer, ipv4, udp } = this;
    const { length, offset, bytes } = datagram;
    const total = headers_bytes + length;
    ipv4.clear(0);
    ipv4.setVersionAndLength(0, versionAndLength);
    ipv4.setTotalLength(0, total);
    ipv4.setIdentification(0, this.identification++);
    ipv4.setFlagsAndOffset(0, dontFragment);
    ipv4.setTimeToLive(0, timeToLive);
    ipv4.setProtocol(0, udpProtocol);
    ipv4.setSource(0, datagram.sourceAddress);
    ipv4.setDestination(0, datagram.destinationAddress);
    ipv4.setChecksum(0, inverse(sum(buffer, 0, ipv4_bytes, 0)));
    udp.setSource(0, datagram.sourcePort);
    udp.setDestination(0, datagram.destinationPort);
    udp.setLength(0, udp_bytes + length);
    udp.setChecksum(0, 0);
    buffer.set(bytes.subarray(offset, offset + length), headers_bytes);
    // A checksum of 0 says that there is none; its other form, all ones, means the same number.
    udp.setChecksum(0, inverse(this.udpSum(udp_bytes + length)) || 0xffff);
    return buffer.slice(0, total);
  }

  /** Takes a packet apart; false, and the datagram is of no use, for what is no whole and sound UDP packet. */
  decode(packet: Uint8Array, into: Datagram): boolean {
    const { buffer, ipv4, udp } = this;
    if (packet.length < headers_bytes || packet.length > buffer.length) return false;
    buffer.set(packet);
    if (ipv4.versionAndLength(0) !== versionAndLength || ipv4.totalLength(0) !== packet.length) return false;
    if (inverse(sum(buffer, 0, ipv4_bytes, 0)) !== 0) return false;
    if ((ipv4.flagsAndOffset(0) & fragment) !== 0 || ipv4.protocol(0) !== udpProtocol) return false;
    const length = udp.length(0);
    if (length !== packet.length - ipv4_bytes || udp.destination(0) === 0) return false;
    if (udp.checksum(0) !== 0 && inverse(this.udpSum(length)) !== 0) return false;
    into.sourceAddress = ipv4.source(0);
    into.sourcePort = udp.source(0);
    into.destinationAddress = ipv4.destination(0);
    into.destinationPort = udp.destination(0);
    into.bytes = buffer;
    into.offset = headers_bytes;
    into.length = length - udp_bytes;
    return true;
  }

  /** Sum over the UDP header, its payload, and the pseudo header: addresses, protocol, length. */
  private udpSum(length: number): number {
    const { buffer, ipv4 } = this;
    const source = ipv4.source(0);
    const destination = ipv4.destination(0);
    const pseudo = half(source) + half(destination) + udpProtocol + length;
    return sum(buffer, ipv4_bytes, ipv4_bytes + length, pseudo);
  }
}

/** The two halves of a word, added. */
function half(word: number): number {
  return (word >>> 16) + (word & 0xffff);
}

/** Adds up 16-bit words in network order; a byte left over is the upper half of a last one. */
function sum(bytes: Uint8Array, start: number, end: number, initial: number): number {
  let total = initial;
  for (let at = start; at + 1 < end; at += 2) total += (bytes[at] << 8) | bytes[at + 1];
  if ((end - start) % 2 !== 0) total += bytes[end - 1] << 8;
  return total;
}

/** The Internet checksum of a sum: carries added back in, then inverted. */
function inverse(total: number): number {
  let folded = total;
  while (folded > 0xffff) folded = Math.floor(folded / 0x10000) + (folded & 0xffff);
  return ~folded & 0xffff;
}

/** A UDP datagram on its way through the service. */

/** The most that an IPv4 datagram can carry: 65,535 bytes less the headers of IPv4 and UDP. */
export const payload_bytes_max = 65_507;

/** One record is reused for every datagram of a core: nobody keeps it. */
export interface Datagram {
  sourceAddress: number;
  sourcePort: number;
  destinationAddress: number;
  destinationPort: number;
  /** The payload is `[offset, offset + length)` of this. */
  bytes: Uint8Array;
  offset: number;
  length: number;
}

export function emptyDatagram(): Datagram {
  return {
    sourceAddress: 0,
    sourcePort: 0,
    destinationAddress: 0,
    destinationPort: 0,
    bytes: new Uint8Array(0),
    offset: 0,
    length: 0,
  };
}

/** IPv4 addresses as numbers, and which of them are this system's. */

/** Bind: every address of the system. As a destination: the system itself. */
export const anyAddress = 0;
export const loopbackAddress = 0x7f000001;
/** The system's own address, on its network interface. */
export const systemAddress = 0x0a000001;

/** All of 127.0.0.0/8 is loopback. */
export function isLoopback(address: number): boolean {
  return address >>> 24 === 127;
}

/** Whether datagrams for an address stay in this system. */
export function isLocal(address: number): boolean {
  return isLoopback(address) || address === systemAddress;
}

/** Where a socket that is bound to no address in particular sends from. */
export function sourceFor(destination: number): number {
  return isLoopback(destination) ? loopbackAddress : systemAddress;
}

/** "127.0.0.1" */
export function addressText(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
}

/** How sizes and tasks are written for people. */
import type { LightTask } from "./energy.ts";

export function size(bytes: number): string {
  if (bytes >= 1 << 20) return `${bytes / (1 << 20)} MiB`;
  return bytes >= 1 << 10 ? `${bytes / (1 << 10)} KiB` : `${bytes} B`;
}

export const workNames = { dma: "DMA driver", files: "ext2", udp: "UDP loopback" } as const;

export function taskName({ work, batch_bytes, total_bytes }: LightTask): string {
  const amount =
    work === "files" ? `8 files of ${size(batch_bytes)}` : `${size(batch_bytes)} of ${size(total_bytes)}`;
  return `${workNames[work]}, ${amount}`;
}

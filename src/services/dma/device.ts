/**
 * `/dev/dma`: the DMA driver for programs. Each open file has two buffers. `write` puts bytes into the source buffer and
 * has the engine copy them to the target buffer; `read` gives them back from there, and then the end of file.
 * `pwrite` only puts bytes into the source buffer, `dma_transfer` (`wasi/dma.ts`) only moves them, as often as
 * wanted: this is what a driver's benchmark measures.
 */
import type { CharacterDevice } from "../device/devices.ts";
import type { DmaDriver } from "./driver.ts";

export class DmaDevice implements CharacterDevice {
  readonly name = "dma";
  readonly isTerminal = false;
  readonly readQueue = 0;
  readonly writeQueue = 0;
  private readonly driver: DmaDriver;

  constructor(driver: DmaDriver) {
    this.driver = driver;
  }

  openSession(): number {
    return this.driver.open();
  }

  closeSession(session: number): void {
    this.driver.close(session);
  }

  read(target: Uint8Array, offset: number, length: number, session: number): number {
    return this.driver.read(session, target, offset, length);
  }

  write(source: Uint8Array, offset: number, length: number, session: number, thread: number): number {
    return this.driver.transfer(session, length, thread, { bytes: source, offset });
  }

  readAt(target: Uint8Array, offset: number, length: number, position: number, session: number): number {
    return this.driver.readAt(session, target, offset, length, position);
  }

  writeAt(source: Uint8Array, offset: number, length: number, position: number, session: number): number {
    return this.driver.store(session, source, offset, length, position);
  }

  transfer(length: number, session: number, thread: number): number {
    return this.driver.transfer(session, length, thread, null);
  }

  pollRead(session: number): number {
    return this.driver.pollRead(session);
  }

  pollWrite(session: number): number {
    return this.driver.pollTransfer(session);
  }

  queueOf(session: number): number {
    return this.driver.queueOf(session);
  }
}

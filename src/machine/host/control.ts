/**
 * Control pages of the host machine: one small shared WebAssembly memory per core, seen by every thread of
 * the island. The pages are WebAssembly memories because instrumented programs import their core's page.
 */
import { type Accessor, overlay } from "../../memory/index.ts";
import { ControlPage } from "../machine.ts";

export type ControlAccessor = Accessor<typeof ControlPage.fields>;

export function createControlMemory(): WebAssembly.Memory {
  return new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
}

export function controlAccessor(memory: WebAssembly.Memory): ControlAccessor {
  return overlay(ControlPage, memory.buffer, { format: "ilp32", base: 0, count: 1 });
}

/** Raises lines on a core: sets the bits, and rings the doorbell only if the core is parked. */
export function raise(control: ControlAccessor, lines: number): void {
  control.orPending(0, lines);
  if (control.parked(0) !== 0) control.notifyPending(0, 1);
}

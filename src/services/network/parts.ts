/** What the network service is put together from. */
import type { WaitQueue } from "../../kernel/state.ts";
import type { WaitService } from "../../kernel/wait.ts";
import type { Ram } from "../../machine/ram.ts";
import type { Pool, TypedMemory } from "../../memory/index.ts";
import type { PageSource } from "../pipe/pipes.ts";
import type { NetworkHardware } from "./interface.ts";

/** What the service works on and with. */
export interface NetworkParts {
  readonly memory: TypedMemory;
  readonly waitQueues: Pool<typeof WaitQueue.fields>;
  readonly ram: Ram;
  readonly pages: PageSource;
  readonly waits: WaitService;
  /** Owner number of this core for locks and pools. */
  readonly owner: number;
  /** The chip's network controller, which then carries all datagrams; null without one. */
  readonly hardware: NetworkHardware | null;
}

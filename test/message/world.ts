/** Endpoints in one thread, for tests: each doorbell is recorded and runs nothing by itself. */
import { TypedMemory } from "../../src/memory/index.ts";
import {
  Endpoint,
  formatMessages,
  type MessageFault,
  type MessageGeometry,
  SharedTransport,
} from "../../src/message/index.ts";

export interface Node {
  readonly endpoint: Endpoint;
  readonly transport: SharedTransport;
  readonly faults: MessageFault[];
}

export class World {
  readonly memory: TypedMemory;
  readonly geometry: MessageGeometry;
  /** Addresses whose doorbell rang since it was last looked at. */
  readonly rung = new Set<number>();
  now_ns = 0;
  /** Runs in every pause of every endpoint, for example the drains of the others. */
  onPause: (address: number) => void = () => {};

  constructor(sizes: Partial<MessageGeometry> = {}) {
    this.memory = TypedMemory.format(new SharedArrayBuffer(8 << 20));
    this.geometry = formatMessages(this.memory, sizes);
  }

  node(address: number, continueIncarnation = false): Node {
    const faults: MessageFault[] = [];
    const report = (fault: MessageFault) => void faults.push(fault);
    const doorbell = { ring: (target: number) => void this.rung.add(target) };
    const { memory } = this;
    const transport = new SharedTransport({ memory, address, doorbell, report, continueIncarnation });
    const endpoint = new Endpoint({
      transports: [transport],
      now_ns: () => this.now_ns,
      pause: () => {
        this.now_ns += 100;
        this.onPause(address);
      },
      report,
    });
    return { endpoint, transport, faults };
  }

  /** Drains exactly the endpoints whose doorbell rang, until none rings any more. */
  settle(nodes: readonly Node[]): void {
    for (let rounds = 0; nodes.some((node) => this.rung.has(node.endpoint.address)); rounds++) {
      if (rounds > 10_000) throw new Error("the doorbells never stop ringing");
      for (const node of nodes) if (this.rung.delete(node.endpoint.address)) node.endpoint.drain();
    }
  }
}

/** Settles doorbells and promises in turn until nothing moves any more. */
export async function settleAll(world: World, nodes: readonly Node[]): Promise<void> {
  const rung = () => nodes.some((node) => world.rung.has(node.endpoint.address));
  for (let quiet = 0; quiet < 3; quiet = rung() ? 0 : quiet + 1) {
    world.settle(nodes);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** An endpoint's links to all peers it has had to do with, each over the first transport that reaches it. */
import { lifeIncarnation, type Transport } from "./channel.ts";
import { Link } from "./link.ts";

export class Links {
  readonly transports: readonly Transport[];
  readonly #byAddress: (Link | undefined)[];
  /** The same links, for loops that run between any two messages. */
  readonly #list: Link[] = [];

  constructor(transports: readonly Transport[]) {
    this.transports = transports;
    this.#byAddress = new Array(Math.max(...transports.map((one) => one.address_limit))).fill(undefined);
  }

  /** This endpoint's address. */
  get address(): number {
    return this.transports[0].address;
  }

  /** The link to a peer; undefined if no transport reaches it. */
  to(peer: number): Link | undefined {
    const known = this.#byAddress[peer];
    if (known !== undefined) return known;
    const transport = this.transports.find((one) => one.reaches(peer));
    if (transport === undefined || peer >= this.#byAddress.length) return undefined;
    const link = new Link(peer, transport);
    this.#byAddress[peer] = link;
    this.#list.push(link);
    return link;
  }

  /** The life word of a peer; 0 if no transport reaches it. */
  life(peer: number): number {
    return this.to(peer)?.transport.life(peer) ?? 0;
  }

  /** This endpoint's incarnation as the peer of a link knows it. */
  ownIncarnation(link: Link): number {
    return lifeIncarnation(link.transport.life(this.address));
  }

  /** True once after the life of any of these peers has changed. */
  lifeChanged(): boolean {
    let changed = false;
    for (let i = 0; i < this.#list.length; i++) if (this.#list[i].lifeChanged()) changed = true;
    return changed;
  }

  /** Sends what waits for room, as far as there is room now. */
  flush(): void {
    for (let i = 0; i < this.#list.length; i++) if (this.#list[i].clogged()) this.#list[i].flush();
  }
}

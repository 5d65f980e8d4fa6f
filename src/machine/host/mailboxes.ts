/**
 * Objects between cores: what cannot lie in the island's memory (programs' memories, compiled modules) goes from
 * thread to thread through message ports, one pair for each two cores. The machine gives out the ports; a core
 * whose thread was replaced gets new ones, and so do its peers.
 */
import { type MessagePort, parentPort, receiveMessageOnPort } from "node:worker_threads";

/** This core's end of the ports to a peer. */
export interface MailboxPort {
  readonly peer: number;
  readonly port: MessagePort;
}

/** Distinguishes port deliveries from whatever else the machine's thread may say. */
function isMailboxPort(message: unknown): message is MailboxPort {
  return typeof message === "object" && message !== null && "peer" in message && "port" in message;
}

/** All ports of one core. */
export class Mailboxes {
  private readonly ports = new Map<number, MessagePort>();

  constructor(ports: readonly MailboxPort[]) {
    for (const { peer, port } of ports) this.ports.set(peer, port);
  }

  /** Structured-cloneable objects only. What is sent to a core that has died is lost. */
  post(peer: number, object: unknown): void {
    this.portTo(peer)?.postMessage(object);
  }

  /** The next object from a peer, or undefined. */
  collect(peer: number): unknown {
    const port = this.portTo(peer);
    return port === undefined ? undefined : receiveMessageOnPort(port)?.message;
  }

  private portTo(peer: number): MessagePort | undefined {
    if (parentPort !== null) {
      for (;;) {
        const given: unknown = receiveMessageOnPort(parentPort)?.message;
        if (given === undefined) break;
        if (!isMailboxPort(given)) continue;
        this.ports.get(given.peer)?.close();
        this.ports.set(given.peer, given.port);
      }
    }
    return this.ports.get(peer);
  }
}

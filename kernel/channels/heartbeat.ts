/** Echoes bytes. In the worker, so a busy cell never looks like a dead kernel. */
import { Router } from "zeromq";
import { SendQueue } from "./send-queue.ts";

export class HeartbeatChannel {
  /** A router, not a reply socket: a client that vanished between asking and being answered does not block the next. */
  readonly #socket = new Router({ sendHighWaterMark: 0, linger: 0, handover: true });
  readonly #queue = new SendQueue(this.#socket);

  bind(address: string): void {
    this.#socket.bindSync(address);
  }

  async listen(): Promise<void> {
    try {
      for await (const frames of this.#socket) void this.#queue.send(frames);
    } catch (error) {
      if (!this.#socket.closed) throw error;
    }
  }

  close(): void {
    this.#socket.close();
  }
}

/** What all clients see. Greets each subscriber (JEP 65), so that a client knows from when on it misses nothing. */
import { XPublisher } from "zeromq";
import { createMessage, type Header } from "../protocol/message.ts";
import type { Wire } from "../protocol/wire.ts";
import { SendQueue } from "./send-queue.ts";

export class IopubChannel {
  readonly #socket = new XPublisher({
    sendHighWaterMark: 0,
    receiveHighWaterMark: 0,
    linger: 1000,
    verbosity: "allSubs",
  });
  readonly #queue = new SendQueue(this.#socket);
  readonly #wire: Wire;

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  bind(address: string): void {
    this.#socket.bindSync(address);
  }

  async listen(): Promise<void> {
    try {
      for await (const [event] of this.#socket) {
        if (event[0] !== 1) continue;
        const subscription = Buffer.from(event.subarray(1));
        const welcome = createMessage(
          "iopub_welcome",
          { subscription: subscription.toString("utf8") },
          { identities: [subscription] },
        );
        void this.#queue.send(this.#wire.encode(welcome));
      }
    } catch (error) {
      if (!this.#socket.closed) throw error;
    }
  }

  /** Resolves when the socket has taken the message. Encoded after what the caller still does: a cell is on its way before its "busy" is signed. */
  publish(
    type: string,
    content: object,
    parent: Header | null,
    o: { metadata?: Record<string, unknown>; buffers?: Uint8Array[] } = {},
  ): Promise<void> {
    return this.#queue.send(() =>
      this.#wire.encode(createMessage(type, content, { parent, identities: [Buffer.from(type)], ...o })),
    );
  }

  status(state: "busy" | "idle" | "starting", parent: Header | null): Promise<void> {
    return this.publish("status", { execution_state: state }, parent);
  }

  async close(): Promise<void> {
    await this.#queue.close();
    this.#socket.close();
  }
}

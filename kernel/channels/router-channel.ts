/** Shell, control and stdin: messages from clients, replies to the one that asked. */
import { Router } from "zeromq";
import { createMessage, type Header, type Message } from "../protocol/message.ts";
import type { Wire } from "../protocol/wire.ts";
import { SendQueue } from "./send-queue.ts";

export type OnMessage = (message: Message<any>, channel: RouterChannel) => void;

export class RouterChannel {
  readonly #socket = new Router({ sendHighWaterMark: 0, receiveHighWaterMark: 0, linger: 1000, handover: true });
  readonly #queue = new SendQueue(this.#socket);
  readonly #wire: Wire;

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  bind(address: string): void {
    this.#socket.bindSync(address);
  }

  /** Until the socket is closed. Frames that are no message of ours are dropped, with a word to the log. */
  async listen(onMessage: OnMessage, log: (text: string) => void): Promise<void> {
    try {
      for await (const frames of this.#socket) {
        let message: Message<any>;
        try {
          message = this.#wire.decode(frames);
        } catch (error) {
          log(`dropped a message: ${(error as Error).message}`);
          continue;
        }
        onMessage(message, this);
      }
    } catch (error) {
      if (!this.#socket.closed) log(`a socket failed: ${(error as Error).message}`);
    }
  }

  /** Replies to a request, to the client that sent it. */
  reply(
    request: Message,
    type: string,
    content: object,
    o: { metadata?: Record<string, unknown>; buffers?: Uint8Array[] } = {},
  ): Promise<void> {
    return this.#queue.send(
      this.#wire.encode(createMessage(type, content, { parent: request.header, identities: request.identities, ...o })),
    );
  }

  /** Asks a client something; its parent is the request that made us ask. The header comes back at once: the answer may be quick. */
  ask(request: Message, type: string, content: object): { header: Header; sent: Promise<void> } {
    const message = createMessage(type, content, { parent: request.header, identities: request.identities });
    return { header: message.header, sent: this.#queue.send(this.#wire.encode(message)) };
  }

  async close(): Promise<void> {
    await this.#queue.close();
    this.#socket.close();
  }
}

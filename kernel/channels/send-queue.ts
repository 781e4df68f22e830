/** One send at a time a socket: zeromq rejects a send while another is in flight, and a rejected send is a lost message. */

interface Sendable {
  send(frames: Uint8Array[]): Promise<void>;
}

export class SendQueue {
  readonly #socket: Sendable;
  #last: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(socket: Sendable) {
    this.#socket = socket;
  }

  /** Resolves when the socket has taken it. A peer that is gone is no error of the sender. Frames may be made when their turn comes. */
  send(frames: Uint8Array[] | (() => Uint8Array[])): Promise<void> {
    this.#last = this.#last
      .then(() => (this.#closed ? undefined : this.#socket.send(typeof frames === "function" ? frames() : frames)))
      .catch(() => {});
    return this.#last;
  }

  /** Everything sent so far is with the socket; nothing is taken after. */
  async close(): Promise<void> {
    await this.#last;
    this.#closed = true;
  }
}

/** Comms: either side opens one by the name of a target that the other side knows. */
import { randomUUID } from "node:crypto";
import type { CommMessage } from "../bridge/messages.ts";

export type CommHandler = (data: unknown, buffers: Uint8Array[]) => void;
/** Called when the front end opens a comm of a registered target. */
export type TargetHandler = (comm: Comm, data: unknown, buffers: Uint8Array[]) => void;

export class Comm {
  readonly id: string;
  readonly target: string;
  readonly #post: (message: CommMessage) => void;
  #closed = false;
  /** Messages that came before anybody listened. */
  #early: [unknown, Uint8Array[]][] | null = [];
  readonly #onMessage: CommHandler[] = [];
  readonly #onClose: CommHandler[] = [];

  constructor(id: string, target: string, post: (message: CommMessage) => void) {
    this.id = id;
    this.target = target;
    this.#post = post;
  }

  get closed(): boolean {
    return this.#closed;
  }

  send(data: unknown, buffers: Uint8Array[] = [], metadata: Record<string, unknown> = {}): void {
    if (this.#closed) throw new Error(`The comm ${this.target} is closed: open a new one.`);
    this.#post({ kind: "msg", id: this.id, data: data ?? {}, buffers, metadata });
  }

  onMessage(fn: CommHandler): void {
    this.#onMessage.push(fn);
    const early = this.#early ?? [];
    this.#early = null;
    for (const [data, buffers] of early) fn(data, buffers);
  }

  onClose(fn: CommHandler): void {
    this.#onClose.push(fn);
  }

  close(data: unknown = {}): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#post({ kind: "close", id: this.id, data });
  }

  /** From the front end. */
  receive(message: CommMessage): void {
    const buffers = message.buffers ?? [];
    if (message.kind === "close") this.#closed = true;
    else if (this.#early) return void this.#early.push([message.data, buffers]);
    for (const fn of message.kind === "close" ? this.#onClose : this.#onMessage) fn(message.data, buffers);
  }
}

export class Comms {
  readonly #open = new Map<string, Comm>();
  readonly #targets = new Map<string, TargetHandler>();
  readonly #post: (message: CommMessage) => void;

  constructor(post: (message: CommMessage) => void) {
    this.#post = (message) => {
      if (message.kind === "close") this.#open.delete(message.id);
      post(message);
    };
  }

  /** Opens a channel to what the front end has registered as `target`. */
  open(
    target: string,
    data: unknown = {},
    o: { metadata?: Record<string, unknown>; buffers?: Uint8Array[] } = {},
  ): Comm {
    const comm = new Comm(randomUUID().replaceAll("-", ""), target, this.#post);
    this.#open.set(comm.id, comm);
    this.#post({ kind: "open", id: comm.id, target, data, ...o });
    return comm;
  }

  /** Lets the front end open comms of that name; a second handler replaces the first. */
  register(target: string, handler: TargetHandler): void {
    this.#targets.set(target, handler);
  }

  unregister(target: string): void {
    this.#targets.delete(target);
  }

  /** From the front end. An unknown target is answered with a close, as the protocol asks. Handlers' errors are the caller's. */
  receive(message: CommMessage): void {
    if (message.kind === "open") {
      const handler = this.#targets.get(message.target ?? "");
      if (!handler) {
        this.#post({ kind: "close", id: message.id, data: {} });
        return;
      }
      const comm = new Comm(message.id, message.target!, this.#post);
      this.#open.set(comm.id, comm);
      handler(comm, message.data, message.buffers ?? []);
      return;
    }
    const comm = this.#open.get(message.id);
    if (message.kind === "close") this.#open.delete(message.id);
    comm?.receive(message);
  }
}

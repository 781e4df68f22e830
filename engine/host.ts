/**
 * What a host (the notebook kernel, the REPL) may offer to the engine. The engine never imports a host: it looks for one at
 * `globalThis[Symbol.for("moescope.host")]`, so that the same objects work in a notebook, in the terminal and in plain Node.
 */
export type MimeBundle = Record<string, unknown>;

export interface Progress {
  /** Updates with the same id replace each other; `done >= total` ends it. */
  id: string;
  label: string;
  done: number;
  total?: number;
}

/** A two-way channel to a front end (a Jupyter comm). */
export interface HostComm {
  send(data: unknown, buffers?: Uint8Array[]): void;
  onMessage(fn: (data: unknown, buffers: Uint8Array[]) => void): void;
  close(): void;
}

export interface Host {
  /** Shows a value now. With an `id` it can be updated later. */
  display(value: unknown, o?: { id?: string }): void;
  update(id: string, value: unknown): void;
  progress(p: Progress): void;
  comm(target: string, data?: unknown): HostComm | null;
  /** Of the running cell: fires on the notebook's interrupt. */
  readonly signal: AbortSignal | undefined;
}

export const HOST = Symbol.for("moescope.host");
/** Objects that draw themselves have this method; it returns a MIME bundle or a promise of one. */
export const DISPLAY = Symbol.for("Jupyter.display");

const silent: Host = { display() {}, update() {}, progress() {}, comm: () => null, signal: undefined };

/** The host in whose program we run, or one that shows nothing. */
export const host = (): Host => (globalThis as { [HOST]?: Host })[HOST] ?? silent;

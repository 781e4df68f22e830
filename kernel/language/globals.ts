/** Types of what the kernel itself puts into every cell's reach. */
export const GLOBALS = `
interface DisplayHandle {
  readonly id: string;
  /** Replaces what was shown, wherever it is on the page. */
  update(value: unknown): void;
}
interface DisplayFunction {
  /** Shows a value now, in the running cell. \`raw\`: the value is a MIME bundle already. */
  (value: unknown, options?: { id?: string; raw?: boolean }): DisplayHandle;
  update(id: string, value: unknown): void;
  /** Empties the cell's output; with \`wait\`, when the next output comes. */
  clear(options?: { wait?: boolean }): void;
}
declare var display: DisplayFunction;
interface Comm {
  readonly id: string;
  readonly target: string;
  readonly closed: boolean;
  send(data: unknown, buffers?: Uint8Array[], metadata?: Record<string, unknown>): void;
  onMessage(fn: (data: any, buffers: Uint8Array[]) => void): void;
  onClose(fn: (data: any, buffers: Uint8Array[]) => void): void;
  close(data?: unknown): void;
}
/** Two-way channels to the front end. */
declare var comms: {
  open(target: string, data?: unknown, options?: { metadata?: Record<string, unknown>; buffers?: Uint8Array[] }): Comm;
  /** Lets the front end open comms of that name. */
  register(target: string, handler: (comm: Comm, data: any, buffers: Uint8Array[]) => void): void;
  unregister(target: string): void;
};
/** Asks the user and waits for the answer; null when there is none. */
declare function prompt(message?: unknown, options?: { password?: boolean }): string | null;
/** The value of the last cell that ended with one. */
declare var _: any;
`;

/**
 * Which cell an output belongs to: the one that runs; in a timer's callback the one that set the timer; else the last one.
 * AsyncLocalStorage would follow every promise, but on Node 20 it turns on async hooks, and with those a termination behind an `await` aborts the process.
 */
import type { CellId } from "../bridge/messages.ts";

type Callback = (...args: unknown[]) => unknown;

export class Attribution {
  #last: CellId = 0;
  #timer: CellId | null = null;

  get cell(): CellId {
    return this.#timer ?? this.#last;
  }

  begin(cell: CellId): void {
    this.#last = cell;
    this.#timer = null;
  }

  /** Of a callback that a timer will call. */
  bind(callback: Callback): Callback {
    const cell = this.cell;
    return (...args) => {
      const before = this.#timer;
      this.#timer = cell;
      try {
        return callback(...args);
      } finally {
        this.#timer = before;
      }
    };
  }
}

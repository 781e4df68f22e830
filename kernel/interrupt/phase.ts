/**
 * The phase word: what the main thread is doing, as one shared integer that is only ever changed by compare-and-swap.
 *
 * V8 delivers a termination some time after it is asked for, and unwinds whatever runs then. If that were the kernel's own code, the
 * kernel would be dead. So the worker may ask only after it has *claimed* a phase in which user code runs (USER -> USER | CLAIMED),
 * and the main thread can leave a claimed phase only through a termination: if user code ended in between, it stands still in a
 * guarded frame until the termination has come. Fewer states were tried and hung within a few hundred interrupts.
 */
import { Word } from "../bridge/shared.ts";

export const Phase = {
  /** The kernel's own code runs: never terminated. */
  kernel: 0,
  /** User code runs, synchronously, inside a guarded frame. */
  user: 1,
  /** A cell's promise is awaited: user code may run from the event loop. */
  await: 2,
  /** No cell: leftovers of earlier cells (timers, unawaited functions) may run from the event loop. */
  idle: 3,
} as const;

export const CLAIMED = 8;

export class PhaseWord {
  readonly #words: Int32Array;

  constructor(words: Int32Array) {
    this.#words = words;
  }

  get(): number {
    return Atomics.load(this.#words, Word.phase);
  }

  /** True when the word was `from` and is `to` now. */
  change(from: number, to: number): boolean {
    return Atomics.compareExchange(this.#words, Word.phase, from, to) === from;
  }

  /** Only for the main thread, and only when no termination can be on its way: it has just landed, or the phase is not claimed. */
  set(to: number): void {
    Atomics.store(this.#words, Word.phase, to);
  }
}

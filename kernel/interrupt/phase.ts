/**
 * The phase word: what the main thread is doing, as one shared integer that is only ever changed by compare-and-swap.
 *
 * V8 delivers a termination some time after it is asked for, and unwinds whatever JavaScript runs then, or runs next. If that were the
 * kernel's own code, the kernel would be dead. So the worker may ask only after it has *claimed* a phase in which user code runs
 * (USER -> USER | CLAIMED), and sends the main thread nothing but empty messages, of which one dies if no code was running at all, until the
 * termination has landed. The main thread does not leave a claimed phase. Inside a guarded frame it stands still until the frame is struck, and
 * then takes the phase back itself; elsewhere it is struck on entering the kernel, and the worker takes the claim back. What dies there was a message:
 * messages are numbered, and those that were not taken are sent again. The kernel never leaves its phase standing over the microtask queue, where
 * user code runs (Guard.drive). Simpler protocols were tried; on a busy machine they hung within a few hundred interrupts.
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

  /** Waits a little while the word is `phase`. */
  wait(phase: number): void {
    Atomics.wait(this.#words, Word.phase, phase, 50);
  }

  /** Only for the main thread, and only when no termination can be on its way: it has just landed, or the phase is not claimed. */
  set(to: number): void {
    Atomics.store(this.#words, Word.phase, to);
  }
}

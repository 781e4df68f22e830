/** The worker's side of an interrupt: asks, then claims and terminates. Repeats until the cell has ended, because each step may find user code just gone. */
import { Word } from "../bridge/shared.ts";
import type { MainInspector } from "./main-inspector.ts";
import { CLAIMED, Phase, PhaseWord } from "./phase.ts";

const ROUND_MS = 40;
/** How often the empty message is sent until a termination has landed. Code that runs is struck before the first. */
const EMPTY_MS = 10;
/** How long an awaiting cell may take to answer the plain message before its code is terminated. */
const GRACE_MS = 50;
/** How long the main thread may leave a ping unanswered between cells before what blocks it counts as an orphan of an interrupted cell. */
const ORPHAN_MS = 150;
/** How long after an interrupt orphans are looked for. */
const WATCH_MS = 3000;

export interface InterrupterLink {
  /** The cell that has been sent to the session and has not come back, or 0. It may not have begun. */
  outstanding(): number;
  /** Sends `interrupt` to the session. */
  soft(cell: number): void;
  ping(sent: number): void;
  /** The cell's code cannot be terminated without ending the process. */
  cannot(cell: number): void;
  /** Nothing more is sent to the main thread, but for empty messages, until `release`. */
  hold(): void;
  sendEmpty(): void;
  release(): void;
}

export class Interrupter {
  readonly #words: Int32Array;
  readonly #phase: PhaseWord;
  readonly #inspector: MainInspector;
  readonly #link: InterrupterLink;
  /** The cell to be stopped. */
  #target = 0;
  #busy = false;
  #wake = (): void => {};
  #watching = false;
  #watchUntil = 0;
  #interrupted = false;
  /** A termination has been asked for and has not landed. Never two: the second could strike the kernel. */
  #inFlight = false;
  #pings = 0;
  #closed = false;

  constructor(words: Int32Array, inspector: MainInspector, link: InterrupterLink) {
    this.#words = words;
    this.#phase = new PhaseWord(words);
    this.#inspector = inspector;
    this.#link = link;
  }

  /** Stops the cell that runs now; between cells, whatever blocks the main thread. */
  interrupt(): void {
    this.#interrupted = true;
    this.#watch();
    this.#target = this.#link.outstanding();
    this.#wake();
    if (this.#target === 0 || this.#busy) return;
    this.#busy = true;
    void this.#stop();
  }

  /** A cell has been sent to the session. If an earlier one was interrupted, its orphan may be what keeps this one from starting. */
  waiting(): void {
    if (this.#interrupted) this.#watch();
  }

  /** A cell has come back. */
  ended(): void {
    this.#wake();
  }

  /** Nothing is terminated after this; resolves when what was asked for has landed. */
  async close(): Promise<void> {
    this.#closed = true;
    for (let round = 0; this.#inFlight && round < 10; round++) await sleep(ROUND_MS);
  }

  /** Until the target has ended. While it works another cell may have begun and become the target. */
  async #stop(): Promise<void> {
    let cell = 0;
    let asked = 0;
    let told = false;
    while (!this.#closed && this.#target !== 0 && this.#link.outstanding() === this.#target) {
      if (cell !== this.#target) {
        cell = this.#target;
        asked = 0;
        told = false;
      }
      const begun = Atomics.load(this.#words, Word.cell) === cell;
      const phase = begun ? this.#phase.get() : Phase.kernel;
      if (phase === Phase.user) {
        await this.#claim(phase);
      } else if (phase === Phase.await) {
        const now = performance.now();
        if (asked === 0) {
          asked = now;
          this.#link.soft(cell);
        } else if (now - asked > GRACE_MS) {
          asked = 0;
          const hooked = await this.#hooked();
          // Another cell may run by now.
          if (this.#link.outstanding() !== cell) continue;
          if (!hooked) await this.#claim(phase);
          else if (!told) {
            told = true;
            this.#link.cannot(cell);
          }
        }
      }
      await this.#pause(asked ? 10 : ROUND_MS);
    }
    this.#busy = false;
    this.#watch();
  }

  /** Cut short when there is news. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Pings the main thread for a while; ends what blocks it between cells. */
  #watch(): void {
    this.#watchUntil = performance.now() + WATCH_MS;
    if (this.#watching) return;
    this.#watching = true;
    void this.#watchLoop().finally(() => {
      this.#watching = false;
    });
  }

  async #watchLoop(): Promise<void> {
    let sent = 0;
    let since = 0;
    while (!this.#closed && performance.now() < this.#watchUntil) {
      const answered = Atomics.load(this.#words, Word.pong) === sent;
      if (answered || Atomics.load(this.#words, Word.cell) !== 0) {
        sent = ++this.#pings;
        since = performance.now();
        this.#link.ping(sent);
      } else if (performance.now() - since > ORPHAN_MS) {
        this.#watchUntil = performance.now() + WATCH_MS;
        // The answer may be lost with what is terminated: asked again in any case.
        since = performance.now();
        if (!(await this.#hooked())) await this.#claim(Phase.idle);
        this.#link.ping(sent);
      }
      await sleep(ROUND_MS);
    }
  }

  /**
   * Do promises carry async hooks? (On Node before 24 they do as soon as anything uses AsyncLocalStorage.) Then a termination outside the guarded frame
   * leaves Node's stack of contexts unbalanced, and Node aborts.
   */
  async #hooked(): Promise<boolean> {
    const expression = "Object.getOwnPropertySymbols(Promise.resolve()).length > 0";
    const reply = this.#inspector.post<{ result: { value?: boolean } }>("Runtime.evaluate", {
      expression,
      silent: true,
    });
    return (await reply.catch(() => null))?.result.value === true;
  }

  /** Terminates what runs, if the main thread still is in that phase; resolves when the termination has landed. */
  async #claim(phase: number): Promise<void> {
    if (this.#inFlight || !this.#phase.change(phase, phase | CLAIMED)) return;
    this.#inFlight = true;
    this.#link.hold();
    const empty = setInterval(() => this.#link.sendEmpty(), EMPTY_MS);
    const struck = await this.#inspector.post("Runtime.terminateExecution").then(
      () => true,
      () => false,
    );
    clearInterval(empty);
    this.#inFlight = false;
    // A guarded frame that was struck says so itself, once it has been left: on a busy machine that takes a while, and a second
    // termination, let in by a claim withdrawn too early, would strike the kernel behind the frame.
    if (phase !== Phase.user || !struck) this.#phase.change(phase | CLAIMED, phase);
    this.#link.release();
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The worker's side of an interrupt: asks, then claims and terminates. Repeats until the cell has ended, because each step may find user code just gone. */
import { Word } from "../bridge/shared.ts";
import type { MainInspector } from "./main-inspector.ts";
import { CLAIMED, Phase, PhaseWord } from "./phase.ts";

const ROUND_MS = 40;
/** How long an awaiting cell may take to answer the plain message before its code is terminated. */
const GRACE_MS = 50;
/** How long the main thread may leave a ping unanswered between cells before what blocks it counts as an orphan of an interrupted cell. */
const ORPHAN_MS = 150;
/** How long after an interrupt orphans are looked for. */
const WATCH_MS = 3000;

export interface InterrupterLink {
  /** Sends `interrupt` to the session. */
  soft(cell: number): void;
  ping(sent: number): void;
}

export class Interrupter {
  readonly #words: Int32Array;
  readonly #phase: PhaseWord;
  readonly #inspector: MainInspector;
  readonly #link: InterrupterLink;
  #busy = false;
  #watching = false;
  #watchUntil = 0;
  #interrupted = false;
  /** A termination has been asked for and has not landed. Never two: the second could strike the kernel. */
  #inFlight = false;
  #pings = 0;

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
    const cell = Atomics.load(this.#words, Word.cell);
    if (cell === 0 || this.#busy) return;
    this.#busy = true;
    void this.#stop(cell).finally(() => {
      this.#busy = false;
      this.#watch();
    });
  }

  /** A cell has been sent to the session. If an earlier one was interrupted, its orphan may be what keeps this one from starting. */
  waiting(): void {
    if (this.#interrupted) this.#watch();
  }

  async #stop(cell: number): Promise<void> {
    let asked = 0;
    for (;;) {
      if (Atomics.load(this.#words, Word.cell) !== cell) return;
      const phase = this.#phase.get();
      if (phase === Phase.user) {
        this.#claim(phase);
      } else if (phase === Phase.await) {
        const now = performance.now();
        if (asked === 0) {
          asked = now;
          this.#link.soft(cell);
        } else if (now - asked > GRACE_MS) {
          asked = 0;
          this.#claim(phase);
        }
      } else if (phase & CLAIMED) {
        this.#terminate();
        this.#link.soft(cell);
      }
      await sleep(asked ? 10 : ROUND_MS);
    }
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
    while (performance.now() < this.#watchUntil) {
      const answered = Atomics.load(this.#words, Word.pong) === sent;
      if (answered || Atomics.load(this.#words, Word.cell) !== 0) {
        sent = ++this.#pings;
        since = performance.now();
        this.#link.ping(sent);
      } else if (performance.now() - since > ORPHAN_MS) {
        const phase = this.#phase.get();
        this.#watchUntil = performance.now() + WATCH_MS;
        if (phase === Phase.idle) this.#claim(phase);
        else if (phase === (Phase.idle | CLAIMED)) this.#terminate();
      }
      await sleep(ROUND_MS);
    }
  }

  #claim(phase: number): void {
    if (!this.#inFlight && this.#phase.change(phase, phase | CLAIMED)) this.#terminate();
  }

  #terminate(): void {
    if (this.#inFlight) return;
    this.#inFlight = true;
    const landed = (): void => {
      this.#inFlight = false;
    };
    this.#inspector.post("Runtime.terminateExecution").then(landed, landed);
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The front end's end of the bridge. Lives in the worker; a front end makes one with `connectSession()` and never touches the port itself. */
import { parentPort, workerData } from "node:worker_threads";
import { Interrupter } from "../interrupt/interrupter.ts";
import { MainInspector } from "../interrupt/main-inspector.ts";
import type { LiveValues } from "./language.ts";
import { InspectorLiveValues } from "./live-values.ts";
import type { CellId, CellRequest, CommMessage, Outcome, Output, StreamName, ToFrontend } from "./messages.ts";
import { NumberedSender } from "./numbered.ts";
import { type FrontendData, Word, wordsOf } from "./shared.ts";
import { StreamReader } from "./stream-ring.ts";

/** What a front end shows. Calls come in the order in which the session spoke, one at a time: the next waits for the promise (back-pressure reaches the printing cell). */
export interface FrontendSink {
  stream(cell: CellId, name: StreamName, text: string): void | Promise<void>;
  output(cell: CellId, output: Output): void | Promise<void>;
  comm(cell: CellId, comm: CommMessage): void | Promise<void>;
  /** Answer with `SessionClient.answer`. */
  input(cell: CellId, prompt: string, password: boolean): void | Promise<void>;
}

/** Text of streams is gathered for this long, so that a flood of short lines becomes few messages. */
const GATHER_MS = 10;
/** How long the session may take to dispose its resources at the end. */
const END_MS = 3000;
/** How long the main thread may leave the last ping unanswered. */
const BLOCKED_MS = 1000;
const LAST_PING = -1;

const CANNOT_STOP =
  "This code cannot be stopped while it computes: something in the session uses AsyncLocalStorage, and on this version of Node stopping it would end the kernel. " +
  "It ends at its next await. Otherwise restart the kernel, or use Node 24 or newer.\n";

export class SessionClient {
  readonly live: LiveValues;
  /** The session takes cells. */
  readonly ready: Promise<void>;
  readonly #sink: FrontendSink;
  readonly #data = workerData as FrontendData;
  readonly #words = wordsOf(this.#data.shared);
  readonly #inspector = new MainInspector();
  readonly #interrupter: Interrupter;
  readonly #ring = new StreamReader(this.#data.shared);
  readonly #inbox: ToFrontend[] = [];
  readonly #outcomes = new Map<CellId, (outcome: Outcome) => void>();
  #becomeReady = (): void => {};
  #ended = (): void => {};
  #pumping = false;
  #gathering: NodeJS.Timeout | null = null;
  #sentAt = 0;
  #cells = 0;
  #question = 0;
  readonly #session = new NumberedSender(this.#words, (message) => parentPort!.postMessage(message));

  constructor(sink: FrontendSink) {
    this.#sink = sink;
    this.live = new InspectorLiveValues(this.#inspector);
    this.#interrupter = new Interrupter(this.#words, this.#inspector, {
      outstanding: () => (this.#outcomes.has(this.#cells) ? this.#cells : 0),
      soft: (cell) => this.#session.say({ type: "interrupt", cell }),
      ping: (sent) => this.#session.say({ type: "ping", sent }),
      cannot: (cell) => void this.#sink.stream(cell, "stderr", CANNOT_STOP),
      hold: () => this.#session.hold(),
      sendEmpty: () => this.#session.sendEmpty(),
      release: () => this.#session.release(),
    });
    this.ready = new Promise((resolve) => {
      this.#becomeReady = resolve;
    });
    parentPort!.on("message", (message: ToFrontend) => this.#receive(message));
  }

  get folder(): string {
    return this.#data.folder;
  }

  /** Runs one cell; call again only after it has settled. `started` gives its id before the first output. */
  execute(request: CellRequest, started?: (cell: CellId) => void): Promise<Outcome> {
    const cell = ++this.#cells;
    started?.(cell);
    return new Promise((resolve) => {
      this.#outcomes.set(cell, resolve);
      this.#session.say({ type: "execute", cell, request });
      this.#interrupter.waiting();
    });
  }

  /** The reply to `input`; null says that there is none (end of file). */
  answer(value: string | null): void {
    this.#data.answers.postMessage({ question: this.#question, value });
    Atomics.store(this.#words, Word.answered, this.#question);
    Atomics.notify(this.#words, Word.answered);
  }

  comm(comm: CommMessage): void {
    this.#session.say({ type: "comm", comm });
  }

  /** Stops the running cell (its outcome becomes a `KernelInterrupt` error), keeping every value. */
  interrupt(): void {
    this.#interrupter.interrupt();
  }

  /** Ends the running cell, disposes what the session holds, shows what is left. After it the front end closes its own and calls `exit`. */
  async shutdown(): Promise<void> {
    this.interrupt();
    const ended = new Promise<void>((resolve) => {
      this.#ended = resolve;
    });
    this.#session.say({ type: "shutdown" });
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, END_MS))]);
    Atomics.store(this.#words, Word.closed, 1);
    await this.#interrupter.close();
    this.#inspector.disconnect();
  }

  /** Ends the process with this exit code; by SIGKILL when the main thread, which would have to end it, is blocked where no interrupt reaches. */
  async exit(code = 0): Promise<void> {
    this.#session.say({ type: "ping", sent: LAST_PING });
    for (const end = performance.now() + BLOCKED_MS; Atomics.load(this.#words, Word.pong) !== LAST_PING; ) {
      if (performance.now() > end) process.kill(process.pid, "SIGKILL");
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    parentPort!.close();
    setImmediate(() => process.exit(code));
  }

  #receive(message: ToFrontend): void {
    if (message.type === "ready") {
      this.#inspector.connect();
      this.#becomeReady();
    } else if (message.type === "streams") this.#gather();
    else {
      this.#inbox.push(message);
      void this.#pump();
    }
  }

  /** Text waits a little for more, unless nothing has been sent for that long. */
  #gather(): void {
    if (this.#gathering) return;
    const wait = Math.max(0, this.#sentAt + GATHER_MS - performance.now());
    this.#gathering = setTimeout(() => {
      this.#gathering = null;
      void this.#pump();
    }, wait);
  }

  /** Sends what there is, in order: before each message the text that was printed before it. */
  async #pump(): Promise<void> {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (;;) {
        const message = this.#inbox.shift();
        if (message && "mark" in message) {
          await this.#streams(message.mark);
          await this.#show(message);
        } else {
          this.#ring.rearm();
          await this.#streams(this.#ring.mark);
          if (this.#inbox.length === 0) break;
        }
      }
    } finally {
      this.#pumping = false;
    }
  }

  async #streams(mark: number): Promise<void> {
    for (let next = this.#ring.next(mark); next; next = this.#ring.next(mark)) {
      await this.#sink.stream(next.chunk.cell, next.chunk.stream, next.chunk.text);
      next.release();
      this.#sentAt = performance.now();
    }
  }

  async #show(message: Extract<ToFrontend, { mark: number }>): Promise<void> {
    switch (message.type) {
      case "output":
        return this.#sink.output(message.cell, message.output);
      case "comm":
        return this.#sink.comm(message.cell, message.comm);
      case "input":
        this.#question = message.question;
        return this.#sink.input(message.cell, message.prompt, message.password);
      case "done":
        this.#outcomes.get(message.cell)?.(message.outcome);
        this.#outcomes.delete(message.cell);
        this.#interrupter.ended();
        return;
      case "ended":
        return this.#ended();
    }
  }
}

/** Once, in a front end's worker. */
export const connectSession = (sink: FrontendSink): SessionClient => new SessionClient(sink);

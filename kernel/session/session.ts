/** One session of user code: runs cells one after the other and keeps what they declare. A process has one. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import vm from "node:vm";
import type {
  CellId,
  CellRequest,
  CommMessage,
  ErrorReport,
  ExpressionOutcome,
  Outcome,
  Output,
  StreamName,
} from "../bridge/messages.ts";
import { Word } from "../bridge/shared.ts";
import { Comms } from "../comms/comms.ts";
import { toBundle } from "../display/bundle.ts";
import { createDisplay, type DisplayFunction, isDisplayHandle } from "../display/display.ts";
import { createHost, HOST } from "../display/host.ts";
import { metadataOf } from "../display/metadata.ts";
import type { MimeBundle } from "../display/mime.ts";
import { Guard, isInterrupt, type Steps } from "../interrupt/guard.ts";
import { guardTimers } from "../interrupt/timers.ts";
import { Attribution } from "./attribution.ts";
import { type CellScript, CellSyntaxError, compileCell } from "./cell-script.ts";
import { imported, registerModuleHooks } from "./modules.ts";
import { Names } from "./names.ts";
import { type CellSource, Positions } from "./positions.ts";
import { guardProcess } from "./process-guard.ts";
import { reportError } from "./report.ts";
import { Scope, usingContext } from "./scope.ts";
import { plainConsole, redirectStdio } from "./stdio.ts";

/** Where a session's outputs go, in order. */
export interface SessionSink {
  stream(cell: CellId, name: StreamName, text: string): void;
  output(cell: CellId, output: Output): void;
  comm(cell: CellId, comm: CommMessage): void;
  /** Waits for the user; null when there is no answer. */
  input(cell: CellId, prompt: string, password: boolean): string | null;
}

/** `prompt` where nobody can answer. */
export class InputUnavailableError extends Error {
  override name = "InputUnavailableError";
  constructor() {
    super(
      "prompt() needs someone to ask, and this cell runs without a user (or without a running cell). Set the value in code instead.",
    );
  }
}

/** The rewritten text of a cell calls these (cell-script.ts). */
interface CellSupport {
  using<T>(name: string, isAsync: boolean, value: T): T;
  imported: typeof imported;
  meta: object;
}

type CellFunction = (support: CellSupport, helpers: { usingCtx: typeof usingContext }) => Promise<unknown>;

export class Session {
  readonly #sink: SessionSink;
  readonly #words: Int32Array;
  readonly #guard: Guard;
  readonly #positions = new Positions();
  readonly #attribution = new Attribution();
  readonly #scope = new Scope();
  readonly #comms: Comms;
  readonly #display: DisplayFunction;
  readonly #folder: string;
  readonly #names = new Names();
  #pending: Promise<void>[] = [];
  #running: { cell: CellId; request: CellRequest; abort: AbortController } | null = null;

  /** `words` is the shared memory of bridge/shared.ts; a session without a front end may leave it out. */
  constructor(o: { sink: SessionSink; folder: string; words?: Int32Array }) {
    this.#sink = o.sink;
    this.#folder = o.folder;
    this.#words = o.words ?? new Int32Array(new SharedArrayBuffer(64));
    this.#guard = new Guard(this.#words);
    this.#comms = new Comms((message) => this.#sink.comm(this.#attribution.cell, message));
    this.#display = createDisplay({
      output: (output) => this.#sink.output(this.#attribution.cell, output),
      pending: (promise) => {
        this.#pending.push(promise);
        promise.catch((error) => this.#running || this.#late(error));
      },
    });
    this.#install();
    this.#guard.end();
  }

  /** What goes wrong is the outcome. One at a time; `done` is called while the kernel runs, so that no termination can lose it. */
  execute(cell: CellId, request: CellRequest, done: (outcome: Outcome) => void): void {
    this.#guard.drive(this.#execute(cell, request, done));
  }

  *#execute(cell: CellId, request: CellRequest, done: (outcome: Outcome) => void): Steps<void> {
    const source: CellSource = { id: cell, count: request.count, code: request.code, script: null };
    this.#guard.begin();
    this.#running = { cell, request, abort: new AbortController() };
    this.#attribution.begin(cell);
    this.#pending = [];
    Atomics.store(this.#words, Word.cell, cell);
    let outcome: Outcome;
    try {
      this.#positions.add(source);
      const value = yield* this.#runCell(source, request.code);
      yield* this.#displays();
      if (value !== undefined && !request.silent && !isDisplayHandle(value)) yield* this.#showResult(cell, value);
      outcome = { status: "ok", expressions: yield* this.#expressions(request.userExpressions ?? {}) };
    } catch (error) {
      if (isInterrupt(error)) yield* this.#abort(error);
      outcome = { status: "error", error: yield* this.#report(error, source) };
      this.#sink.output(cell, { type: "error", error: outcome.error });
    }
    this.#running = null;
    Atomics.store(this.#words, Word.cell, 0);
    done(outcome);
    this.#guard.end();
  }

  /** From the front end's message: the awaiting cell ends. (What spins is terminated by the interrupter instead.) */
  interrupt(cell: CellId): void {
    this.#guard.kernel(() => {
      if (this.#running?.cell === cell) this.#guard.interrupt();
    });
  }

  /** Handlers are user code: they run outside the kernel's frames. */
  comm(message: CommMessage): void {
    void Promise.resolve()
      .then(() => this.#comms.receive(message))
      .catch((error) => this.#guard.kernel(() => this.#late(error)));
  }

  /** Kernel code that the event loop calls. */
  kernel(fn: () => void): void {
    this.#guard.kernel(fn);
  }

  /** Disposes what top-level `using` holds. The session takes no cells after this. */
  async end(): Promise<void> {
    try {
      await this.#scope.end();
    } catch (error) {
      this.#late(error);
    }
  }

  /** Native work hears of the interrupt by the cell's signal; who else listens is user code. */
  *#abort(reason: unknown): Steps<void> {
    try {
      yield* this.#guard.call(() => this.#running!.abort.abort(reason));
    } catch {}
  }

  *#runCell(source: CellSource, code: string): Steps<unknown> {
    const script = compileCell(code, this.#names);
    source.script = script;
    if (script.imports) registerModuleHooks();
    const filename = this.#cellUrl(source.id);
    const create = compile(script, filename);
    this.#declare(script);
    if (this.#scope.holds(script.names)) yield* this.#guard.call(() => this.#scope.release(script.names));
    const session = this;
    const support: CellSupport = {
      using: (name, isAsync, value) => this.#scope.use(name, isAsync, value),
      imported,
      // Made for those that ask.
      get meta() {
        return session.#meta(filename);
      },
    };
    return yield* this.#guard.call(() =>
      (create.runInThisContext() as CellFunction)(support, { usingCtx: usingContext }),
    );
  }

  /** Once a session a name: V8 keeps script-scope variables in fast slots, and they shadow globals without touching them. */
  #declare(script: CellScript): void {
    const fresh = this.#names.fresh(script.names);
    if (fresh.length > 0) new vm.Script(`let ${fresh.join(", ")};`).runInThisContext();
    this.#names.add(fresh);
    for (const name of script.renamed) this.#names.renamed.add(name);
  }

  *#showResult(cell: CellId, value: unknown): Steps<void> {
    (globalThis as { _?: unknown })._ = value;
    const data = isPrimitive(value) ? (toBundle(value) as MimeBundle) : yield* this.#guard.call(() => toBundle(value));
    this.#sink.output(cell, { type: "result", data, metadata: metadataOf(data) });
  }

  /** Displays that were promises. A failed one fails its cell. */
  *#displays(): Steps<void> {
    while (this.#pending.length) {
      const pending = this.#pending;
      this.#pending = [];
      yield* this.#guard.call(() => Promise.all(pending));
    }
  }

  *#expressions(expressions: Record<string, string>): Steps<Record<string, ExpressionOutcome>> {
    const outcomes: Record<string, ExpressionOutcome> = {};
    for (const [name, code] of Object.entries(expressions)) {
      const source: CellSource = { id: this.#running!.cell, count: this.#running!.request.count, code, script: null };
      try {
        const value = yield* this.#runCell(source, code);
        outcomes[name] = { status: "ok", data: yield* this.#guard.call(() => toBundle(value)), metadata: {} };
      } catch (error) {
        if (isInterrupt(error)) throw error;
        outcomes[name] = { status: "error", error: yield* this.#report(error, source) };
      }
    }
    return outcomes;
  }

  /** An error's getters are user code too. */
  *#report(error: unknown, source: CellSource): Steps<ErrorReport> {
    try {
      return yield* this.#guard.call(() => reportError(error, this.#positions, source));
    } catch (failure) {
      return reportError(failure, this.#positions, source);
    }
  }

  /** An error that no cell is left to receive: told under the cell it came from. */
  #late(error: unknown): void {
    const { traceback } = reportError(error, this.#positions);
    const cell = traceback.map((line) => this.#positions.cellOf(line)).find((id) => id !== null);
    this.#sink.stream(cell ?? this.#attribution.cell, "stderr", `Uncaught ${traceback.join("\n")}\n`);
  }

  #prompt(message: unknown, o: { password?: boolean }): string | null {
    if (!this.#running?.request.allowInput) throw new InputUnavailableError();
    return this.#sink.input(this.#running.cell, String(message), o.password ?? false);
  }

  #cellUrl(cell: CellId): string {
    return pathToFileURL(join(this.#folder, `moescope-cell-${cell}.ts`)).href;
  }

  #meta(url: string): object {
    const require = createRequire(url);
    return {
      url,
      dirname: this.#folder,
      filename: fileURLToPath(url),
      resolve: (specifier: string) => pathToFileURL(require.resolve(specifier)).href,
    };
  }

  /** What cells find around them. */
  #install(): void {
    guardTimers((callback) => this.#attribution.bind(callback));
    redirectStdio((name, text) => this.#sink.stream(this.#attribution.cell, name, text));
    plainConsole();
    guardProcess({
      lateError: (error) => this.#guard.kernel(() => this.#late(error)),
      warning: (text) => this.#sink.stream(this.#attribution.cell, "stderr", text),
      interrupt: () => this.#running && this.interrupt(this.#running.cell),
    });
    this.#positions.install();
    const signal = (): AbortSignal | undefined => this.#running?.abort.signal;
    const globals: Record<PropertyKey, unknown> = {
      [HOST]: createHost(this.#display, this.#comms, signal),
      display: this.#display,
      comms: this.#comms,
      prompt: (message: unknown = "", o: { password?: boolean } = {}) => this.#prompt(message, o),
      require: createRequire(this.#cellUrl(0)),
    };
    for (const name of Reflect.ownKeys(globals)) {
      Object.defineProperty(globalThis, name, {
        value: globals[name],
        writable: true,
        configurable: true,
        enumerable: false,
      });
    }
  }
}

/** Showing it runs none of the user's code. */
const isPrimitive = (value: unknown): boolean =>
  value === null || (typeof value !== "object" && typeof value !== "function");

function compile(script: CellScript, filename: string): vm.Script {
  try {
    return new vm.Script(script.text, {
      filename,
      importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    });
  } catch (error) {
    // V8 refuses something that the parser let pass.
    throw error instanceof SyntaxError ? new CellSyntaxError(error.message, 0, 0) : error;
  }
}

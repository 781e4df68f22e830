/** Runs user code on the main thread so that it can be stopped at any instruction while the kernel around it lives on. */
import inspector from "node:inspector";
import { CLAIMED, Phase, PhaseWord } from "./phase.ts";

/** The outcome of a cell that the user stopped. */
export class KernelInterrupt extends Error {
  override name = "KernelInterrupt";
  constructor() {
    super("The cell was interrupted. Every value it had set is kept.");
    this.stack = `${this.name}: ${this.message}`;
  }
}

/** Of any thrown value: a proxy may throw on the question itself. */
export function isInterrupt(error: unknown): boolean {
  try {
    return error instanceof KernelInterrupt;
  } catch {
    return false;
  }
}

/** Under this name the guarded frame finds the guard: V8 unwinds to the nearest evaluation of the inspector, so user code must start in one. */
const HOOK = Symbol.for("moescope.guard");
const RUN = `globalThis[Symbol.for("moescope.guard")].run()`;

/** Kernel code that waits for user code: yields the promise, is resumed with its value. */
export type Steps<T> = Generator<PromiseLike<unknown>, T, any>;

type Result = { value: unknown; promise: boolean } | { error: unknown };

export class Guard {
  readonly #phase: PhaseWord;
  readonly #inspector = new inspector.Session();
  #function: (() => unknown) | null = null;
  #result: Result | null = null;
  #interrupt: (() => void) | null = null;
  #busy = false;

  constructor(words: Int32Array) {
    this.#phase = new PhaseWord(words);
    this.#inspector.connect();
    const frames = { run: () => this.#run() };
    Object.defineProperty(globalThis, HOOK, { value: frames, configurable: true });
  }

  /** A cell begins: until `end` the kernel runs, but for what `call` runs. */
  begin(): void {
    this.#enter();
    this.#busy = true;
  }

  /** The cell has ended; what user code left behind may run. */
  end(): void {
    this.#busy = false;
    this.#phase.change(Phase.kernel, Phase.idle);
  }

  /**
   * Runs a cell's kernel code, between `begin` and `end`: each promise that it yields is waited for, and the code goes on with its value.
   *
   * It is a generator, not an async function, because it must go on within the very call that says so. Between a promise and its reaction other
   * microtasks run, which are user code: as the kernel's they could not be stopped, and stopping anything throws away all that are queued.
   */
  drive(steps: Steps<void>): void {
    const go = (next: () => IteratorResult<PromiseLike<unknown>, void>): void => {
      const { done, value } = next();
      if (!done)
        this.#wait(
          value,
          (result) => go(() => steps.next(result)),
          (error) => go(() => steps.throw(error)),
        );
    };
    go(() => steps.next());
  }

  /** A step of `drive`: runs user code. Throws what it throws, or KernelInterrupt. */
  *call<T>(fn: () => T | PromiseLike<T>): Steps<T> {
    this.#function = fn;
    this.#result = null;
    const killed = this.#evaluate(RUN);
    const result = this.#takeResult();
    if (killed) {
      this.#phase.set(Phase.kernel);
      throw new KernelInterrupt();
    }
    if (result === null) throw new Error("The guarded frame did not run.");
    if ("error" in result) throw result.error;
    return (result.promise ? yield result.value as PromiseLike<T> : result.value) as T;
  }

  /** The front end asks the awaiting cell to end. What it left running is an orphan, which the interrupter ends if it blocks the thread. */
  interrupt(): void {
    this.#interrupt?.();
  }

  /** Kernel code that the event loop calls (a message, a process event) runs in here, so that no termination strikes it. */
  kernel(fn: () => void): void {
    const entered = this.#enter();
    try {
      fn();
    } finally {
      if (entered && (this.#interrupt || !this.#busy)) {
        this.#phase.change(Phase.kernel, this.#interrupt ? Phase.await : Phase.idle);
      }
    }
  }

  /**
   * From await or idle to kernel. False when the kernel runs already, or when user code called us, whose frame it is. In a claimed phase the
   * termination strikes right here, as it would have struck user code: what was to be done is lost, and comes again (bridge/numbered.ts).
   */
  #enter(): boolean {
    for (;;) {
      const phase = this.#phase.get();
      if (phase === Phase.kernel || phase === Phase.user || phase === (Phase.user | CLAIMED)) return false;
      if (phase & CLAIMED) this.#phase.wait(phase);
      else if (this.#phase.change(phase, Phase.kernel)) return true;
    }
  }

  /** The interrupt ends the wait by a plain call, as the promise's own reaction may be thrown away. */
  #wait(promise: PromiseLike<unknown>, resolve: (value: unknown) => void, reject: (error: unknown) => void): void {
    let done = false;
    const end = (settle: () => void): void => {
      if (done) return;
      // First: it may be struck there, and the wait goes on.
      this.#enter();
      done = true;
      this.#interrupt = null;
      settle();
    };
    promise.then(
      (value) => end(() => resolve(value)),
      (error: unknown) => end(() => reject(error)),
    );
    this.#interrupt = () => end(() => reject(new KernelInterrupt()));
    this.#phase.change(Phase.kernel, Phase.await);
  }

  #takeResult(): Result | null {
    const result = this.#result;
    this.#function = this.#result = null;
    return result;
  }

  /** Inside the guarded frame. */
  #run(): void {
    this.#phase.set(Phase.user);
    try {
      const value = this.#function!();
      const promise = isThenable(value);
      this.#result = { value: promise ? Promise.resolve(value) : value, promise };
    } catch (error) {
      this.#result = { error };
    }
    // A termination is on its way: stands still until it strikes, or until the claim is withdrawn because it could not be asked for.
    while (!this.#phase.change(Phase.user, Phase.kernel)) this.#phase.wait(Phase.user | CLAIMED);
  }

  /** True when a termination ended it. */
  #evaluate(expression: string): boolean {
    let killed = false;
    this.#inspector.post("Runtime.evaluate", { expression, silent: true }, (error) => {
      killed = error !== null;
    });
    return killed;
  }
}

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  (typeof value === "object" || typeof value === "function") &&
  value !== null &&
  typeof (value as { then?: unknown }).then === "function";

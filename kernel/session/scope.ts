/** `using` at a cell's top level: the resource lives until a cell declares its name anew, or the session ends. */

interface Resource {
  name: string;
  dispose: () => unknown;
}

export class Scope {
  readonly #resources: Resource[] = [];

  /** Called in place of the declaration's initialiser; returns the value. */
  use<T>(name: string, isAsync: boolean, value: T): T {
    if (value === null || value === undefined) return value;
    const methods = value as { [Symbol.dispose]?: () => void; [Symbol.asyncDispose]?: () => Promise<void> };
    const method = (isAsync && methods[Symbol.asyncDispose]) || methods[Symbol.dispose];
    if (typeof method !== "function") {
      const symbol = isAsync ? "Symbol.asyncDispose" : "Symbol.dispose";
      throw new TypeError(
        `using ${name}: the value has no [${symbol}]() method. Declare it with const, or give it one.`,
      );
    }
    this.#resources.push({ name, dispose: () => method.call(value) });
    return value;
  }

  /** Does a cell that declares these names end anything's life? */
  holds(names: readonly string[]): boolean {
    return this.#resources.some((r) => names.includes(r.name));
  }

  /** Before a cell that declares these names runs. */
  async release(names: readonly string[]): Promise<void> {
    await this.#dispose((r) => names.includes(r.name));
  }

  async end(): Promise<void> {
    await this.#dispose(() => true);
  }

  /** In reverse order; every one is tried, the first error is thrown. */
  async #dispose(chosen: (r: Resource) => boolean): Promise<void> {
    const errors: unknown[] = [];
    for (let i = this.#resources.length - 1; i >= 0; i--) {
      const resource = this.#resources[i];
      if (!chosen(resource)) continue;
      this.#resources.splice(i, 1);
      try {
        await resource.dispose();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length) throw errors[0];
  }
}

/** What the transform calls for a `using` inside a function or block (its helper `usingCtx`). */
export function usingContext(): {
  e?: unknown;
  u<T>(value: T): T;
  a<T>(value: T): T;
  d(): unknown;
} {
  const absent = {};
  const stack: { value: unknown; dispose?: () => unknown; isAsync: boolean }[] = [];
  const add = <T>(isAsync: boolean, value: T): T => {
    if (value !== null && value !== undefined) {
      const methods = value as { [Symbol.dispose]?: () => void; [Symbol.asyncDispose]?: () => Promise<void> };
      const dispose = (isAsync && methods[Symbol.asyncDispose]) || methods[Symbol.dispose];
      if (typeof dispose !== "function") throw new TypeError("using: the value has no [Symbol.dispose]() method.");
      stack.push({ value, dispose, isAsync });
    } else if (isAsync) stack.push({ value, isAsync });
    return value;
  };
  const context = {
    e: absent as unknown,
    u: <T>(value: T): T => add(false, value),
    a: <T>(value: T): T => add(true, value),
    d(): unknown {
      const failed = (error: unknown): void => {
        context.e = context.e === absent ? error : suppressed(error, context.e);
      };
      const next = (): unknown => {
        for (let r = stack.pop(); r; r = stack.pop()) {
          try {
            const pending = r.dispose?.call(r.value);
            if (r.isAsync)
              return Promise.resolve(pending).then(next, (error) => {
                failed(error);
                return next();
              });
          } catch (error) {
            failed(error);
          }
        }
        if (context.e !== absent) throw context.e;
        return undefined;
      };
      return next();
    },
  };
  return context;
}

/** The SuppressedError of the language where it exists. */
function suppressed(error: unknown, earlier: unknown): Error {
  const e = new Error("An error was suppressed during disposal.") as Error & { error: unknown; suppressed: unknown };
  e.name = "SuppressedError";
  e.error = error;
  e.suppressed = earlier;
  return e;
}

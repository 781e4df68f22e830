/**
 * Timers of user code. A termination inside a timer callback aborts Node ("async hook stack has become corrupted"); inside a promise
 * reaction it does not. So each callback runs in a promise reaction of its own. The `node:timers` module is patched too, and its
 * ESM view synchronised, or `import { setTimeout } from "node:timers"` would get the raw ones.
 */
import module from "node:module";
import timers from "node:timers";
import { promisify } from "node:util";

type Callback = (...args: unknown[]) => unknown;
type Timer = ((callback: Callback, ...args: unknown[]) => unknown) & { [promisify.custom]?: unknown };

/** `bind` ties a callback to the cell that set the timer. */
export function guardTimers(bind: (callback: Callback) => Callback): void {
  const table = timers as unknown as Record<string, Timer>;
  for (const name of ["setTimeout", "setInterval", "setImmediate"]) {
    const raw = table[name];
    const guarded: Timer = (callback, ...rest) => {
      if (typeof callback !== "function") return raw(callback, ...rest);
      const bound = bind(callback);
      return raw((...args) => void Promise.resolve().then(() => void bound(...args)), ...rest);
    };
    Object.defineProperty(guarded, "name", { value: name });
    guarded[promisify.custom] = raw[promisify.custom];
    table[name] = guarded;
    (globalThis as unknown as Record<string, Timer>)[name] = guarded;
  }
  module.syncBuiltinESMExports();
}

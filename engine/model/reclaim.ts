import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { BudgetError, MemoryError } from "../errors.ts";

/** Does the work; when memory is short, once more after letting go of what nobody can reach. */
export async function orReclaim<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (e) {
    if (!(e instanceof MemoryError || e instanceof BudgetError)) throw e;
    await reclaim();
    return work();
  }
}

let collect: (() => void) | null = null;

/**
 * The engine's buffers are small to the garbage collector however large they are, so a notebook that runs a cell again and again may
 * fill the budget with runs and models that are gone.
 */
async function reclaim(): Promise<void> {
  if (!collect) {
    setFlagsFromString("--expose-gc");
    collect = runInNewContext("gc") as () => void;
    setFlagsFromString("--no-expose-gc");
  }
  // Finalizers run after a collection, from the event loop, and may free more.
  for (let round = 0; round < 2; round++) {
    collect();
    await new Promise<void>((next) => setImmediate(next));
    await new Promise<void>((next) => setImmediate(next));
  }
}

import { options, quoted } from "../check.ts";
import { ArgumentError, CancelledError, fromNative } from "../errors.ts";
import { host } from "../host.ts";
import type { NativeTask } from "../native.ts";

export interface Progress {
  readonly done: number;
  readonly total?: number;
  readonly label: string;
}

/** Options of everything that computes. */
export interface Long {
  /** Default: the running cell's, so that the notebook's interrupt stops it. */
  readonly signal?: AbortSignal;
  /** Default: the host's progress bar. */
  readonly onProgress?: (p: Progress) => void;
}

let count = 0;

/** A function that reports progress: to the caller, or to the host. */
export function reporter(o: Long, label: string): (done: number, total?: number) => void {
  if (o.onProgress) return (done, total) => o.onProgress!({ done, total, label });
  const id = `moescope-${++count}`;
  return (done, total) => host().progress({ id, label, done, total });
}

export function signalOf(given: Long): AbortSignal | undefined {
  const { signal, onProgress } = options(given, "options");
  if (signal !== undefined && typeof signal?.addEventListener !== "function")
    throw new ArgumentError({
      where: "option signal",
      what: `${quoted(signal)} is not a signal`,
      fix: "Give the signal of an AbortController",
    });
  if (onProgress !== undefined && typeof onProgress !== "function")
    throw new ArgumentError({
      where: "option onProgress",
      what: `${quoted(onProgress)} is not a function`,
      fix: "Give (p) => …",
    });
  return signal ?? host().signal;
}

/** Throws `CancelledError` when the signal has fired. */
export function checkSignal(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new CancelledError();
}

/** Shorter tasks show no progress. */
const QUIET_MS = 300;

/** Awaits a native task: an abort cancels it, progress is polled, errors become the typed ones. */
export async function finish<T>(task: NativeTask<T>, o: Long, label: string): Promise<T> {
  const signal = signalOf(o);
  const report = reporter(o, label);
  const begun = performance.now();
  let shown = false;
  const tick = (): void => {
    if (!shown && performance.now() - begun < QUIET_MS && !o.onProgress) return;
    shown = true;
    const { done, total } = task.progress();
    report(Math.min(done, Math.max(0, total - 1)), total);
  };
  const timer = setInterval(tick, 100);
  timer.unref?.();
  const cancel = (): void => task.cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  if (signal?.aborted) cancel();
  try {
    return await task.done;
  } catch (e) {
    throw fromNative(e);
  } finally {
    clearInterval(timer);
    signal?.removeEventListener("abort", cancel);
    if (shown) {
      const { total } = safeProgress(task);
      report(total, total);
    }
  }
}

/** A task that ended may no longer tell. */
function safeProgress(task: NativeTask<unknown>): { total: number } {
  try {
    return task.progress();
  } catch {
    return { total: 1 };
  }
}

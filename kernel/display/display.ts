/** `display(value)`: shows a value now, in the running cell, without ending it. */
import { randomUUID } from "node:crypto";
import type { Output } from "../bridge/messages.ts";
import { toBundle } from "./bundle.ts";
import { metadataOf } from "./metadata.ts";
import type { MimeBundle } from "./mime.ts";

export interface DisplayHandle {
  readonly id: string;
  /** Replaces what was shown, wherever it is on the page. */
  update(value: unknown): void;
}

export interface DisplayFunction {
  /** `raw`: the value is a MIME bundle already. */
  (value: unknown, o?: { id?: string; raw?: boolean }): DisplayHandle;
  update(id: string, value: unknown): void;
  /** Empties the cell's output; with `wait`, when the next output comes. */
  clear(o?: { wait?: boolean }): void;
}

const handles = new WeakSet<object>();

/** A cell that ends with `display(x)` has shown x; its handle is not another value to show. */
export const isDisplayHandle = (value: unknown): boolean =>
  typeof value === "object" && value !== null && handles.has(value);

export interface DisplaySink {
  output(output: Output): void;
  /** A display that is not ready: the cell ends after it. */
  pending(promise: Promise<void>): void;
}

export function createDisplay(sink: DisplaySink): DisplayFunction {
  /** Displays of one id keep their order, also when one of them is a promise. */
  const chains = new Map<string, Promise<void>>();
  const show = (bundle: MimeBundle | Promise<MimeBundle>, id: string | undefined, update: boolean): void => {
    const emit = (data: MimeBundle): void =>
      sink.output({ type: "display", data, metadata: metadataOf(data), id, update });
    const before = id === undefined ? undefined : chains.get(id);
    if (!before && !(bundle instanceof Promise)) {
      emit(bundle);
      return;
    }
    const chain = Promise.allSettled([before]).then(async () => emit(await bundle));
    if (id !== undefined) {
      const settled = chain.finally(() => chains.get(id) === settled && chains.delete(id));
      settled.catch(() => {});
      chains.set(id, settled);
    }
    sink.pending(chain);
  };
  const bundleOf = (value: unknown, raw = false): MimeBundle | Promise<MimeBundle> =>
    raw ? (value as MimeBundle) : toBundle(value);
  const update = (id: string, value: unknown): void => show(bundleOf(value), id, true);
  return Object.assign(
    (value: unknown, o: { id?: string; raw?: boolean } = {}): DisplayHandle => {
      const id = o.id ?? randomUUID();
      show(bundleOf(value, o.raw), id, false);
      const handle: DisplayHandle = { id, update: (next) => show(bundleOf(next, o.raw), id, true) };
      handles.add(handle);
      return handle;
    },
    { update, clear: (o: { wait?: boolean } = {}) => sink.output({ type: "clear", wait: o.wait ?? false }) },
  );
}

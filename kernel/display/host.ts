/** What a library (the engine) finds in the kernel at `globalThis[Symbol.for("moescope.host")]`. Libraries know this shape, not this file. */
import type { Comms } from "../comms/comms.ts";
import type { DisplayFunction } from "./display.ts";
import { type Progress, ProgressBars } from "./progress.ts";

export const HOST = Symbol.for("moescope.host");

export function createHost(display: DisplayFunction, comms: Comms, signal: () => AbortSignal | undefined) {
  const bars = new ProgressBars((id, bundle, update) =>
    update ? display.update(id, asDisplay(bundle)) : void display(asDisplay(bundle), { id }),
  );
  return {
    display: (value: unknown, o?: { id?: string }): void => void display(value, o),
    update: (id: string, value: unknown): void => display.update(id, value),
    progress: (p: Progress): void => bars.report(p),
    comm: (target: string, data?: unknown) => comms.open(target, data),
    /** Beyond the contract: lets user code receive comms that the front end opens. */
    comms,
    /** Of the running cell: fires on an interrupt. */
    get signal(): AbortSignal | undefined {
      return signal();
    },
  };
}

const asDisplay = (bundle: Record<string, unknown>) => ({ [Symbol.for("Jupyter.display")]: () => bundle });

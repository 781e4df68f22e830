import { shows } from "../display/show.ts";
import type { Layout } from "./layout.ts";
import type { Storage } from "./storage.ts";

/** @internal What showing a tensor needs of it. */
export interface TensorView {
  readonly layout: Layout;
  readonly storage: Storage;
  readonly data: () => Float32Array;
}

export function showTensor<T>(cls: abstract new (...args: never[]) => T, view: (x: T) => TensorView): void {
  shows(cls, { text: (x) => `tensor ${view(x).layout.axes.join(" ")}` });
}

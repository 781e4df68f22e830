import { ReleasedError } from "../errors.ts";

/** The numbers that a tensor and all its views share: given, or read when first touched; freed at once for all of them. */
export class Storage {
  #data: Float32Array | null;
  #read: (() => Float32Array) | null;
  #release: (() => void) | null;
  #gone = false;

  constructor(source: Float32Array | (() => Float32Array), release?: () => void) {
    this.#data = typeof source === "function" ? null : source;
    this.#read = typeof source === "function" ? source : null;
    this.#release = release ?? null;
  }

  get data(): Float32Array {
    if (this.#gone) throw new ReleasedError("this tensor was disposed; compute it again, or dispose it later");
    if (!this.#data) {
      this.#data = this.#read!();
      this.#read = null;
    }
    return this.#data;
  }

  get disposed(): boolean {
    return this.#gone;
  }

  /** False while nothing was read: showing such a tensor must not read gigabytes. */
  get ready(): boolean {
    return this.#data !== null;
  }

  dispose(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#data = this.#read = null;
    this.#release?.();
    this.#release = null;
  }
}

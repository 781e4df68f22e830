import { fromNative, ReleasedError } from "../errors.ts";
import type { NativeModel, NativeTask } from "../native.ts";

/** The engine's model, shared by a model and its views, and the tasks that run on it. */
export class Handle {
  readonly #model: NativeModel;
  readonly #running = new Set<{ cancel(): void }>();
  #disposed = false;
  #released = false;

  constructor(model: NativeModel) {
    this.#model = model;
    backstop.register(this, model, this);
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** Throws `ReleasedError` after `dispose`. */
  get model(): NativeModel {
    if (this.#disposed)
      throw new ReleasedError({ where: "model", what: "this model was disposed", fix: "Load it again" });
    return this.#model;
  }

  /** A matrix as f32. */
  weight(slot: string): Float32Array {
    try {
      return this.model.weight(slot);
    } catch (e) {
      throw fromNative(e);
    }
  }

  /** Runs a task to its end. Disposing the model meanwhile cancels it: it then ends with `ReleasedError`, and the memory is freed after it. */
  async track<T>(task: NativeTask<unknown>, work: () => Promise<T>): Promise<T> {
    this.#running.add(task);
    try {
      const result = await work();
      if (this.#disposed) throw this.#gone();
      return result;
    } catch (e) {
      throw this.#disposed ? this.#gone() : e;
    } finally {
      this.#running.delete(task);
      this.#releaseWhenIdle();
    }
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const task of this.#running) task.cancel();
    this.#releaseWhenIdle();
  }

  #releaseWhenIdle(): void {
    if (!this.#disposed || this.#released || this.#running.size > 0) return;
    this.#released = true;
    backstop.unregister(this);
    this.#model.release();
  }

  #gone(): ReleasedError {
    return new ReleasedError({
      where: "model",
      what: "the model was disposed while this was running",
      fix: "Await the run before disposing",
    });
  }
}

/** For models that nobody disposed. */
const backstop = new FinalizationRegistry<NativeModel>((model) => model.release());

/** The worker's V8 inspector session on the main thread: answered between any two instructions there, so also while user code spins. */
import inspector from "node:inspector";

export class MainInspector {
  readonly #session = new inspector.Session();
  #connected = false;
  #closed = false;

  connect(): void {
    if (this.#closed) throw new Error("The session has ended.");
    if (this.#connected) return;
    this.#session.connectToMainThread();
    this.#connected = true;
  }

  async post<T = unknown>(method: string, parameters: object = {}): Promise<T> {
    this.connect();
    return new Promise((resolve, reject) =>
      this.#session.post(method, parameters, (error, result) => (error ? reject(error) : resolve(result as T))),
    );
  }

  /** Before the process ends, or Node waits for a debugger to go. */
  disconnect(): void {
    if (this.#connected) this.#session.disconnect();
    this.#connected = false;
    this.#closed = true;
  }
}

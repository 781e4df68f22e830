/** The worker's V8 inspector session on the main thread: answered between any two instructions there, so also while user code spins. */
import inspector from "node:inspector";

export class MainInspector {
  readonly #session = new inspector.Session();
  #last: Promise<unknown> = Promise.resolve();
  #connected = false;
  #closed = false;

  connect(): void {
    if (this.#closed) throw new Error("The session has ended.");
    if (this.#connected) return;
    this.#session.connectToMainThread();
    this.#connected = true;
  }

  /** One at a time: a termination strikes, or is cancelled by, whatever evaluation is the innermost, which must not be one of ours. */
  post<T = unknown>(method: string, parameters: object = {}): Promise<T> {
    const answer = this.#last.then(() => {
      this.connect();
      return new Promise<T>((resolve, reject) =>
        this.#session.post(method, parameters, (error, result) => (error ? reject(error) : resolve(result as T))),
      );
    });
    this.#last = answer.catch(() => {});
    return answer;
  }

  /** Before the process ends, or Node waits for a debugger to go. */
  disconnect(): void {
    if (this.#connected) this.#session.disconnect();
    this.#connected = false;
    this.#closed = true;
  }
}

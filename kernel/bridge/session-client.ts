/** The front end's end of the bridge. Lives in the worker; a front end makes one with `connectSession()` and never touches the port itself. */
import type { CellId, CellRequest, CommMessage, Outcome, Output, StreamName } from "./messages.ts";
import type { LiveValues } from "./language.ts";

/** What a front end shows. Calls come in the order in which the session spoke, one at a time: the next waits for the promise (back-pressure reaches the printing cell). */
export interface FrontendSink {
  stream(cell: CellId, name: StreamName, text: string): void | Promise<void>;
  output(cell: CellId, output: Output): void | Promise<void>;
  comm(cell: CellId, comm: CommMessage): void | Promise<void>;
  /** Answer with `SessionClient.answer`. */
  input(cell: CellId, prompt: string, password: boolean): void | Promise<void>;
}

export interface SessionClient {
  /** The session takes cells. */
  readonly ready: Promise<void>;
  readonly live: LiveValues;
  /** Runs one cell; call again only after it has settled. `started` gives its id before the first output. */
  execute(request: CellRequest, started?: (cell: CellId) => void): Promise<Outcome>;
  /** The reply to `input`; null refuses (end of file, interrupt). */
  answer(value: string | null): void;
  comm(comm: CommMessage): void;
  /** Stops the running cell (its outcome becomes a `KernelInterrupt` error), keeping every value. */
  interrupt(): void;
  /** Disposes what the session holds and ends the process; resolves when only exiting is left. */
  shutdown(): Promise<void>;
}

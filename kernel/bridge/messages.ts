/** Everything that is ever said between the session (main thread) and its front end (worker). Text of streams goes through shared memory instead. */
import type { MimeBundle } from "../display/mime.ts";

/** A running number of executed cells, unique in the session (unlike the execution count, which silent cells do not raise). 0 = no cell. */
export type CellId = number;

export interface CellRequest {
  code: string;
  /** What the front end shows as `[n]`; used in tracebacks. */
  count: number;
  /** No result is shown, nothing is remembered. */
  silent?: boolean;
  /** Expressions evaluated after the cell, each to its own bundle or error. */
  userExpressions?: Record<string, string>;
  /** May the cell ask for input? */
  allowInput?: boolean;
}

/** An error as shown: the traceback is in the cell's own TypeScript lines and columns and may hold ANSI colours. */
export interface ErrorReport {
  name: string;
  message: string;
  traceback: string[];
}

export type ExpressionOutcome =
  | { status: "ok"; data: MimeBundle; metadata: MimeBundle }
  | { status: "error"; error: ErrorReport };

export type Outcome =
  /** `page`: text to read beside the notebook (what `name?` gives), not an output of the cell. */
  | { status: "ok"; expressions: Record<string, ExpressionOutcome>; page?: MimeBundle }
  | { status: "error"; error: ErrorReport };

/** What a cell shows besides its streams, in order. */
export type Output =
  | { type: "display"; data: MimeBundle; metadata: MimeBundle; id?: string; update?: boolean }
  | { type: "result"; data: MimeBundle; metadata: MimeBundle }
  | { type: "error"; error: ErrorReport }
  | { type: "clear"; wait: boolean };

export type StreamName = "stdout" | "stderr";

export interface CommMessage {
  kind: "open" | "msg" | "close";
  id: string;
  /** Only of `open`. */
  target?: string;
  data: unknown;
  metadata?: Record<string, unknown>;
  buffers?: Uint8Array[];
}

/** What the front end says to the session. */
export type Say =
  | { type: "execute"; cell: CellId; request: CellRequest }
  | { type: "interrupt"; cell: CellId }
  | { type: "ping"; sent: number }
  | { type: "comm"; comm: CommMessage }
  | { type: "shutdown" };

/** Front end to session, see numbered.ts. */
export type ToSession =
  | { number: number; say: Say }
  /** Says nothing: dies in place of a message that does (interrupt/phase.ts). */
  | { number: 0 };

/** Session to front end. `mark` is the position of the stream ring when the message was sent: what was printed before comes first. */
export type ToFrontend =
  | { type: "ready" }
  | { type: "streams" }
  | { type: "output"; cell: CellId; output: Output; mark: number }
  | { type: "comm"; cell: CellId; comm: CommMessage; mark: number }
  | { type: "input"; cell: CellId; question: number; prompt: string; password: boolean; mark: number }
  | { type: "done"; cell: CellId; outcome: Outcome; mark: number }
  | { type: "ended"; mark: number };

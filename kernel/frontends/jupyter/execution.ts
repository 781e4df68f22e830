/** Execute requests, one after the other: counts, replies, and what an error does to those that wait. */
import type { CellRequest, ErrorReport, ExpressionOutcome, Outcome } from "../../bridge/messages.ts";
import type { IopubChannel } from "../../channels/iopub.ts";
import type { RouterChannel } from "../../channels/router-channel.ts";
import type { Content, KernelMessage, Message } from "../../protocol/message.ts";
import type { Cells, CellView } from "../cells.ts";
import type { History } from "../history.ts";
import type { Parents } from "./parents.ts";

type Request = Partial<Content<KernelMessage.IExecuteRequestMsg>>;

interface Waiting {
  message: Message<any>;
  run: (aborted: boolean) => Promise<void>;
  aborted: boolean;
}

export class Execution {
  readonly #cells: Cells;
  readonly #iopub: IopubChannel;
  readonly #parents: Parents;
  readonly #history: () => Promise<History>;
  readonly #queue: Waiting[] = [];
  /** Plain text of the results shown last, for the history. */
  readonly results = new Map<number, string>();
  #count = 0;
  #running = false;

  constructor(o: {
    cells: Cells;
    iopub: IopubChannel;
    parents: Parents;
    history: () => Promise<History>;
  }) {
    this.#cells = o.cells;
    this.#iopub = o.iopub;
    this.#parents = o.parents;
    this.#history = o.history;
  }

  get busy(): boolean {
    return this.#running;
  }

  /** `ready`: the session takes cells; null when it does already. */
  execute(message: Message<any>, channel: RouterChannel, ready: Promise<void> | null): void {
    this.#enqueue(message, async (aborted) => {
      if (ready) await ready;
      return aborted ? this.#abort(message, channel) : this.#run(message, channel);
    });
  }

  /** Something else that keeps its place between the cells. */
  inOrder(message: Message<any>, run: () => void): void {
    this.#enqueue(message, async () => {
      run();
    });
  }

  #enqueue(message: Message<any>, run: Waiting["run"]): void {
    this.#queue.push({ message, run, aborted: false });
    if (!this.#running) void this.#drain();
  }

  async #drain(): Promise<void> {
    this.#running = true;
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) {
      // Not waited for: the channel keeps the order, and the cell can begin.
      void this.#iopub.status("busy", next.message.header);
      await next.run(next.aborted);
      await this.#iopub.status("idle", next.message.header);
    }
    this.#running = false;
  }

  /** Exactly what has arrived by now: called before the error is replied, so that a request sent after the reply was seen runs. */
  async #abortWaiting(): Promise<void> {
    await socketsRead();
    for (const waiting of this.#queue) waiting.aborted = true;
  }

  /** Whatever the kernel itself does wrong is told like an error of the cell; the next one runs. */
  async #outcome(request: CellRequest, view: CellView): Promise<Outcome> {
    try {
      return await this.#cells.run(request, view);
    } catch (error) {
      const { name, message, stack } = error as Error;
      const report: ErrorReport = {
        name,
        message,
        traceback: [`The kernel failed: ${stack ?? message}`],
      };
      await view.refused(report);
      return { status: "error", error: report };
    }
  }

  async #abort(message: Message<any>, channel: RouterChannel): Promise<void> {
    await channel.reply(message, "execute_reply", {
      status: "aborted",
      execution_count: this.#count,
    });
  }

  /** Written when the reply is out, and before the next message is read. */
  #remember(count: number, code: string): void {
    const output = this.results.get(count) ?? null;
    setImmediate(() => void this.#history().then((history) => history.add(count, code, output)));
  }

  async #run(message: Message<any>, channel: RouterChannel): Promise<void> {
    const request = message.content as Request;
    const code = typeof request.code === "string" ? request.code : "";
    const silent = request.silent === true;
    const store = !silent && request.store_history !== false;
    if (store) this.#count++;
    const count = this.#count;
    if (!silent) void this.#iopub.publish("execute_input", { code, execution_count: count }, message.header);
    const outcome = await this.#outcome(
      {
        code,
        count,
        silent,
        userExpressions: (request.user_expressions as Record<string, string> | undefined) ?? {},
        allowInput: request.allow_stdin === true,
      },
      {
        started: (cell) => this.#parents.set(cell, { request: message, count }),
        say: (name, text) => this.#iopub.publish("stream", { name, text }, message.header),
        refused: (error) => this.#iopub.publish("error", errorContent(error), message.header),
      },
    );
    if (store && code.trim()) this.#remember(count, code);
    this.results.delete(count);
    if (outcome.status === "error" && request.stop_on_error !== false) await this.#abortWaiting();
    void channel.reply(message, "execute_reply", replyContent(outcome, count), {
      metadata: { status: outcome.status },
    });
  }
}

/** Requests that lie in a socket already are read within a turn of the event loop. */
export async function socketsRead(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}

export const errorContent = ({ name, message, traceback }: ErrorReport) => ({
  ename: name,
  evalue: message,
  traceback,
});

function replyContent(outcome: Outcome, count: number): object {
  if (outcome.status === "error") {
    return {
      status: "error",
      execution_count: count,
      ...errorContent(outcome.error),
      user_expressions: {},
      payload: [],
    };
  }
  const user_expressions = Object.fromEntries(
    Object.entries(outcome.expressions).map(([name, e]) => [name, expressionContent(e)]),
  );
  const payload = outcome.page ? [{ source: "page", data: outcome.page, start: 0 }] : [];
  return { status: "ok", execution_count: count, user_expressions, payload };
}

const expressionContent = (e: ExpressionOutcome): object =>
  e.status === "ok"
    ? { status: "ok", data: e.data, metadata: e.metadata }
    : { status: "error", ...errorContent(e.error) };

/** Requests that need no place in the order of cells: answered at once, also while a cell runs. Each gives its reply's content. */
import type { CommMessage } from "../../bridge/messages.ts";
import { codePointsFromUnits, unitsFromCodePoints } from "../../protocol/code-points.ts";
import { kernelInfo } from "../../protocol/kernel-info.ts";
import type { Content, KernelMessage, Message } from "../../protocol/message.ts";
import type { Cells } from "../cells.ts";
import type { History, HistoryEntry } from "../history.ts";

export type Answer = (content: any, message: Message<any>) => object | Promise<object>;

export function answers(o: {
  cells: Cells;
  history: () => Promise<History>;
  comms: CommRegistry;
}): Record<string, [reply: string, Answer]> {
  return {
    kernel_info_request: ["kernel_info_reply", () => kernelInfo()],
    complete_request: ["complete_reply", (content) => complete(content, o.cells)],
    inspect_request: ["inspect_reply", (content) => inspect(content, o.cells)],
    is_complete_request: ["is_complete_reply", (content) => isComplete(content, o.cells)],
    history_request: ["history_reply", async (content) => historyReply(content, await o.history())],
    comm_info_request: ["comm_info_reply", (content) => ({ status: "ok", comms: o.comms.list(content.target_name) })],
  };
}

/** The comms that are open, as seen from the traffic, so that they can be listed while a cell runs. */
export class CommRegistry {
  readonly #targets = new Map<string, string>();

  observe(comm: CommMessage): void {
    if (comm.kind === "open") this.#targets.set(comm.id, comm.target ?? "");
    else if (comm.kind === "close") this.#targets.delete(comm.id);
  }

  has(id: string): boolean {
    return this.#targets.has(id);
  }

  list(target?: string): Record<string, { target_name: string }> {
    const chosen = [...this.#targets].filter(([, name]) => target === undefined || target === null || name === target);
    return Object.fromEntries(chosen.map(([id, target_name]) => [id, { target_name }]));
  }
}

async function complete(content: Content<KernelMessage.ICompleteRequestMsg>, cells: Cells): Promise<object> {
  const code = String(content.code ?? "");
  const cursor = unitsFromCodePoints(code, content.cursor_pos ?? code.length);
  const { items, start, end } = await (await cells.language()).complete(cells.code(code), cursor);
  const from = codePointsFromUnits(code, start);
  const to = codePointsFromUnits(code, end);
  return {
    status: "ok",
    matches: items.map((item) => item.text),
    cursor_start: from,
    cursor_end: to,
    metadata: {
      _jupyter_types_experimental: items.map(({ text, type, signature }) => ({
        start: from,
        end: to,
        text,
        type,
        ...(signature && { signature }),
      })),
    },
  };
}

async function inspect(content: Content<KernelMessage.IInspectRequestMsg>, cells: Cells): Promise<object> {
  const code = String(content.code ?? "");
  const cursor = unitsFromCodePoints(code, content.cursor_pos ?? code.length);
  const data = await (await cells.language()).inspect(cells.code(code), cursor, content.detail_level === 1 ? 1 : 0);
  return { status: "ok", found: data !== null, data: data ?? {}, metadata: {} };
}

async function isComplete(content: Content<KernelMessage.IIsCompleteRequestMsg>, cells: Cells): Promise<object> {
  return cells.isComplete(String(content.code ?? ""));
}

/** The fields of all three kinds; @jupyterlab/services has them as a union. */
interface HistoryRequest {
  hist_access_type: "tail" | "range" | "search";
  output?: boolean;
  n?: number;
  session?: number;
  start?: number;
  stop?: number | null;
  pattern?: string;
  unique?: boolean;
}

function historyReply(content: HistoryRequest, history: History): object {
  const entries =
    content.hist_access_type === "range"
      ? history.range(content.session ?? 0, content.start ?? 0, content.stop ?? null)
      : content.hist_access_type === "search"
        ? history.search(content.pattern ?? "*", content.n ?? null, content.unique === true)
        : history.tail(content.n ?? 10);
  const row = (e: HistoryEntry) => [e.session, e.line, content.output ? [e.input, e.output] : e.input];
  return { status: "ok", history: entries.map(row) };
}

/** A cell's outputs as a notebook keeps them: streams joined, updates applied to what they update, `clear` obeyed. */
import type { Output, StreamName } from "../bridge/messages.ts";
import type { NotebookCell, NotebookOutput } from "./notebook.ts";

export class OutputCollector {
  /** Displays that can be updated, over all cells. */
  readonly #displays = new Map<string, Extract<NotebookOutput, { data: unknown }>[]>();
  /** Cells whose next output replaces what is there. */
  readonly #clearFirst = new Set<NotebookCell>();

  stream(cell: NotebookCell, name: StreamName, text: string): void {
    const outputs = this.#of(cell);
    const last = outputs.at(-1);
    if (last?.output_type === "stream" && last.name === name) last.text += text;
    else outputs.push({ output_type: "stream", name, text });
  }

  output(cell: NotebookCell, output: Output): void {
    switch (output.type) {
      case "clear":
        if (output.wait) this.#clearFirst.add(cell);
        else cell.outputs = [];
        return;
      case "display": {
        const { data, metadata, id } = output;
        const shown = id === undefined ? [] : (this.#displays.get(id) ?? []);
        if (output.update) {
          for (const each of shown) Object.assign(each, { data, metadata });
          return;
        }
        const entry = { output_type: "display_data" as const, data, metadata };
        this.#of(cell).push(entry);
        if (id !== undefined) this.#displays.set(id, [...shown, entry]);
        return;
      }
      case "result":
        this.#of(cell).push({
          output_type: "execute_result",
          data: output.data,
          metadata: output.metadata,
          execution_count: cell.execution_count ?? null,
        });
        return;
      case "error": {
        const { name, message, traceback } = output.error;
        this.#of(cell).push({ output_type: "error", ename: name, evalue: message, traceback });
      }
    }
  }

  #of(cell: NotebookCell): NotebookOutput[] {
    if (this.#clearFirst.delete(cell)) cell.outputs = [];
    cell.outputs ??= [];
    return cell.outputs;
  }
}

/** Displays that replace themselves, where nothing printed can be changed: their present state is kept, and printed once, when the cell has ended. */
import type { Output } from "../../bridge/messages.ts";
import { isProgress } from "../../display/progress.ts";

export class LiveDisplays {
  readonly #states = new Map<string, string>();

  /** The text to print now; null when there is none, or it is one of those that change. */
  take({ id, update, data }: Extract<Output, { type: "display" }>): string | null {
    const text = data["text/plain"];
    if (typeof text !== "string") return null;
    if (id === undefined || !(update || isProgress(id))) return text;
    // The one that changed last stands last.
    this.#states.delete(id);
    this.#states.set(id, text);
    return null;
  }

  get states(): string[] {
    return [...this.#states.values()];
  }

  /** The last states, which are forgotten. A finished bar tells nothing to those who did not wait for it. */
  end(bars: boolean): string[] {
    const last = [...this.#states].filter(([id]) => bars || !isProgress(id)).map(([, text]) => text);
    this.#states.clear();
    return last;
  }
}

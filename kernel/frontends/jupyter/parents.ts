/** The request that a cell came from: outputs carry its header, also long after the cell has ended. */
import type { CellId } from "../../bridge/messages.ts";
import type { Message } from "../../protocol/message.ts";

/** Older cells' late outputs go to the newest cell. */
const KEEP = 1000;

export interface Parent {
  request: Message<any>;
  count: number;
}

export class Parents {
  readonly #byCell = new Map<CellId, Parent>();
  #last: Parent | null = null;

  set(cell: CellId, parent: Parent): void {
    // Content and buffers are not needed any more, and a notebook's code may be long.
    this.#last = { ...parent, request: { ...parent.request, content: {}, buffers: [] } };
    this.#byCell.set(cell, this.#last);
    if (this.#byCell.size > KEEP) this.#byCell.delete(this.#byCell.keys().next().value!);
  }

  of(cell: CellId): Parent | null {
    return this.#byCell.get(cell) ?? this.#last;
  }
}

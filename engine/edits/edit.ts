/**
 * Edits are immutable data: what is done, by how much, and to which rows, layers and heads. They print as a sentence, are
 * stored in traces as JSON, and are compiled for the engine by `compile.ts`.
 */
import type { Filter } from "../sites/selector.ts";

export interface Edit {
  readonly op: string;
  readonly filter: Filter;
  /** The edit as a sentence. */
  toString(): string;
  toJSON(): object;
}

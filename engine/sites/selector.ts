/** One selector everywhere: the keys are column names, the values are a value, a list, or a comparison. */
export interface Compare<T> {
  lt?: T;
  lte?: T;
  gt?: T;
  gte?: T;
  ne?: T;
}
export type Match<T> = T | readonly T[] | (T extends number ? Compare<number> : never);
export type Rows = Match<number> | "*";

/** A layer, a list, a comparison, or a kind of layer. */
export type Layers = Rows | "global" | "chunked" | "moe" | "dense";

/** Which rows, layers and heads an edit touches. What is not named is not limited. */
export interface Filter {
  readonly layer?: Layers;
  readonly head?: Rows;
  /** Token rows of the run; negative counts from the end. */
  readonly t?: Rows;
  /** Places in the sequence; negative counts from the end of the prompt. */
  readonly pos?: Rows;
  /** Steps of generation. */
  readonly step?: Rows;
  /** Token ids. */
  readonly id?: Rows;
  /** Tokens by their text. */
  readonly text?: string | readonly string[];
}

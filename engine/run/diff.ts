import { num, percent } from "../display/format.ts";
import { shows } from "../display/show.ts";
import { type DiffPlots, diffPlots } from "../plots/diff-plots.ts";
import { type Alignment, align, type Flip, flipsTable } from "../tables/diff.ts";
import type { Table } from "../tables/table.ts";
import type { Captured } from "./captured.ts";

/** What is different between two runs, b against a. */
export class Diff {
  /** Mean change of −log probability over the tokens that both predicted, nats: positive when b is worse. */
  readonly loss: number;
  /** Change of each aligned token's log probability (b less a), in the order of the alignment; NaN for first tokens. */
  readonly dlogprob: Float32Array;
  readonly #a: Captured;
  readonly #b: Captured;
  readonly #rows: Alignment;
  #flips: Table<Flip> | null = null;

  /** @internal */
  constructor(a: Captured, b: Captured, by: "pos" | "text") {
    this.#a = a;
    this.#b = b;
    this.#rows = align(a, b, by);
    const { a: ta, b: tb } = this.#rows;
    this.dlogprob = Float32Array.from(ta, (t, i) =>
      a.tokens.ids[t] === b.tokens.ids[tb[i]] ? b.tokens.logprob[tb[i]] - a.tokens.logprob[t] : Number.NaN,
    );
    let sum = 0;
    let n = 0;
    for (const v of this.dlogprob) {
      if (Number.isNaN(v)) continue;
      sum -= v;
      n++;
    }
    this.loss = n ? sum / n : Number.NaN;
  }

  /** Decisions that changed. */
  get flips(): Table<Flip> {
    return (this.#flips ??= flipsTable(this.#a, this.#b, this.#rows));
  }

  /** Pictures of what changed. */
  get plot(): DiffPlots {
    return diffPlots(this.#a, this.#b, this.#rows);
  }

  static {
    shows(Diff, { text: (d) => diffText(d, d.#a, d.#b, d.#rows) });
  }
}

function diffText(d: Diff, a: Captured, b: Captured, rows: Alignment): string {
  const lines = [
    `Diff · ${rows.a.length} tokens aligned by ${rows.by} · loss ${d.loss >= 0 ? "+" : "−"}${num(Math.abs(d.loss))} nats a token`,
  ];
  const layers = a.facts.layers.filter((l) => l.moe).length;
  const routed =
    [...a.captures.values()].some((c) => c.site === "router.choice") &&
    [...b.captures.values()].some((c) => c.site === "router.choice");
  if (routed && layers > 0)
    lines.push(`  ${d.flips.length} decisions changed (${percent(d.flips.length / (rows.a.length * layers))})`);
  for (const e of b.edits) lines.push(`  edit: ${e}`);
  return lines.join("\n");
}

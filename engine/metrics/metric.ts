import { count, escapeHtml, num } from "../display/format.ts";
import { shows } from "../display/show.ts";
import type { Table } from "../tables/table.ts";

/** @internal */
export interface MetricParts<V> {
  readonly name: string;
  /** What `value` is: "mean over layers", "largest of 128 experts". */
  readonly what: string;
  readonly value: V;
  readonly table: Table;
  readonly formula: string;
  readonly source: string;
  readonly unit?: string;
  readonly baseline: { readonly uniform: number; readonly shuffled: number };
  readonly interval: readonly [number, number];
  /** Tokens that it was computed from. */
  readonly tokens: number;
  readonly warning?: string;
}

/** A number with what it takes to believe it: formula and source, an interval, what chance would give, and how many tokens there were. */
export class Metric<V = number> {
  readonly name: string;
  readonly value: V;
  /** The parts that `value` sums up: by layer, group, expert. */
  readonly table: Table;
  readonly formula: string;
  readonly source: string;
  /** `uniform`: with perfectly even routing. `shuffled`: what chance gives with as many tokens. NaN where it means nothing. */
  readonly baseline: { readonly uniform: number; readonly shuffled: number };
  /** 95 %. */
  readonly interval: readonly [number, number];
  readonly tokens: number;
  /** Why the number should not be trusted, or null. */
  readonly warning: string | null;
  readonly #what: string;
  readonly #unit: string;

  /** @internal */
  constructor(p: MetricParts<V>) {
    this.name = p.name;
    this.value = p.value;
    this.table = p.table;
    this.formula = p.formula;
    this.source = p.source;
    this.baseline = p.baseline;
    this.interval = p.interval;
    this.tokens = p.tokens;
    this.warning = p.warning ?? null;
    this.#what = p.what;
    this.#unit = p.unit ? ` ${p.unit}` : "";
  }

  static {
    // biome-ignore lint/complexity/noThisInStatic: compiled, the name of the class is not yet bound here
    shows(this, {
      text: (m: Metric<any>) => lines(m, m.#what, m.#unit).join("\n"),
      bundle: (m: Metric<any>) => {
        const [head, ...rest] = lines(m, m.#what, m.#unit);
        return {
          "text/html": `<div><b>${escapeHtml(head)}</b></div>${rest.map((s) => `<div><small>${escapeHtml(s)}</small></div>`).join("")}`,
        };
      },
    });
  }
}

function lines(m: Metric<any>, what: string, unit: string): string[] {
  const out = [`${m.name} ${num(m.value)}${unit}  (${what})`];
  const facts: string[] = [];
  if (m.interval.every(Number.isFinite))
    facts.push(`95 % interval ${num(m.interval[0], 3)} to ${num(m.interval[1], 3)}`);
  if (Number.isFinite(m.baseline.uniform)) facts.push(`even routing ${num(m.baseline.uniform, 3)}`);
  if (Number.isFinite(m.baseline.shuffled)) facts.push(`chance ${num(m.baseline.shuffled, 3)}`);
  facts.push(`${count(m.tokens)} tokens`);
  out.push(facts.join("  ·  "), `${m.formula}  [${m.source}]`);
  if (m.warning) out.push(`Caution: ${m.warning}`);
  return out;
}

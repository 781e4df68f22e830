import { options, quoted } from "../check.ts";
import { ArgumentError } from "../errors.ts";
import type { Captured } from "../run/captured.ts";
import { numbers, strings } from "./column.ts";
import { routingBlock } from "./routing-block.ts";
import { Table } from "./table.ts";
import { selectorContext } from "./tokens.ts";

/** One row a token that an expert got, with the text around it. */
export interface TokenOf {
  t: number;
  seq: number;
  pos: number;
  text: string;
  /** The token between ⟦ ⟧, with up to 8 tokens on each side. */
  context: string;
  score: number;
  /** NaN without the router's logits. */
  margin: number;
  runner_up: number | null;
}

/** One row a token id that an expert got. */
export interface Vocab {
  layer: number;
  expert: number;
  id: number;
  text: string;
  /** How often it went to this expert, and which share of all its occurrences that is. */
  count: number;
  share: number;
}

const AROUND = 8;

interface Place {
  layer: number;
  expert: number;
}

/** Entries of the routing block (and the slot) that went to the expert. */
function entriesOf(run: Captured, place: Place, where: string): { at: Int32Array; layerAt: number } {
  const { layer, expert } = options(place, where);
  const b = routingBlock(run);
  const layerAt = b.layers.indexOf(layer);
  if (layerAt < 0)
    throw new ArgumentError(
      `${where}: layer ${quoted(layer)} has no captured routing; the layers are ${Array.from(b.layers).join(", ")}`,
    );
  if (!Number.isInteger(expert) || expert < 0 || expert >= b.experts)
    throw new ArgumentError(`${where}: there is no expert ${quoted(expert)}; layer ${layer} has 0 … ${b.experts - 1}`);
  const at: number[] = [];
  for (let i = 0; i < b.expert.length; i++)
    if (b.expert[i] === expert && b.layerAt[Math.floor(i / b.k)] === layerAt) at.push(i);
  return { at: Int32Array.from(at), layerAt };
}

export function tokensOf(run: Captured, place: Place): Table<TokenOf> {
  const b = routingBlock(run);
  const { at } = entriesOf(run, place, "tokensOf");
  const entry = at.map((i) => Math.floor(i / b.k));
  const t = entry.map((i) => b.t[i]);
  const { tokens } = run;
  const rivals = b.hasLogits ? b.rivals : null;
  return new Table<TokenOf>(
    {
      t: numbers(t),
      seq: numbers(t.map((u) => tokens.seq[u])),
      pos: numbers(t.map((u) => tokens.pos[u])),
      text: strings(Array.from(t, (u) => tokens.text[u])),
      context: strings(Array.from(t, (u) => contextOf(run, u))),
      score: numbers(Float32Array.from(at, (i) => b.score[i])),
      margin: numbers(Float32Array.from(entry, (i) => rivals?.margin[i] ?? Number.NaN)),
      runner_up: numbers(
        entry.map((i) => rivals?.runnerUp[i] ?? -1),
        t.length,
        -1,
      ),
    },
    { name: "tokensOf", context: selectorContext(run), summary: () => `layer ${place.layer}, expert ${place.expert}` },
  );
}

/** The token and its neighbours of the same sequence. */
export function contextOf(run: Captured, t: number, around = AROUND): string {
  const { text, seq, length } = run.tokens;
  let [from, to] = [t, t + 1];
  while (from > 0 && t - from < around && seq[from - 1] === seq[t]) from--;
  while (to < length && to - t <= around && seq[to] === seq[t]) to++;
  return `${text.slice(from, t).join("")}⟦${text[t]}⟧${text.slice(t + 1, to).join("")}`;
}

export function vocabulary(run: Captured, place: Place): Table<Vocab> {
  const b = routingBlock(run);
  const { at, layerAt } = entriesOf(run, place, "vocabulary");
  const { ids, text } = run.tokens;
  const [mine, all, sample] = [new Map<number, number>(), new Map<number, number>(), new Map<number, number>()];
  for (let i = 0; i < b.length; i++)
    if (b.layerAt[i] === layerAt) all.set(ids[b.t[i]], (all.get(ids[b.t[i]]) ?? 0) + 1);
  for (const i of at) {
    const t = b.t[Math.floor(i / b.k)];
    mine.set(ids[t], (mine.get(ids[t]) ?? 0) + 1);
    sample.set(ids[t], t);
  }
  const rows = [...mine].sort((x, y) => y[1] - x[1] || x[0] - y[0]);
  return new Table<Vocab>(
    {
      layer: numbers(new Int32Array(rows.length).fill(place.layer)),
      expert: numbers(new Int32Array(rows.length).fill(place.expert)),
      id: numbers(Int32Array.from(rows, (r) => r[0])),
      text: strings(rows.map((r) => text[sample.get(r[0])!])),
      count: numbers(Float64Array.from(rows, (r) => r[1])),
      share: numbers(Float32Array.from(rows, (r) => r[1] / all.get(r[0])!)),
    },
    { name: "vocabulary", context: { layers: run.facts.layers } },
  );
}

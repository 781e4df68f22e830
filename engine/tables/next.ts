import { ArgumentError } from "../errors.ts";
import type { Captured } from "../run/captured.ts";
import { gone } from "./alive.ts";
import { numbers, strings } from "./column.ts";
import { Table } from "./table.ts";

/** What the model expects to come next, likeliest first. */
export interface Next {
  rank: number;
  id: number;
  text: string;
  logit: number;
  prob: number;
}

const KEPT = 100;

/** The `KEPT` likeliest tokens after the last row of a sequence; probabilities are over the whole vocabulary. */
export function nextTable(run: Captured, seq = 0): Table<Next> {
  const { vocab } = run.facts;
  if (!Number.isInteger(seq) || seq < 0 || seq >= run.sequences)
    throw new ArgumentError(`next: there is no sequence ${seq}; the run has ${run.sequences}`);
  if (run.last.length === 0 && vocab > 0) throw gone();
  const logits = run.last.subarray(seq * vocab, (seq + 1) * vocab);
  let top = -Infinity;
  for (const v of logits) if (v > top) top = v;
  let z = 0;
  for (const v of logits) z += Math.exp(v - top);
  const ids = largest(logits, Math.min(KEPT, vocab));
  return new Table<Next>(
    {
      rank: numbers(Int32Array.from(ids, (_, i) => i)),
      id: numbers(ids),
      text: strings(Array.from(ids, run.tokenText)),
      logit: numbers(Float32Array.from(ids, (id) => logits[id])),
      prob: numbers(Float32Array.from(ids, (id) => Math.exp(logits[id] - top) / z)),
    },
    { name: "next", summary: () => (run.sequences > 1 ? `after sequence ${seq} of ${run.sequences}` : "") },
  );
}

/** Places of the `k` largest, largest first; of equal ones the lower place first. */
function largest(values: Float32Array, k: number): Int32Array {
  const kth = Float32Array.from(values).sort()[values.length - k];
  const places: number[] = [];
  for (let i = 0; i < values.length; i++) if (values[i] >= kth) places.push(i);
  places.sort((a, b) => values[b] - values[a] || a - b);
  return Int32Array.from(places.slice(0, k));
}

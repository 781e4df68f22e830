import type { Captured } from "../run/captured.ts";
import { coded, numbers, strings } from "./column.ts";
import { Table } from "./table.ts";
import type { SelectorContext } from "./where.ts";

/** One row a token; `t`, the row number, joins all tables. */
export interface Tokens {
  t: number;
  /** Which sequence of a batch. */
  seq: number;
  /** Place in its sequence, from 0. */
  pos: number;
  id: number;
  text: string;
  kind: "bos" | "text" | "image" | "special";
  /** "user", "assistant", …; "" outside a chat. */
  role: string;
  phase: "prefill" | "decode";
  /** Of generation; null in the prompt. */
  step: number | null;
  image: number | null;
  group: string | null;
  /** Natural log of the probability that the model gave to this token; NaN for the first of a sequence. */
  logprob: number;
  /** Nats, of the prediction made at this row. */
  pred_entropy: number;
  /** 0: the model's first choice was this token. null for the first of a sequence. */
  rank: number | null;
}

export function tokensTable(run: Captured): Table<Tokens> {
  const k = run.tokens;
  const n = k.length;
  return new Table<Tokens>(
    {
      t: numbers(() => identity(n), n),
      seq: numbers(k.seq),
      pos: numbers(k.pos),
      id: numbers(k.ids),
      text: strings(k.text),
      kind: strings(k.kind),
      role: strings(k.role),
      phase: coded(
        Int32Array.from(k.step, (s) => (s < 0 ? 0 : 1)),
        ["prefill", "decode"],
      ),
      step: numbers(k.step, n, -1),
      image: numbers(new Int32Array(n).fill(-1), n, -1),
      group: strings(Array.from(k.seq, (s) => k.group[s] ?? null)),
      logprob: numbers(k.logprob),
      pred_entropy: numbers(k.predEntropy),
      rank: numbers(k.rank, n, -1),
    },
    { name: "tokens", context: selectorContext(run) },
  );
}

const identity = (n: number): Int32Array => Int32Array.from({ length: n }, (_, i) => i);

const contexts = new WeakMap<Captured, SelectorContext>();

/** What selectors over this run's tables need to know. */
export function selectorContext(run: Captured): SelectorContext {
  let context = contexts.get(run);
  if (!context) {
    const lengths = new Int32Array(run.sequences);
    for (let t = 0; t < run.tokens.length; t++) {
      const s = run.tokens.seq[t];
      lengths[s] = Math.max(lengths[s], run.tokens.pos[t] + 1);
    }
    context = { layers: run.facts.layers, rows: run.tokens.length, seq: run.tokens.seq, lengths };
    contexts.set(run, context);
  }
  return context;
}

import type { Captured, SiteCapture, TokenRows } from "./captured.ts";

/** Rows `[from, to)` of a run as a run of their own: one sequence of a batch, or what came before a stop string. Memory is shared. */
export function partOf(run: Captured, from: number, to: number, sequences: readonly number[]): Captured {
  const { vocab } = run.facts;
  const last = new Float32Array(sequences.length * vocab);
  sequences.forEach((s, i) => {
    last.set(run.last.subarray(s * vocab, (s + 1) * vocab), i * vocab);
  });
  return {
    ...run,
    tokens: tokenPart(run.tokens, from, to, sequences[0] ?? 0),
    sequences: sequences.length,
    captures: new Map([...run.captures].map(([key, c]) => [key, capturePart(c, from, to)])),
    last,
    forced: (t, layer) => run.forced(t + from, layer),
  };
}

function tokenPart(k: TokenRows, from: number, to: number, firstSeq: number): TokenRows {
  return {
    length: to - from,
    ids: k.ids.subarray(from, to),
    seq: k.seq.subarray(from, to).map((s) => s - firstSeq),
    pos: k.pos.subarray(from, to),
    step: k.step.subarray(from, to),
    text: k.text.slice(from, to),
    kind: k.kind.slice(from, to),
    role: k.role.slice(from, to),
    group: k.group.slice(firstSeq),
    logprob: k.logprob.subarray(from, to),
    predEntropy: k.predEntropy.subarray(from, to),
    rank: k.rank.subarray(from, to),
  };
}

function capturePart(c: SiteCapture, from: number, to: number): SiteCapture {
  // Rows ascend, so those of a part lie together.
  const a = lowerBound(c.rows, from);
  const b = lowerBound(c.rows, to);
  const rows = c.rows.subarray(a, b).map((t) => t - from);
  if (c.site === "attn.pattern") return patternPart(c, a, b, rows);
  const width = c.shape.slice(1).reduce((x, y) => x * y, 1);
  return { ...c, shape: [b - a, ...c.shape.slice(1)], data: c.data.subarray(a * width, b * width), rows };
}

function patternPart(c: SiteCapture, a: number, b: number, rows: Int32Array): SiteCapture {
  const [heads, all, keys] = c.shape;
  const data = new Float32Array(heads * (b - a) * keys);
  for (let h = 0; h < heads; h++)
    data.set(c.data.subarray((h * all + a) * keys, (h * all + b) * keys), h * (b - a) * keys);
  return { ...c, shape: [heads, b - a, keys], data, rows };
}

function lowerBound(rows: Int32Array, value: number): number {
  let lo = 0;
  let hi = rows.length;
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (rows[mid] < value) lo = mid + 1;
    else hi = mid;
  }
  return lo;
}

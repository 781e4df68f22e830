import { num, token } from "../display/format.ts";
import type { Captured } from "../run/captured.ts";
import type { Alignment } from "../tables/diff.ts";
import { GREY, SERIES } from "./color.ts";
import type { Figure } from "./figure.ts";
import { range } from "./load-map.ts";
import { tokens, tokenTicks } from "./scope.ts";

const MAX_TOKENS = 4000;

/** What an edit did to the prediction: every token's log-probability in both runs, and below the change, b less a. */
export function logprobDiff(
  a: Captured,
  b: Captured,
  rows: Alignment,
  names: readonly [string, string] = ["a", "b"],
): Figure {
  const known = Array.from(rows.a.keys()).filter((i) => {
    const [t, u] = [rows.a[i], rows.b[i]];
    return (
      a.tokens.ids[t] === b.tokens.ids[u] &&
      Number.isFinite(a.tokens.logprob[t]) &&
      Number.isFinite(b.tokens.logprob[u])
    );
  });
  const pool = Math.ceil(known.length / MAX_TOKENS) || 1;
  const n = Math.ceil(known.length / pool);
  const mean = (run: Captured, side: Int32Array) =>
    Float32Array.from({ length: n }, (_, j) =>
      average(known.slice(j * pool, (j + 1) * pool), (i) => run.tokens.logprob[side[i]]),
    );
  const [la, lb] = [mean(a, rows.a), mean(b, rows.b)];
  const delta = la.map((v, j) => lb[j] - v);
  const at = Int32Array.from({ length: n }, (_, j) => rows.a[known[j * pool]]);
  const [lossA, lossB] = [
    -average(known, (i) => a.tokens.logprob[rows.a[i]]),
    -average(known, (i) => b.tokens.logprob[rows.b[i]]),
  ];
  const width = Math.max(520, Math.min(900, n * 13 + 90));
  const x = tokenTicks(a, at, width - 90);
  const domain = [-0.6, n - 0.4] as const;
  const low = Math.min(-1, ...la, ...lb) * 1.06;
  const [worst, best] = [Math.min(0, ...delta), Math.max(0, ...delta)];
  const spare = Math.max(0.02, (best - worst) * 0.12);
  const word = (j: number) => `t ${at[j]} “${token(a.tokens.text[at[j]])}”`;
  return {
    title: "What changed for each token",
    subtitle: `${tokens(known.length)} in both runs; mean loss ${num(lossA)} → ${num(lossB)} nats (${lossB >= lossA ? "+" : "−"}${num(Math.abs(lossB - lossA), 3)})`,
    width,
    height: 300,
    legend: [
      { name: names[0], color: GREY, form: n <= 400 ? "dot" : "line" },
      { name: names[1], color: SERIES.first, form: n <= 400 ? "dot" : "line" },
      { name: "likelier", color: SERIES.first, form: "box" },
      { name: "less likely", color: SERIES.second, form: "box" },
    ],
    panels: [
      {
        box: { x: [0, 1], y: [0.46, 1] },
        x: { domain, bare: true },
        y: { label: "log-prob. (nats)", domain: [low, 0.15], grid: true },
        marks: [
          ...(n <= 400
            ? ([
                {
                  mark: "points",
                  x: range(n),
                  y: la,
                  color: GREY,
                  size: 3.4,
                  name: names[0],
                  hover: (j: number) => `${word(j)}: ${names[0]} ${num(la[j], 3)}`,
                },
                {
                  mark: "points",
                  x: range(n),
                  y: lb,
                  color: SERIES.first,
                  size: 3,
                  name: names[1],
                  hover: (j: number) => `${word(j)}: ${names[1]} ${num(lb[j], 3)}`,
                },
              ] as const)
            : ([
                { mark: "line", x: range(n), y: la, color: GREY, width: 1, name: names[0] },
                { mark: "line", x: range(n), y: lb, color: SERIES.first, width: 1, name: names[1] },
              ] as const)),
        ],
      },
      {
        box: { x: [0, 1], y: [0, 0.4] },
        x: { label: x.label, domain, ticks: x.ticks, turned: x.turned },
        y: { label: "change (nats)", domain: [worst - spare, best + spare], grid: true },
        marks: [
          {
            mark: "bars",
            along: "y",
            at: range(n),
            length: delta,
            color: Array.from(delta, (d) => (d >= 0 ? SERIES.first : SERIES.second)),
            name: "change",
            hover: (j) => `${word(j)}: ${delta[j] >= 0 ? "+" : ""}${num(delta[j], 3)} nats`,
          },
          { mark: "rule", axis: "y", at: 0 },
        ],
      },
    ],
    ...(pool > 1 ? { note: `Each place is the mean of ${pool} tokens.` } : {}),
  };
}

function average(items: readonly number[], of: (i: number) => number): number {
  let sum = 0;
  for (const i of items) sum += of(i);
  return sum / items.length;
}

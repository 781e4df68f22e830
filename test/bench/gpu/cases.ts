/** What is measured on the GPU, and what is asked of it. Peers: llama.cpp v0.5.0 on an H200, Scout whole in Q4_0, 2026-11-22. */
import type { Format } from "../native/ours.ts";
import type { Line } from "../report.ts";

export interface Figures {
  prefill: { rows: number; tokensPerSecond: number; watchedTokensPerSecond: number }[];
  decode: { context: number; tokensPerSecond: number; watchedTokensPerSecond: number };
  watchingCosts: number;
}

export interface Case {
  name: string;
  /** The model that comes with the repository; else a preset, some of it changed, with random weights. */
  folder?: true;
  preset: string;
  change?: object;
  format: Format;
  /** Prompts that are read. */
  rows: number[];
  /** Tokens before those that are decoded. */
  context: number;
  repeats: number;
  asks?: ((r: Figures) => Line)[];
}

const SCOUT_ASKS: Case["asks"] = [
  ({ decode }) => ({
    what: "Scout int4, decode at 1k, every router watched (llama.cpp: 126, watched 112)",
    figure: `${decode.watchedTokensPerSecond.toFixed(1)} tok/s`,
    limit: ">= 200 tok/s",
    met: decode.watchedTokensPerSecond >= 200,
  }),
  ({ prefill }) => {
    const long = prefill.find((p) => p.rows === 8192);
    return {
      what: "Scout int4, prefill of 8k (llama.cpp: 3,786)",
      figure: `${long?.tokensPerSecond.toFixed(0)} tok/s`,
      limit: ">= 2000 tok/s",
      met: (long?.tokensPerSecond ?? 0) >= 2000,
    };
  },
  ({ watchingCosts, prefill }) => {
    const long = prefill.find((p) => p.rows === 8192);
    const cost = long ? long.tokensPerSecond / long.watchedTokensPerSecond - 1 : Number.NaN;
    return {
      what: "watching choices, scores and logits: of decode, of prefill",
      figure: `${(100 * watchingCosts).toFixed(2)} %, ${(100 * cost).toFixed(2)} %`,
      limit: "1 %, 2 %",
      met: watchingCosts <= 0.01 && cost <= 0.02,
    };
  },
];

export const CASES: readonly Case[] = [
  { name: "tiny-scout", folder: true, preset: "", format: "bf16", rows: [1000], context: 256, repeats: 5 },
  {
    name: "4 layers of Scout",
    preset: "scout",
    change: { num_hidden_layers: 4 },
    format: "bf16",
    rows: [1024],
    context: 256,
    repeats: 3,
  },
  {
    name: "Scout",
    preset: "scout",
    format: "int4_32",
    rows: [1024, 8192],
    context: 1024,
    repeats: 3,
    asks: SCOUT_ASKS,
  },
  { name: "Scout", preset: "scout", format: "int4_128", rows: [8192], context: 1024, repeats: 3 },
  {
    name: "8 layers of Maverick",
    preset: "maverick",
    change: { num_hidden_layers: 8 },
    format: "int4_32",
    rows: [1024],
    context: 1024,
    repeats: 3,
  },
];

/** CPU prefill and decode through the public addon, beside this machine's limits and Hugging Face transformers. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Config, readConfig } from "../../../engine/checkpoint/config.ts";
import { BYTES_A_WEIGHT } from "../../../engine/display/architecture.ts";
import { keep, type Line, table, verdict } from "../report.ts";
import { type Format, measure, open, type Timing } from "./ours.ts";
import { measurePeer, type PeerResult, python } from "./peer.ts";
import { activeWeights, decodeBytes, prefillFlops } from "./work.ts";

const TINY = resolve("notebooks/models/tiny-scout");

/** Scout's rules at a size whose weights leave the caches: 1.1 GB in bf16, of which a token reads 0.35. */
const WIDE = {
  architectures: ["Llama4ForCausalLM"],
  model_type: "llama4_text",
  vocab_size: 16384,
  hidden_size: 2048,
  num_hidden_layers: 4,
  num_attention_heads: 16,
  num_key_value_heads: 4,
  head_dim: 128,
  intermediate_size: 2048,
  intermediate_size_mlp: 4096,
  num_local_experts: 8,
  num_experts_per_tok: 1,
  interleave_moe_layer_step: 1,
  no_rope_layers: [1, 1, 1, 0],
  attention_chunk_size: 8192,
  attn_temperature_tuning: true,
  floor_scale: 8192,
  attn_scale: 0.1,
  use_qk_norm: true,
  rope_theta: 500000,
  rms_norm_eps: 1e-5,
  max_position_embeddings: 8192,
  tie_word_embeddings: false,
};

interface Machine {
  isa: string;
  cores: number;
  gflops1: number;
  gflops: number;
  read1: number;
  read: number;
}

interface Case {
  name: string;
  raw: object;
  folder: string | null;
  rows: number;
  decodeTokens: number;
  repeats: number;
}

interface Row {
  model: string;
  format: Format;
  limits: Machine;
  ours: Timing;
  peer: PeerResult | null;
  gflops: number;
  peakShare: number;
  gbs: number;
  readShare: number;
}

const machineLimits = (): Machine =>
  JSON.parse(execFileSync(resolve("build/native/kernels-bench"), ["machine"], { encoding: "utf8" }));

/** The better of two measurements: what was reached cannot be held against a limit taken in a slow moment. */
function better(a: Machine, b: Machine): Machine {
  const best = { ...a };
  for (const key of ["gflops1", "gflops", "read1", "read"] as const) best[key] = Math.max(a[key], b[key]);
  return best;
}

const ids = (config: Config, rows: number): Int32Array =>
  Int32Array.from({ length: rows }, (_, i) => (i * 7919 + ((i * i) % 104729)) % Math.min(config.vocab, 4000));

function configFolder(raw: object): string {
  const folder = mkdtempSync(join(tmpdir(), "moescope-bench-"));
  writeFileSync(join(folder, "config.json"), JSON.stringify(raw));
  return folder;
}

async function one(c: Case, format: Format, program: string | null): Promise<Row> {
  const config = readConfig(c.raw, "config.json");
  const input = ids(config, c.rows);
  // The memory of a shared host gives more at one time than at another: the limits are taken around the measurement.
  const before = machineLimits();
  const model = await open(config, c.folder, format, before.cores);
  const ours = await measure(model, config, input, c.decodeTokens, c.repeats);
  model.release();
  const limits = better(before, machineLimits());
  const folder = c.folder ?? configFolder(c.raw);
  // transformers has no int4 of this kind.
  const peer =
    program && (format === "f32" || format === "bf16")
      ? measurePeer(program, {
          folder,
          random: !c.folder,
          format,
          threads: limits.cores,
          ids: input,
          decodeTokens: c.decodeTokens,
        })
      : null;
  if (!c.folder) rmSync(folder, { recursive: true });
  const gflops = prefillFlops(config, c.rows) / ours.prefill / 1e9;
  const gbs = decodeBytes(config, BYTES_A_WEIGHT[format], c.rows >> 2) / ours.decode / 1e9;
  return {
    model: c.name,
    format,
    limits,
    ours,
    peer,
    gflops,
    peakShare: gflops / limits.gflops,
    gbs,
    readShare: gbs / limits.read,
  };
}

const best = (peer: PeerResult | null, what: "prefill" | "decode"): number | null =>
  peer && Math.min(...peer.results.map((r) => r[what]));
const percent = (x: number): string => `${(100 * x).toFixed(1)} %`;
const ms = (seconds: number): string => `${(1e3 * seconds).toFixed(2)} ms`;
const times = (peer: number | null, ours: number): string => (peer ? `${(peer / ours).toFixed(1)}x` : "no peer");

/** How many greedy tokens agree with the peer's before the first that differs. */
const agreed = (r: Row): number => {
  const theirs = r.peer?.results[0].tokens ?? [];
  const differs = r.ours.tokens.findIndex((id, i) => id !== theirs[i]);
  return differs < 0 ? r.ours.tokens.length : differs;
};

const load = loadavg()[0];
if (load > 0.5)
  process.stderr.write(`bench: others keep ${load.toFixed(1)} cores of this machine busy; the figures will be low\n`);
const program = python();
const cases: Case[] = [];
if (existsSync(join(TINY, "model.safetensors"))) {
  const raw = JSON.parse(readFileSync(join(TINY, "config.json"), "utf8"));
  cases.push({ name: "tiny-scout", raw, folder: TINY, rows: 1024, decodeTokens: 200, repeats: 30 });
}
cases.push({ name: "wide", raw: WIDE, folder: null, rows: 1024, decodeTokens: 16, repeats: 6 });

const rows: Row[] = [];
for (const c of cases)
  for (const format of ["bf16", "int4_32", "int4_128", "f32"] as const) {
    process.stderr.write(`bench: ${c.name} ${format}\n`);
    rows.push(await one(c, format, program));
  }

const limits = rows.map((r) => r.limits).reduce(better);
process.stdout.write(
  `${limits.isa}, ${limits.cores} cores; at best here: f32 FMA peak ${limits.gflops} GFLOP/s, reads ${limits.read} GB/s\n\n`,
);
const header = [
  "model",
  "weights",
  "rows",
  "prefill",
  "GFLOP/s",
  "of peak",
  "peer",
  "faster",
  "decode",
  "tok/s",
  "GB/s",
];
process.stdout.write(
  `${table([
    [...header, "of reads", "peer", "faster", "router watched"],
    ...rows.map((r) => {
      const [prefill, decode] = [best(r.peer, "prefill"), best(r.peer, "decode")];
      const watched = `${percent(r.ours.watchedPrefill / r.ours.prefill - 1)} / ${percent(r.ours.watchedDecode / r.ours.decode - 1)}`;
      return [
        r.model,
        r.format,
        "1024",
        ms(r.ours.prefill),
        r.gflops.toFixed(0),
        percent(r.peakShare),
        prefill ? ms(prefill) : "-",
        times(prefill, r.ours.prefill),
        ms(r.ours.decode),
        (1 / r.ours.decode).toFixed(0),
        r.gbs.toFixed(1),
        percent(r.readShare),
        decode ? ms(decode) : "-",
        times(decode, r.ours.decode),
        watched,
      ];
    }),
  ])}\n\n`,
);

const lines: Line[] = [];
const asked = (what: string, figure: string, limit: string, met: boolean | undefined) =>
  lines.push({ what, figure, limit, met });
for (const r of rows) {
  const name = `${r.model} ${r.format}`;
  const [prefill, decode] = [best(r.peer, "prefill"), best(r.peer, "decode")];
  if (r.model === "tiny-scout" && r.format.startsWith("int4")) {
    const bf16 = rows.find((x) => x.model === r.model && x.format === "bf16")!;
    asked(`${name}: decode against bf16`, times(bf16.ours.decode, r.ours.decode), "", undefined);
  } else if (r.model === "tiny-scout") {
    asked(
      `${name}: 1k-token prefill against transformers`,
      times(prefill, r.ours.prefill),
      "3x",
      prefill ? prefill / r.ours.prefill >= 3 : undefined,
    );
    asked(
      `${name}: decode against transformers`,
      times(decode, r.ours.decode),
      "10x",
      decode ? decode / r.ours.decode >= 10 : undefined,
    );
    asked(`${name}: greedy tokens equal to transformers'`, `${agreed(r)} of ${r.ours.tokens.length}`, "", undefined);
  } else {
    asked(`${name}: prefill of the FMA peak`, percent(r.peakShare), "50 %", r.peakShare >= 0.5);
    asked(`${name}: decode of the read bandwidth`, percent(r.readShare), "70 %", r.readShare >= 0.7);
  }
  const prefillCost = r.ours.watchedPrefill / r.ours.prefill - 1;
  const decodeCost = r.ours.watchedDecode / r.ours.decode - 1;
  asked(`${name}: watching the router, prefill`, percent(prefillCost), "2 %", prefillCost <= 0.02);
  asked(`${name}: watching the router, decode`, percent(decodeCost), "1 %", decodeCost <= 0.01);
}
process.stdout.write(`${verdict(lines)}\n`);
const kept = keep("native", {
  limits,
  loadBefore: load,
  rows: rows.map((r) => ({ ...r, ours: { ...r.ours, tokens: r.ours.tokens.length }, peer: withoutTokens(r.peer) })),
  work: Object.fromEntries(
    cases.map((c) => {
      const config = readConfig(c.raw, "config.json");
      return [c.name, { activeWeights: activeWeights(config), prefillFlops: prefillFlops(config, c.rows) }];
    }),
  ),
  lines,
});
process.stdout.write(`\nkept in ${kept}\n`);

function withoutTokens(peer: PeerResult | null) {
  return peer && { ...peer, results: peer.results.map(({ tokens: _, ...rest }) => rest) };
}

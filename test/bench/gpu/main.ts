/**
 * Prefill and decode on the GPU, beside what its memory copies and reads in the same run: tiny-scout, four layers of Scout in bf16,
 * Scout whole in int4, layers of Maverick in int4; all but the first with random weights. Nothing to do without a GPU.
 */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Config, readConfig } from "../../../engine/checkpoint/config.ts";
import { PRESETS } from "../../../engine/checkpoint/presets.ts";
import { BYTES_A_WEIGHT } from "../../../engine/display/architecture.ts";
import { native } from "../../../engine/model/addon.ts";
import type { NativeModel, NativeProfile } from "../../../engine/native.ts";
import { decode, type Format, open, prefill } from "../native/ours.ts";
import { decodeBytes, prefillFlops } from "../native/work.ts";
import { keep, type Line, machine, median, table, verdict } from "../report.ts";
import { CASES, type Case } from "./cases.ts";

const TINY = resolve("notebooks/models/tiny-scout");
const TOKENS = 128;

const ids = (config: Config, rows: number): Int32Array =>
  Int32Array.from({ length: rows }, (_, i) => (i * 7919 + ((i * i) % 104729)) % Math.min(config.vocab, 200_000));

interface Result {
  name: string;
  format: Format;
  loadSeconds: number;
  weightBytes: number;
  prefill: { rows: number; tokensPerSecond: number; tflops: number; watchedTokensPerSecond: number }[];
  decode: {
    context: number;
    tokensPerSecond: number;
    watchedTokensPerSecond: number;
    gbs: number;
    shareOfRead: number;
  };
  watchingCosts: number;
  profile: NativeProfile;
}

async function measure(c: Case, read: number): Promise<Result> {
  const folder = c.folder ? TINY : null;
  const raw = folder
    ? JSON.parse(readFileSync(join(folder, "config.json"), "utf8"))
    : { ...PRESETS[c.preset], ...c.change };
  const config = readConfig(raw, c.name);
  const begin = performance.now();
  const model: NativeModel = await open(config, folder, c.format, 0, "cuda");
  const loadSeconds = (performance.now() - begin) / 1e3;

  const prefills: Result["prefill"] = [];
  for (const rows of c.rows) {
    const times: [number[], number[]] = [[], []];
    // The first run makes room, and counts for nothing.
    for (let i = 0; i <= c.repeats; i++)
      for (const watched of [false, true]) {
        const seconds = await prefill(model, config, ids(config, rows), watched);
        if (i > 0) times[Number(watched)].push(seconds);
      }
    prefills.push({
      rows,
      tokensPerSecond: rows / median(times[0]),
      tflops: prefillFlops(config, rows) / median(times[0]) / 1e12,
      watchedTokensPerSecond: rows / median(times[1]),
    });
  }

  const prompt = ids(config, c.context);
  const times: [number[], number[]] = [[], []];
  for (let i = 0; i < Math.max(3, c.repeats); i++)
    for (const watched of [false, true])
      times[Number(watched)].push((await decode(model, config, prompt, TOKENS, { watched })).seconds);
  const seconds = median(times[0]);
  const bytes = decodeBytes(config, BYTES_A_WEIGHT[c.format], c.context + TOKENS / 2, 2);
  const { profile } = await decode(model, config, prompt, 16, { watched: true, profile: true });
  const weightBytes = model
    .memory()
    .filter((p) => !["kv", "scratch", "captures"].includes(p.part))
    .reduce((n, p) => n + p.bytes, 0);
  model.release();
  return {
    name: c.name,
    format: c.format,
    loadSeconds,
    weightBytes,
    prefill: prefills,
    decode: {
      context: c.context,
      tokensPerSecond: 1 / seconds,
      watchedTokensPerSecond: 1 / median(times[1]),
      gbs: bytes / seconds / 1e9,
      shareOfRead: bytes / seconds / read,
    },
    watchingCosts: median(times[1]) / seconds - 1,
    profile: profile as NativeProfile,
  };
}

const percent = (x: number, digits = 1): string => `${(100 * x).toFixed(digits)} %`;

/** Where a decoded token's time goes. Laps wait for each verb, so their sum is more than a token takes. */
function profileTable(p: NativeProfile, read: number): string {
  const rows = p.rows.filter((r) => r.phase === "decode");
  const tokens = rows.find((r) => r.verb === "head")?.calls ?? 1;
  const all = rows.reduce((n, r) => n + r.ms, 0);
  return table([
    ["decode, a token", "calls", "us", "share", "MB", "GB/s", "of read"],
    ...rows.map((r) => [
      r.verb,
      (r.calls / tokens).toFixed(0),
      ((1e3 * r.ms) / tokens).toFixed(0),
      percent(r.ms / all),
      (r.bytes / tokens / 1e6).toFixed(1),
      (r.bytes / r.ms / 1e6).toFixed(0),
      percent((1e3 * r.bytes) / r.ms / read),
    ]),
  ]);
}

const cuda = native().cuda();
if (cuda.state !== "ready") {
  process.stdout.write(`no CUDA here: ${cuda.text}\n`);
  process.exit(0);
}
const wanted = process.argv.slice(2).filter((word) => !word.startsWith("-"));
const tiny = await open(
  readConfig(JSON.parse(readFileSync(join(TINY, "config.json"), "utf8")), "tiny"),
  TINY,
  "bf16",
  0,
  "cuda",
);
const [copy, read] = [tiny.copyRate(), tiny.readRate()];
tiny.release();
process.stdout.write(
  `${cuda.text}: copies ${(copy / 1e9).toFixed(0)} GB/s (read + written), reads ${(read / 1e9).toFixed(0)} GB/s\n`,
);

const results: Result[] = [];
const asked: Line[] = [];
const lines: string[][] = [
  [
    "model",
    "weights",
    "load",
    "GB",
    "prefill",
    "tok/s",
    "watched",
    "TFLOP/s",
    "decode tok/s",
    "watched",
    "GB/s",
    "of read",
  ],
];
for (const c of CASES) {
  if (wanted.length && !wanted.some((word) => c.name.includes(word))) continue;
  process.stderr.write(`bench: ${c.name}, ${c.format}\n`);
  const r = await measure(c, read);
  results.push(r);
  r.prefill.forEach((p, i) => {
    const more = i === 0;
    lines.push([
      more ? r.name : "",
      more ? r.format : "",
      more ? `${r.loadSeconds.toFixed(1)} s` : "",
      more ? (r.weightBytes / 1e9).toFixed(1) : "",
      String(p.rows),
      p.tokensPerSecond.toFixed(0),
      p.watchedTokensPerSecond.toFixed(0),
      p.tflops.toFixed(1),
      more ? r.decode.tokensPerSecond.toFixed(1) : "",
      more ? r.decode.watchedTokensPerSecond.toFixed(1) : "",
      more ? r.decode.gbs.toFixed(0) : "",
      more ? percent(r.decode.shareOfRead) : "",
    ]);
  });
  process.stdout.write(`\n${c.name}, ${c.format}\n${profileTable(r.profile, read)}\n`);
  for (const a of c.asks ?? []) asked.push(a(r));
}
process.stdout.write(`\n${table(lines)}\n`);
if (asked.length) process.stdout.write(`\n${verdict(asked)}\n`);
const name = `gpu-${/H\d+|A\d+|L\d+|RTX \d+/.exec(cuda.text)?.[0] ?? "card"}`;
process.stdout.write(
  `kept in ${keep(name, { gpu: cuda.text, copyBytesPerSecond: copy, readBytesPerSecond: read, host: machine().cpu, asked, results })}\n`,
);

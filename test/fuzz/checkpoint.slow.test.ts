import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Config, readConfig } from "../../engine/checkpoint/config.ts";
import { readCheckpoint, readIndex } from "../../engine/checkpoint/folder.ts";
import { type Header, parseHeader } from "../../engine/checkpoint/safetensors.ts";
import { collectWeights } from "../../engine/checkpoint/weights.ts";
import { ArchitectureError, CheckpointError, ConfigError, MoescopeError } from "../../engine/errors.ts";
import { getCase, writeCase } from "../parity/checkpoint.ts";
import { mutateBytes, mutateJson, pick, type Random, random } from "./mutate.ts";

const SECONDS = Number(process.env["MOESCOPE_FUZZ_SECONDS"] ?? 60);
const SEED = Number(process.env["MOESCOPE_FUZZ_SEED"] ?? Math.floor(Date.now() / 864e5));
/** No reader may use more processor time for an input of this size. */
const LIMIT_MS = 1000;

const SEEDS = ["scout", "maverick", "dense", "decoupled", "unchunked"];
const folder = mkdtempSync(join(tmpdir(), "moescope-fuzz-"));
const headers = new Map<string, { json: Buffer; bytes: number }>();

before(() => {
  for (const name of SEEDS) {
    const file = readFileSync(join(writeCase(name), "model.safetensors"));
    const length = Number(file.readBigUInt64LE(0));
    headers.set(name, { json: file.subarray(8, 8 + length), bytes: file.length });
  }
});
after(() => rmSync(folder, { recursive: true, force: true }));

function checkConfig(c: Config): void {
  for (const n of [c.layers, c.d, c.heads, c.kvHeads, c.headDim, c.ff, c.vocab, c.context]) {
    assert.ok(Number.isSafeInteger(n) && n > 0, `a size is ${n}`);
  }
  assert.equal(c.layerFacts.length, c.layers);
  assert.equal(c.heads % c.kvHeads, 0);
  assert.equal(c.headDim % 2, 0);
  for (const x of [c.eps, c.floorScale, c.attnScale, c.rope.theta]) assert.ok(Number.isFinite(x), `${x} is not finite`);
  if (c.layerFacts.some((l) => l.moe)) assert.ok(c.topk >= 1 && c.topk <= c.experts);
  if (c.layerFacts.some((l) => !l.moe)) assert.ok(c.ffDense > 0);
  if (c.layerFacts.some((l) => l.kind === "chunked")) assert.ok(c.chunk > 0);
}

function checkHeader(h: Header): void {
  let end = h.fileBytes;
  for (const t of [...h.tensors.values()].sort((a, b) => b.offset - a.offset || b.bytes - a.bytes)) {
    assert.equal(t.offset + t.bytes, end, `${t.name} does not end where the next begins`);
    end = t.offset;
  }
}

/** Weights of a config and a header that need not belong together: every element must lie in the file. */
function checkWeights(c: Config, h: Header): void {
  const bytes = { BF16: 2, F16: 2, F32: 4 };
  for (const w of collectWeights(c, [h], "folder").weights) {
    const last = w.offset + ((w.rows - 1) * w.rowStride + (w.cols - 1) * w.colStride + 1) * bytes[w.dtype];
    assert.ok(w.offset >= 8 && last <= h.fileBytes, `${w.slot} reaches beyond its file`);
  }
}

function header(r: Random, name: string): Header {
  const seed = headers.get(name)!;
  const kind = r(4);
  const json =
    kind === 0 ? seed.json : kind === 1 ? mutateBytes(r, seed.json) : Buffer.from(mutateJson(r, seed.json.toString()));
  const bytes = seed.bytes - seed.json.length + json.length + (r(6) === 0 ? pick(r, [-1, 1, -8, 8, -1e6]) : 0);
  const h = parseHeader(json, bytes, "model.safetensors");
  checkHeader(h);
  return h;
}

function config(r: Random, name: string): Config {
  const plain = getCase(name).config;
  const seed = JSON.stringify(r(3) === 0 ? { model_type: "llama4", text_config: plain, vision_config: {} } : plain);
  const text = r(3) === 0 ? Buffer.from(mutateBytes(r, Buffer.from(seed))).toString() : mutateJson(r, seed);
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    raw = text;
  }
  const c = readConfig(raw, "config.json");
  checkConfig(c);
  return c;
}

const TARGETS: Record<string, (r: Random) => unknown> = {
  header: (r) => header(r, pick(r, SEEDS)),
  config: (r) => config(r, pick(r, SEEDS)),
  weights: (r) => {
    const name = pick(r, SEEDS);
    const c = r(2) === 0 ? config(r, name) : readConfig(getCase(pick(r, SEEDS)).config, "config.json");
    checkWeights(c, header(r, name));
  },
  index: (r) => {
    const names = [...parseHeader(headers.get("scout")!.json, headers.get("scout")!.bytes, "x").tensors.keys()];
    const weight_map = Object.fromEntries(names.map((n, i) => [n, `model-0000${i % 3}-of-00003.safetensors`]));
    const found = readIndex(JSON.parse(mutateJson(r, JSON.stringify({ metadata: {}, weight_map }))), "index.json");
    for (const f of found.files) assert.ok(!/[/\\]/.test(f) && f !== "..", `${f} leaves the folder`);
  },
  // Real files, read as Model.load reads them.
  folder: (r) => {
    const name = pick(r, SEEDS);
    const seed = headers.get(name)!;
    const text = JSON.stringify(getCase(name).config);
    writeFileSync(join(folder, "config.json"), r(2) === 0 ? text : mutateBytes(r, Buffer.from(text)));
    const json = r(2) === 0 ? seed.json : mutateBytes(r, seed.json);
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(
      r(4) === 0 ? pick(r, [0n, 1n, 7n, 2n ** 63n, 2n ** 64n - 1n, 100_000_001n]) : BigInt(json.length),
    );
    const data = Buffer.alloc(Math.max(0, seed.bytes - 8 - seed.json.length - (r(3) === 0 ? r(5000) : 0)));
    const whole = Buffer.concat([size, json, data]);
    writeFileSync(join(folder, "model.safetensors"), r(8) === 0 ? whole.subarray(0, r(whole.length)) : whole);
    return readCheckpoint(folder).then((c) => checkConfig(c.config));
  },
};
/** Of 64 inputs. */
const SHARE = { header: 24, config: 20, weights: 12, index: 7, folder: 1 };

test(`readers of checkpoints hold under mutated input (${SECONDS} s from seed ${SEED})`, async () => {
  const names = Object.entries(SHARE).flatMap(([name, n]) => Array<string>(n).fill(name));
  const seen: Record<string, number> = {};
  const end = performance.now() + SECONDS * 1000;
  for (let i = 0; performance.now() < end; i++) {
    // Now and then the event loop gets a turn, so that the runner can report and stop.
    if (i % 1000 === 0) await new Promise((done) => setImmediate(done));
    const seed = (Math.imul(SEED, 0x9e3779b1) + i) >>> 0;
    const target = names[i % names.length];
    const start = process.cpuUsage();
    let outcome = "accepted";
    try {
      await TARGETS[target](random(seed));
    } catch (e) {
      const typed = e instanceof ConfigError || e instanceof ArchitectureError || e instanceof CheckpointError;
      const why = `${target}, seed ${seed}: ${(e as Error)?.stack}`;
      assert.ok(typed && e instanceof MoescopeError, `not a typed error of the checkpoint: ${why}`);
      assert.ok(e.where && e.fix && e.message.length < 2000, `an error that does not say where and what to do: ${why}`);
      outcome = e.code;
    }
    const used = process.cpuUsage(start);
    const ms = (used.user + used.system) / 1000;
    assert.ok(ms < LIMIT_MS, `${target}, seed ${seed}: ${ms.toFixed(0)} ms`);
    const key = `${target}: ${outcome}`;
    seen[key] = (seen[key] ?? 0) + 1;
  }
  const total = Object.values(seen).reduce((a, b) => a + b, 0);
  console.log(`${total} inputs: ${JSON.stringify(seen)}`);
  // A fuzzer whose inputs are all refused at the door tests the door only.
  for (const target of ["header", "config", "weights"])
    assert.ok(seen[`${target}: accepted`] > 0, `no ${target} was accepted`);
});

/** The core's own C++ tests, and processes that end while the engine works. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { test } from "node:test";

const path = resolve("build/native/moescope.node");
const config = {
  vocab: 97,
  d: 256,
  heads: 4,
  kvHeads: 2,
  headDim: 32,
  ff: 512,
  ffDense: 0,
  experts: 4,
  topk: 1,
  chunk: 16,
  eps: 1e-5,
  qkNorm: true,
  temperatureTuning: true,
  floorScale: 16,
  attnScale: 0.1,
  tiedEmbeddings: false,
  rope: "hf",
  layers: Array.from({ length: 4 }, () => ({ rope: true, chunked: true, moe: true })),
};

/** A program's exit status and what it wrote. */
async function program(command: string, args: string[]): Promise<{ status: number | null; text: string }> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => {
      text += chunk;
    });
  const status = await new Promise<number | null>((done) => child.on("close", done));
  return { status, text };
}
const script = (body: string) =>
  program(process.execPath, [
    "-e",
    `const native = require(${JSON.stringify(path)});
     const spec = (math) => { const c = ${JSON.stringify(config)};
       c.invFreq = new Float32Array(16).fill(0.1); c.invFreq64 = new Float64Array(16).fill(0.1);
       return { config: c, files: [], weights: [], random: { seed: 1, std: 0.1 }, format: "f32", math, threads: 1 }; };
     const run = (n) => ({ batch: { ids: new Int32Array(n).fill(5), lengths: Int32Array.of(n) }, captures: [], edits: [] });
     ${body}`,
  ]);

test("the core's own tests pass", async () => {
  const { status, text } = await program("build/native/native-tests", []);
  assert.equal(status, 0, text);
  assert.match(text, /[1-9]\d* passed, 0 failed/);
});

test("the process ends when it wants to, also in the middle of a run, and in a worker", async () => {
  const exits =
    await script(`native.load(spec("exact")).done.then((m) => { m.state({ sequences: 1, context: 9000 }).forward(run(8000));
    setTimeout(() => process.exit(7), 30); });`);
  assert.deepEqual(exits, { status: 7, text: "" });
  const idle = await script(
    `native.load(spec("fast")).done.then(async (m) => { await m.state({ sequences: 1, context: 9 }).forward(run(3)).done; console.log("done"); });`,
  );
  assert.deepEqual(idle, { status: 0, text: "done\n" });
  const worker = await script(`const { Worker, isMainThread } = require("node:worker_threads");
    const body = "const native = require(" + JSON.stringify(${JSON.stringify(path)}) + ");" +
      "const spec = " + spec.toString() + "; const run = " + run.toString() + ";" +
      "native.load(spec('exact')).done.then((m) => { m.state({ sequences: 1, context: 9000 }).forward(run(8000)); setTimeout(() => postMessage('up'), 20); });" +
      "const { parentPort } = require('node:worker_threads'); const postMessage = (x) => parentPort.postMessage(x);";
    const w = new Worker(body, { eval: true });
    w.on("message", async () => { await w.terminate(); const m = await native.load(spec("exact")).done; console.log("lives"); m.release(); });`);
  assert.deepEqual(worker, { status: 0, text: "lives\n" });
});

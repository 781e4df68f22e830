/** Floods, the start and the end: nothing is lost, memory stays bounded, the process goes when it should and only then. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { TestKernel } from "./support/test-kernel.ts";

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

/** MB at its highest. */
const peakMemory = (pid: number): number | null => {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024;
  } catch {
    return null;
  }
};

test("50,000 lines arrive, in order, in few messages", async () => {
  const kernel = await TestKernel.start();
  const { stdout, stderr, iopub } = await kernel.execute(
    "for (let i = 0; i < 50_000; i++) { console.log('line', i); if (i % 10_000 === 0) console.error('mark', i) }",
  );
  const lines = stdout.split("\n");
  assert.equal(lines.length, 50_001);
  assert.ok(lines.slice(0, -1).every((line, i) => line === `line ${i}`));
  assert.equal(stderr.split("\n").length, 6);
  assert.ok(iopub.length < 1000, `${iopub.length} messages`);
  await kernel.shutdown();
});

test("100 MB of prints arrive whole; the kernel's memory stays bounded; an interrupt stops a flood without end", async () => {
  const kernel = await TestKernel.start();
  await kernel.execute("1");
  const before = peakMemory(kernel.process.pid!);
  const { stdout } = await kernel.execute(
    "for (let i = 0; i < 1000; i++) process.stdout.write(('é' + i).padEnd(100_000, 'x'))",
  );
  assert.equal(stdout.length, 1e8);
  for (const i of [0, 500, 999]) assert.ok(stdout.startsWith(`é${i}x`, i * 1e5));
  const peak = peakMemory(kernel.process.pid!);
  if (before !== null) assert.ok(peak! - before < 400, `${before} to ${peak} MB`);

  const flood = kernel.execute("for (;;) console.log('y'.repeat(1000))");
  await new Promise((resolve) => setTimeout(resolve, 300));
  await kernel.interrupt();
  assert.equal((await flood).error?.ename, "KernelInterrupt");
  assert.equal((await kernel.execute("1 + 1")).result, "2");
  await kernel.shutdown();
});

test("text in pieces: emoji, binary writes, half characters", async () => {
  const kernel = await TestKernel.start();
  const { stdout } = await kernel.execute(`
    process.stdout.write("😀".repeat(40_000));
    process.stdout.write(Buffer.from("é").subarray(0, 1)); process.stdout.write(Buffer.from("é").subarray(1));
    process.stdout.write("\\n", () => {}); await new Promise((r) => process.stdout.write("end", r));
  `);
  assert.equal(stdout, `${"😀".repeat(40_000)}é\nend`);
  await kernel.shutdown();
});

test("shutdown and restart: replied on their channel, resources disposed, the process ends with 0, also while a cell spins", async () => {
  for (const [channel, code] of [
    ["control", "1"],
    ["shell", "await new Promise(() => {})"],
    ["control", "while (true);"],
  ] as const) {
    const kernel = await TestKernel.start();
    await kernel.execute("using resource = { [Symbol.dispose]() { console.log('goodbye') } }");
    if (code === "1") await kernel.execute(code);
    else void kernel.execute(code);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const exit = once(kernel.process, "exit");
    const { reply } = await kernel.request(channel, "shutdown_request", { restart: true });
    assert.deepEqual(reply.content, { status: "ok", restart: true });
    const [status] = await Promise.race([
      exit,
      new Promise<never>((_, reject) => setTimeout(reject, 8000, new Error(`still there after ${code}`))),
    ]);
    assert.equal(status, 0, kernel.stderrText);
    await kernel.until((m) => m.header.msg_type === "stream" && m.content.text.includes("goodbye"), 500);
    await kernel.shutdown();
  }
});

test("when the Jupyter server is killed, the kernel goes too", async () => {
  const parent = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
  await once(parent, "spawn");
  const kernel = await TestKernel.start({ env: { JPY_PARENT_PID: String(parent.pid) } });
  await kernel.execute("1");
  const exit = once(kernel.process, "exit");
  parent.kill("SIGKILL");
  await Promise.race([
    exit,
    new Promise((_, reject) => setTimeout(reject, 6000, new Error("the kernel outlives its server"))),
  ]);
  assert.ok(!alive(kernel.process.pid!));
  await kernel.shutdown();
});

test("a connection file that is none is told in a sentence", async () => {
  const kernel = await TestKernel.start();
  for (const [text, expected] of [
    ["not json", /is not JSON/],
    ["{}", /lacks a whole number "shell_port"/],
    [null, /Cannot read the connection file/],
  ] as const) {
    const path = join(kernel.folder, "bad.json");
    if (text !== null) writeFileSync(path, text);
    const child = spawn(process.execPath, ["bin/moescope.mjs", "kernel", text === null ? "/no/such/file" : path], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let stderr = "";
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    const [code] = await once(child, "close");
    assert.notEqual(code, 0);
    assert.match(stderr, expected);
    assert.ok(!/\n\s+at /.test(stderr), stderr);
  }
  await kernel.shutdown();
});

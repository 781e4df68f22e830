/** What goes wrong in cells and on the wire: told where it happened, and the kernel with its values lives. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, test } from "node:test";
import { createMessage } from "../../kernel/protocol/message.ts";
import { Wire } from "../../kernel/protocol/wire.ts";
import { plain, TestKernel } from "./support/test-kernel.ts";

let kernel: TestKernel;
before(async () => {
  kernel = await TestKernel.start();
});
after(async () => {
  assert.equal(await kernel.shutdown(), 0, kernel.stderrText);
});

test("an error aborts exactly what waits; stop_on_error false lets it run", async () => {
  const failing = kernel.execute("await new Promise((r) => setTimeout(r, 150)); throw new Error('first')");
  const waiting = [kernel.execute("'a'"), kernel.execute("'b'")];
  const info = await kernel.request("shell", "kernel_info_request", {});
  assert.equal(info.reply.content.status, "ok");
  const { reply, error } = await failing;
  assert.equal(reply.content.status, "error");
  assert.equal(reply.content.ename, "Error");
  assert.equal(error?.evalue, "first");
  const next = kernel.execute("'after'");
  for (const cell of waiting) assert.equal((await cell).reply.content.status, "aborted");
  assert.equal((await next).result, "'after'");

  const tolerant = kernel.execute("await new Promise((r) => setTimeout(r, 100)); throw new Error('x')", {
    stop_on_error: false,
  });
  const runs = kernel.execute("'runs'");
  assert.equal((await tolerant).reply.content.status, "error");
  assert.equal((await runs).result, "'runs'");
});

test("errors in the cell's own lines, the kernel's frames cut", async () => {
  await kernel.execute(
    "interface Shape { side: number }\n\nfunction area(s: Shape | null): number {\n  return s!.side ** 2;\n}",
  );
  const { error, reply } = await kernel.execute("// a comment\nconst type: string = 'x';\narea(null)");
  const text = plain(error!.traceback.join("\n"));
  assert.match(text, /^TypeError: Cannot read properties of null/);
  assert.match(text, /> 4 \|\s+return s!\.side \*\* 2;/);
  assert.match(text, /at area \(cell \d+:4:13\)/);
  assert.match(text, /at cell \d+:3:1/);
  assert.ok(!/kernel\/|moescope-cell|node:/.test(text), text);
  assert.equal(reply.content.ename, "TypeError");
  const stack = await kernel.execute(
    "try { area(null) } catch (e) { (e as Error).stack!.split('\\n')[1].trim() }\n(() => { try { area(null) } catch (e) { return (e as Error).stack!.split('\\n')[1].trim() } })()",
  );
  assert.match(stack.result!, /^'at area \(cell \d+:4:13\)'$/);
});

test("positions stay right when user code replaces Error.prepareStackTrace", async () => {
  await kernel.execute("const ownTrace = Error.prepareStackTrace; Error.prepareStackTrace = undefined");
  const { error } = await kernel.execute("\n  null!.x");
  assert.match(plain(error!.traceback.at(-1)!), /at cell \d+:2:9/);
  await kernel.execute("Error.prepareStackTrace = ownTrace");
});

test("causes, syntax errors, things thrown that are no errors", async () => {
  const cause = await kernel.execute("throw new Error('outer', { cause: new RangeError('inner') })");
  assert.match(plain(cause.error!.traceback.join("\n")), /Caused by RangeError: inner/);
  const syntax = await kernel.execute("const ok = 1;\nlet x = (1 + ;");
  assert.equal(syntax.error!.ename, "SyntaxError");
  assert.match(plain(syntax.error!.traceback.join("\n")), /line 2, column 14/);
  for (const [code, text] of [
    ["throw 5", "5"],
    ["throw null", "null"],
    ["throw undefined", "undefined"],
    ["throw { code: 7 }", "{ code: 7 }"],
    ["throw new Proxy({}, { get() { throw 1 }, getPrototypeOf() { throw 2 } })", ""],
  ]) {
    const { error, reply } = await kernel.execute(code);
    assert.equal(reply.content.status, "error", code);
    assert.equal(error!.ename, "Thrown", code);
    assert.ok(error!.evalue.includes(text), error!.evalue);
  }
});

test("process.exit, late errors and rejections: told, nothing lost", async () => {
  await kernel.execute("let kept = 41");
  const exit = await kernel.execute("process.exit(3)");
  assert.equal(exit.error!.ename, "ProcessExitError");
  const late = await kernel.execute(
    "Promise.reject(new Error('nobody waits')); setTimeout(() => { throw new TypeError('later') }, 20); 0",
  );
  const text = async (part: string) => {
    const message = await kernel.until((m) => m.header.msg_type === "stream" && m.content.text.includes(part));
    assert.equal((message.parent as { msg_id: string }).msg_id, (late.reply.parent as { msg_id: string }).msg_id);
    assert.equal(message.content.name, "stderr");
  };
  await text("nobody waits");
  await text("later");
  const emitter = await kernel.execute(
    "import { EventEmitter } from 'node:events'; process.nextTick(() => { new EventEmitter().emit('error', new Error('emitted')) }); await new Promise((r) => setTimeout(r, 20)); 0",
  );
  assert.match(emitter.stderr, /emitted/);
  assert.equal((await kernel.execute("kept + 1")).result, "42");
});

test("malformed frames, wrong signatures, garbage: dropped, and the kernel lives", async () => {
  const good = createMessage("kernel_info_request", {});
  const wrong = new Wire("another key");
  const frames = kernel.wire.encode(good);
  const attempts: (Uint8Array | string)[][] = [
    ["garbage"],
    [],
    [""],
    ["<IDS|MSG>"],
    ["<IDS|MSG>", "", "{}", "{}", "{}"],
    wrong.encode(good),
    ["<IDS|MSG>", "0".repeat(64), ...frames.slice(-4)],
    ["<IDS|MSG>", "\u{1F600}".repeat(16), ...frames.slice(-4)],
    signed(["nonsense", "{}", "{}", "{}"]),
    signed(["{}", "{}", "{}", "{}"]),
    signed(["[]", "{}", "{}", "{}"]),
    signed([JSON.stringify({ msg_type: "execute_request" }), "{}", "{}", "{}"]),
    signed([Buffer.from([0xff, 0xfe, 0x00]), "{}", "{}", "{}"]),
  ];
  for (let i = 0; i < 200; i++) {
    const copy = frames.map((frame) => Buffer.from(frame));
    const frame = copy[Math.floor(Math.random() * copy.length)];
    if (frame.length) frame[Math.floor(Math.random() * frame.length)] ^= 1 + Math.floor(Math.random() * 255);
    attempts.push(copy);
  }
  for (const attempt of attempts) {
    await kernel.shell.send(attempt as never);
    await kernel.control.send(attempt as never);
  }
  // Well-formed messages with content that makes no sense.
  for (const type of [
    "execute_request",
    "complete_request",
    "inspect_request",
    "history_request",
    "is_complete_request",
    "comm_open",
    "comm_msg",
    "no_such_request",
  ]) {
    kernel.send("shell", type, { code: 5, cursor_pos: -3, hist_access_type: "strange", comm_id: {} });
  }
  const unknown = kernel.send("shell", "no_such_request", {});
  await kernel.until(
    (m) =>
      m.header.msg_type === "status" &&
      m.content.execution_state === "idle" &&
      (m.parent as { msg_id: string }).msg_id === unknown.header.msg_id,
  );
  assert.equal((await kernel.execute("1 + 1")).result, "2");
  // The same signed message twice is a replay.
  const once = createMessage("execute_request", {
    code: "Reflect.set(globalThis, 'runs', (Reflect.get(globalThis, 'runs') ?? 0) + 1)",
  });
  const replay = kernel.wire.encode(once);
  await kernel.shell.send(replay);
  await kernel.shell.send(replay);
  assert.equal((await kernel.execute("Reflect.get(globalThis, 'runs')")).result, "1");
});

function signed(parts: (string | Uint8Array)[]): Uint8Array[] {
  const body = parts.map((part) => Buffer.from(part as Uint8Array));
  const hmac = createHmac("sha256", "test-key");
  for (const part of body) hmac.update(part);
  return [Buffer.from("<IDS|MSG>"), Buffer.from(hmac.digest("hex")), ...body];
}

import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { History } from "../../kernel/frontends/history.ts";
import { Parents } from "../../kernel/frontends/jupyter/parents.ts";
import { type MagicState, splitMagics, splitQuestion } from "../../kernel/frontends/magics.ts";
import { createMessage } from "../../kernel/protocol/message.ts";
import { Scope, usingContext } from "../../kernel/session/scope.ts";

function inFolder(fn: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), "moescope-history-"));
  try {
    fn(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("history: kept across sessions, tail, range, search", () =>
  inFolder((folder) => {
    const file = join(folder, "deep/history.jsonl");
    const first = new History(file);
    first.add(1, "let a = 1");
    first.add(2, "a + 1", "2");
    const second = new History(file);
    second.add(1, "a * 2");
    assert.deepEqual(
      second.tail(2).map((e) => e.input),
      ["a + 1", "a * 2"],
    );
    assert.deepEqual(second.tail(0), []);
    const [older] = second.tail(3);
    assert.notEqual(older.session, second.tail(1)[0].session);
    assert.deepEqual(
      second.range(0, 1, null).map((e) => e.input),
      ["a * 2"],
    );
    assert.deepEqual(
      second.range(-1, 2, 3).map((e) => [e.input, e.output]),
      [["a + 1", "2"]],
    );
    assert.deepEqual(
      second.range(older.session, 1, 2).map((e) => e.input),
      ["let a = 1"],
    );
    assert.deepEqual(second.range(-9, 0, null), []);
    assert.deepEqual(
      second.search("a ? 1", null, false).map((e) => e.input),
      ["a + 1"],
    );
    assert.deepEqual(
      second.search("*a*", 1, false).map((e) => e.input),
      ["a * 2"],
    );
    second.add(2, "a + 1");
    assert.equal(second.search("a + 1", null, true).length, 1);
    assert.equal(second.search("a + 1", null, false).length, 2);
  }));

test("history: a damaged file costs only its damaged lines; a folder that cannot be written costs nothing", () =>
  inFolder((folder) => {
    const file = join(folder, "history.jsonl");
    new History(file).add(1, "good");
    appendFileSync(file, '{"half": \nnull\n[1]\n{"session":"x","input":"y"}\n');
    assert.deepEqual(
      new History(file).tail(9).map((e) => e.input),
      ["good"],
    );
    writeFileSync(join(folder, "plain"), "");
    const nowhere = new History(join(folder, "plain/history.jsonl"));
    nowhere.add(1, "still here");
    assert.equal(nowhere.tail(1)[0].input, "still here");
  }));

test("history: the file does not grow without end", () =>
  inFolder((folder) => {
    const file = join(folder, "history.jsonl");
    writeFileSync(
      file,
      `${Array.from({ length: 10_500 }, (_, i) => JSON.stringify({ session: 1, line: i, input: `${i}`, output: null })).join("\n")}\n`,
    );
    assert.equal(new History(file).tail(1)[0].input, "10499");
    assert.equal(readFileSync(file, "utf8").trim().split("\n").length, 5000);
  }));

test("magics: lines at the top, positions kept, unknown ones told", () => {
  const state: MagicState = { types: "warn" };
  assert.equal(splitMagics("1 % 2\n%types off"), null);
  const split = splitMagics("\n%types strict\n  %types\nlet x = 1")!;
  assert.equal(split.code, `\n${" ".repeat(13)}\n${" ".repeat(8)}\nlet x = 1`);
  assert.deepEqual(Object.keys(split.run(state)), ["text"]);
  assert.equal(state.types, "strict");
  assert.equal(splitMagics("%types")!.code, "");
  for (const wrong of ["%types maybe", "%nothing", "%types off extra"]) {
    const done = splitMagics(wrong)!.run(state);
    assert.ok("error" in done && done.error.name === "MagicError", wrong);
  }
  assert.equal(state.types, "strict");
  const help = splitMagics("%")!.run(state);
  assert.ok("text" in help && /%types strict\|warn\|off/.test(help.text));
});

test("questions", () => {
  assert.deepEqual(splitQuestion(" m.layers? "), { expression: "m.layers", detail: 0 });
  assert.deepEqual(splitQuestion("??x"), { expression: "x", detail: 1 });
  for (const no of ["a ? b : c", "x?.y", "a??b", "", "?"]) assert.equal(splitQuestion(no), null, no);
});

test("late outputs find their request, and the oldest give way", () => {
  const parents = new Parents();
  assert.equal(parents.of(1), null);
  for (let cell = 1; cell <= 1500; cell++)
    parents.set(cell, { request: createMessage("execute_request", { code: "x" }), count: cell });
  assert.equal(parents.of(1400)!.count, 1400);
  assert.equal(parents.of(3)!.count, 1500);
  assert.deepEqual(parents.of(1400)!.request.content, {});
});

test("scope: disposed in reverse order, all of them, the first error told", async () => {
  const scope = new Scope();
  const log: string[] = [];
  const resource = (name: string, fail = false) => ({
    [Symbol.dispose]() {
      log.push(name);
      if (fail) throw new Error(name);
    },
  });
  scope.use("a", false, resource("a"));
  scope.use("b", false, resource("b", true));
  scope.use("c", true, {
    async [Symbol.asyncDispose]() {
      await null;
      log.push("c");
    },
  });
  assert.equal(scope.use("n", false, null), null);
  assert.throws(() => scope.use("d", false, {}), /using d: .*Symbol.dispose/);
  await scope.release(["a"]);
  assert.deepEqual(log, ["a"]);
  await assert.rejects(scope.end(), /b/);
  assert.deepEqual(log, ["a", "c", "b"]);
  await scope.end();
});

test("using in blocks: reverse order, errors suppressed into one", async () => {
  const log: string[] = [];
  const context = usingContext();
  const fail = (name: string) => ({
    [Symbol.dispose]() {
      log.push(name);
      throw new Error(name);
    },
  });
  context.u(fail("first"));
  context.a({
    async [Symbol.asyncDispose]() {
      await null;
      log.push("async");
    },
  });
  context.u(fail("last"));
  context.e = new Error("body");
  await assert.rejects(
    async () => context.d(),
    (e: any) =>
      e.name === "SuppressedError" && e.error.message === "first" && e.suppressed.suppressed.message === "body",
  );
  assert.deepEqual(log, ["last", "async", "first"]);
});

/** What rounding to int4 costs the shipped model, on held-out text. The figures are printed. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Model } from "../../../engine/model/model.ts";
import type { Message } from "../../../engine/text/chat.ts";

test("tiny-scout in int4 still knows its facts, and loses about one hundredth of its loss", async (t) => {
  const lines: { kind?: string; text?: string; messages?: Message[] }[] = readFileSync(
    "notebooks/models/tiny-scout/heldout.jsonl",
    "utf8",
  )
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const inputs = lines.filter((l) => !l.kind).flatMap((l, i) => (i % 4 ? [] : (l.text ?? { messages: l.messages! })));
  const lossOf = async (m: Model): Promise<number> => {
    const rows = (await m.batch(inputs)).tokens.toArray().filter((row) => row.pos > 0);
    assert.ok(rows.length > 4000);
    return -rows.reduce((sum, row) => sum + row.logprob, 0) / rows.length;
  };
  using bf16 = await Model.load("tiny-scout", { weights: "bf16", device: "cpu" });
  const base = await lossOf(bf16);
  for (const group of [32, 64, 128] as const) {
    using m = await Model.load("tiny-scout", { weights: "int4", group, device: "cpu" });
    const more = (await lossOf(m)) / base - 1;
    t.diagnostic(`groups of ${group}: loss ${(100 * more).toFixed(2)} % above bf16's ${base.toFixed(3)}`);
    assert.ok(Math.abs(more) < 0.02, `groups of ${group}: ${100 * more} %`);
    assert.equal((await m.generate("The capital of France is", { maxTokens: 2 })).reply, " Paris.");
    assert.match((await m.chat([{ role: "user", content: "2+2?" }])).reply, /4\.?$/);
  }
});

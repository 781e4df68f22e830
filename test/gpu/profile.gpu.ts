/** `m.profile()` on the device: times by its own clock, and the values are those without. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { Model } from "../../engine/index.ts";

test("a profile tells each verb of both phases, beside the read rate", async () => {
  using m = await Model.load("tiny-scout", { device: "cuda" });
  const p = await m.profile(undefined, { maxTokens: 8 });
  const rows = p.table.toArray();
  assert.equal(rows.length, 15);
  for (const phase of ["prefill", "decode"] as const) {
    const times = rows.filter((r) => r.phase === phase).map((r) => r.ms);
    const sum = times.reduce((a, b) => a + b, 0);
    assert.ok(times.every((ms) => ms >= 0) && sum > 0, inspect(p));
    // Two clocks; the device's cannot have seen much more than the machine's.
    assert.ok(sum <= p[phase].ms * 1.01, inspect(p));
  }
  assert.ok(rows.every((r) => r.limit_share > 0 && r.gbs > 0));
  assert.equal(rows.find((r) => r.phase === "decode" && r.verb === "qkv")?.calls, 8 * 8);
  assert.ok(p.limit > 1 && p.decode.tokensPerSecond > 0);
  process.stdout.write(`${inspect(p)}\n`);
});

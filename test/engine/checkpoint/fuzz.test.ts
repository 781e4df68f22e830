import assert from "node:assert/strict";
import { test } from "node:test";
import { fuzzReaders } from "../../fuzz/readers.ts";

test("changed files are read or refused with a typed error (a minute of it: node dist/test/fuzz/readers.js)", () => {
  const r = fuzzReaders({ seed: 20261124, cases: 1200 });
  assert.equal(r.cases, 1200);
  assert.ok(r.accepted > 50, `${r.accepted} were accepted`);
  for (const key of [
    "config: config",
    "config: architecture",
    "header: checkpoint",
    "both: config",
    "index: checkpoint",
  ])
    assert.ok(r.refused.get(key)! > 3, key);
});

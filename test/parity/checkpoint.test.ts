import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { caseNames, HERE, sha256, writeCase } from "./checkpoint.ts";

test("both languages write the same checkpoints, byte for byte", () => {
  const sums = JSON.parse(readFileSync(`${HERE}/fixtures/checkpoints.json`, "utf8"));
  for (const name of caseNames) assert.equal(sha256(`${writeCase(name)}/model.safetensors`), sums[name], name);
});

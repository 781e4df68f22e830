import assert from "node:assert/strict";
import { test } from "node:test";
import type { LiveValues } from "../../kernel/bridge/language.ts";
import { createUntyped } from "../../kernel/language/untyped.ts";

const live: LiveValues = {
  names: async () => ["abc", "other"],
  properties: async (expression) => (expression === "abc" ? [{ name: "shape", type: "property" }] : null),
  describe: async (expression) => (expression === "abc" ? "Float32Array(3)" : null),
};
const language = createUntyped({ folder: ".", live });

test("without TypeScript nothing is checked, and live values complete and tell themselves", async () => {
  assert.deepEqual(await language.check({ count: 1, code: "const n: number = 'a'" }), []);
  language.accept({ count: 1, code: "1" });
  assert.deepEqual(
    (await language.complete("abc.sh", 6)).items.map((i) => i.text),
    ["shape"],
  );
  assert.match(JSON.stringify(await language.inspect("abc", 3, 1)), /Float32Array\(3\)/);
  assert.equal(await language.inspect("abc", 3, 0), null);
  assert.equal(language.isComplete("if (1) {").status, "incomplete");
  await language.close();
});

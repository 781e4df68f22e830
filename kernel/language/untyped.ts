/** Without TypeScript (a packed installation leaves it out): cells run unchecked, and completion and hover know live values alone. */
import type { CreateLanguage } from "../bridge/language.ts";
import { completeness } from "./completeness.ts";
import { alive, merged, typed } from "./completion.ts";
import { inspection, valueAt } from "./inspection.ts";

export const createUntyped: CreateLanguage = ({ live }) => ({
  check: async () => [],
  accept: () => {},
  async complete(code, cursor) {
    const values = await alive(live, code, cursor).catch(() => ({ items: [], start: cursor, end: cursor }));
    return merged(typed(null, code, cursor), values, code);
  },
  inspect: async (code, cursor, detail) => inspection(null, null, await valueAt(live, code, cursor, detail)),
  isComplete: completeness,
  async close() {},
});

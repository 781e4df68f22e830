/** Without TypeScript (a packed installation leaves it out): cells run unchecked, and completion and hover know live values alone. */
import type { CreateLanguage } from "../bridge/language.ts";
import { completeness } from "./completeness.ts";
import { alive, merged, typed } from "./completion.ts";
import { inspection } from "./inspection.ts";

const WORD = /[\p{ID_Continue}$.]*$/u;

export const createUntyped: CreateLanguage = ({ live }) => ({
  check: async () => [],
  accept: () => {},
  async complete(code, cursor) {
    const values = await alive(live, code, cursor).catch(() => ({ items: [], start: cursor, end: cursor }));
    return merged(typed(null, code, cursor), values, code);
  },
  async inspect(code, cursor, detail) {
    const word = WORD.exec(code.slice(0, cursor))![0] + /^[\p{ID_Continue}$]*/u.exec(code.slice(cursor))![0];
    const value = detail > 0 && word ? await live.describe(word).catch(() => null) : null;
    return inspection(null, null, value);
  },
  isComplete: completeness,
  async close() {},
});

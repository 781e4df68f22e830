/** A value as readable text of bounded size. */
import { inspect } from "node:util";

/** Characters. More is cut, saying so. */
const LIMIT = 32_000;
const STRING = 8_000;

export function plainText(value: unknown): string {
  const shown =
    typeof value === "string"
      ? inspect(cut(value, STRING), { breakLength: Number.POSITIVE_INFINITY })
      : inspected(value, 3);
  if (shown.length <= LIMIT) return shown;
  return cut(inspected(value, 1), LIMIT);
}

const inspected = (value: unknown, depth: number): string =>
  inspect(value, {
    depth,
    maxArrayLength: 60,
    maxStringLength: STRING,
    breakLength: 100,
    compact: 3,
    numericSeparator: false,
  });

const cut = (text: string, limit: number): string =>
  text.length <= limit ? text : `${text.slice(0, limit)}… (${text.length - limit} more characters)`;

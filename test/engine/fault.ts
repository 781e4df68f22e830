import assert from "node:assert/strict";
import { type ErrorCode, MoescopeError } from "../../engine/errors.ts";

/** The work must fail with a typed error of this code whose message has every word, and which says what to do. */
export async function fault(
  work: () => unknown,
  code: ErrorCode,
  ...words: (string | RegExp)[]
): Promise<MoescopeError> {
  let caught: unknown = null;
  try {
    await work();
  } catch (e) {
    caught = e;
  }
  assert.ok(caught !== null, `nothing was thrown (expected ${code})`);
  assert.ok(
    caught instanceof MoescopeError,
    `not a typed error: ${caught instanceof Error ? caught.stack : String(caught)}`,
  );
  assert.equal(caught.code, code, caught.message);
  for (const w of words)
    assert.ok(
      typeof w === "string" ? caught.message.includes(w) : w.test(caught.message),
      `"${w}" is not in: ${caught.message}`,
    );
  return caught;
}

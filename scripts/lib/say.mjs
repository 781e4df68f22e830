// What the scripts print: one line a step, to stderr, so that stdout stays the program's own.
const tty = process.stderr.isTTY && !process.env.NO_COLOR;

export const say = (text) => process.stderr.write(`${tty ? `\x1b[36m${text}\x1b[0m` : text}\n`);

/** A fault of the machine, not of the program: one sentence with what to do, no stack. */
export class Missing extends Error {}

/** Runs a script's body; a `Missing` becomes one sentence and exit code 2. */
export async function main(body) {
  try {
    process.exitCode = (await body()) ?? 0;
  } catch (error) {
    if (!(error instanceof Missing)) throw error;
    process.stderr.write(`moescope: ${error.message}\n`);
    process.exitCode = 2;
  }
}

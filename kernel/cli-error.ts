/** Something the program cannot try: wrong usage, or a part of the machine that is missing. Shown as one sentence; exit code 2. */
export class CliError extends Error {
  override name = "CliError";
}

/** What user code must not do to the process it shares with the kernel. */

/** Thrown in place of ending the process: the session's values would be lost. */
export class ProcessExitError extends Error {
  override name = "ProcessExitError";
  readonly exitCode: number | string | null | undefined;
  constructor(call: string, exitCode?: number | string | null) {
    super(
      `${call} would end the kernel and lose every value, so it was stopped. To end the kernel, shut it down from the notebook's menu.`,
    );
    this.exitCode = exitCode;
  }
}

const rawExit = process.exit.bind(process);

/** The real one. */
export const exitProcess = (code: number): never => rawExit(code);

export interface ProcessHandlers {
  /** An error that no cell is left to receive: a late rejection, a throwing callback. */
  lateError(error: unknown, origin: "rejection" | "exception"): void;
  warning(text: string): void;
  /** Ctrl-C reached this process itself (a console in the same terminal). */
  interrupt(): void;
}

export function guardProcess(handlers: ProcessHandlers): void {
  process.exit = ((code?: number | string | null) => {
    throw new ProcessExitError(`process.exit(${code ?? ""})`, code);
  }) as typeof process.exit;
  process.abort = () => {
    throw new ProcessExitError("process.abort()");
  };
  process.on("uncaughtException", (error) => handlers.lateError(error, "exception"));
  process.on("unhandledRejection", (error) => handlers.lateError(error, "rejection"));
  process.on("SIGINT", () => handlers.interrupt());
  process.removeAllListeners("warning");
  process.on("warning", (warning) => {
    if (!OURS.test(warning.message)) handlers.warning(`${warning.name}: ${warning.message}\n`);
  });
}

/** Node warns of experimental features that the kernel itself uses. */
const OURS = /USE_MAIN_CONTEXT_DEFAULT_LOADER|vm\.constants|`?--experimental-loader|ES Module in require|register\(\)/;

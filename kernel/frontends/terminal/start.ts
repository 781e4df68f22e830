/** `moescope repl` on the main thread. */
import { isatty } from "node:tty";
import { hostSession } from "../../bridge/session-host.ts";

export interface ReplSettings {
  /** A terminal on both ends, that can move its cursor; else what comes in is executed. */
  interactive: boolean;
  /** Runs first. */
  begin: string | null;
}

export async function repl({ model }: { model?: string }): Promise<undefined> {
  const settings: ReplSettings = {
    interactive: isatty(0) && isatty(1) && process.env["TERM"] !== "dumb",
    begin:
      model === undefined
        ? null
        : `import { Model, at, attn, route } from "moescope";\nconst m = await Model.load(${JSON.stringify(model)});\nm`,
  };
  await hostSession({ frontend: new URL("./main.js", import.meta.url), settings, folder: process.cwd() });
}

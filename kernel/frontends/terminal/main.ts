/** The worker's entry. */
import { workerData } from "node:worker_threads";
import type { FrontendData } from "../../bridge/shared.ts";
import type { ReplSettings } from "./start.ts";

const { interactive, begin } = (workerData as FrontendData<ReplSettings>).settings;
if (interactive) await new (await import("./repl.ts")).Repl().start(begin);
else await (await import("./piped.ts")).executeInput(begin);

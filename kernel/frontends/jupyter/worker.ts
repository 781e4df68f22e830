/** The worker's entry: `settings` is the connection. */
import { workerData } from "node:worker_threads";
import type { FrontendData } from "../../bridge/shared.ts";
import type { Connection } from "../../protocol/connection.ts";
import { JupyterFrontend } from "./frontend.ts";

void new JupyterFrontend((workerData as FrontendData<Connection>).settings).start();

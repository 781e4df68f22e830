/** Starts the Jupyter kernel that a connection file describes. */
import { dirname, isAbsolute } from "node:path";
import { hostSession } from "./bridge/session-host.ts";
import { readConnectionFile } from "./protocol/connection.ts";

/** Resolves when the session takes cells; the process then lives until a client shuts it down. Throws ConnectionFileError. */
export async function startKernel(connectionFile: string): Promise<void> {
  await hostSession({
    frontend: new URL("./bundle/jupyter.cjs", import.meta.url),
    settings: readConnectionFile(connectionFile),
    folder: notebookFolder(),
  });
}

/** Jupyter names the notebook in the environment; else kernels start in its folder. */
function notebookFolder(): string {
  const notebook = process.env.JPY_SESSION_NAME;
  return notebook && isAbsolute(notebook) && /\.\w+$/.test(notebook) ? dirname(notebook) : process.cwd();
}

import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";

/** The repository: tests run with it as their working directory. */
export const root = resolve(".");
const venv = process.env["MOESCOPE_VENV"] ?? join(root, ".venv");

const START_LIMIT_MS = 60_000;

const freePort = () =>
  new Promise<number>((done, fail) => {
    const server = createServer();
    server.on("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });

export interface Jupyter {
  readonly url: string;
  readonly token: string;
  /** The folder that the server shows. */
  readonly folder: string;
  stop(): Promise<void>;
}

/** Starts `jupyter lab` or `jupyter notebook` with settings, kernels and plugins of its own, in a folder of its own. */
export async function startJupyter(app: "lab" | "notebook", files: Record<string, string> = {}): Promise<Jupyter> {
  const folder = mkdtempSync(join(tmpdir(), "moescope-browser-"));
  const data = join(folder, ".data");
  const kernel = join(data, "kernels/moescope");
  mkdirSync(kernel, { recursive: true });
  writeFileSync(
    join(kernel, "kernel.json"),
    JSON.stringify({
      argv: [process.execPath, join(root, "bin/moescope.mjs"), "kernel", "{connection_file}"],
      display_name: "Moescope (TypeScript)",
      language: "typescript",
      interrupt_mode: "message",
    }),
  );
  const plugin = join(root, "dist/kernel/lab");
  if (existsSync(plugin)) cpSync(plugin, join(data, "labextensions/moescope"), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);

  // No question about news over the pictures.
  const settings = join(folder, ".settings/@jupyterlab/apputils-extension");
  mkdirSync(settings, { recursive: true });
  writeFileSync(
    join(settings, "notification.jupyterlab-settings"),
    '{ "fetchNews": "false", "checkForUpdates": false }',
  );

  // Every cell is in the page, not only those in view, so that the whole notebook can be looked at.
  const tracker = join(folder, ".settings/@jupyterlab/notebook-extension");
  mkdirSync(tracker, { recursive: true });
  writeFileSync(join(tracker, "tracker.jupyterlab-settings"), '{ "windowingMode": "none" }');

  const port = await freePort();
  const token = "moescope";
  const child = spawn(
    join(venv, "bin/jupyter"),
    [
      app,
      "--no-browser",
      `--ServerApp.port=${port}`,
      "--ServerApp.ip=127.0.0.1",
      `--IdentityProvider.token=${token}`,
      "--allow-root",
      // `page.ts` presses JupyterLab's buttons through its command registry.
      `--${app === "lab" ? "LabApp" : "JupyterNotebookApp"}.expose_app_in_browser=True`,
      `--ServerApp.root_dir=${folder}`,
    ],
    {
      stdio: ["ignore", "ignore", "pipe"],
      env: {
        ...process.env,
        PATH: `${join(venv, "bin")}${delimiter}${process.env["PATH"]}`,
        JUPYTER_PATH: data,
        JUPYTER_DATA_DIR: join(folder, ".user"),
        JUPYTER_CONFIG_DIR: join(folder, ".config"),
        JUPYTER_RUNTIME_DIR: join(folder, ".runtime"),
        JUPYTERLAB_SETTINGS_DIR: join(folder, ".settings"),
        JUPYTERLAB_WORKSPACES_DIR: join(folder, ".workspaces"),
      },
    },
  );
  const log: string[] = [];
  child.stderr!.on("data", (chunk) => log.push(String(chunk)));
  const url = `http://127.0.0.1:${port}`;
  const begin = Date.now();
  for (;;) {
    const answer = await fetch(`${url}/api?token=${token}`).catch(() => null);
    if (answer?.ok) break;
    if (child.exitCode !== null || Date.now() - begin > START_LIMIT_MS) {
      child.kill("SIGKILL");
      throw new Error(`Jupyter did not start:\n${log.join("")}`);
    }
    await new Promise((done) => setTimeout(done, 100));
  }
  return { url, token, folder, stop: () => stop(child, folder) };
}

async function stop(child: ChildProcess, folder: string): Promise<void> {
  const ended = new Promise((done) => child.once("close", done));
  child.kill("SIGTERM");
  const hard = setTimeout(() => child.kill("SIGKILL"), 8000);
  await ended;
  clearTimeout(hard);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

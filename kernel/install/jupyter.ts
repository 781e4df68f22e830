/** A JupyterLab 4 to run: the one on PATH, else one in a private environment that is made once. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CliError } from "../cli-error.ts";
import { ask, must, which } from "./exec.ts";
import { venvFolder } from "./paths.ts";

export const JUPYTERLAB = "4.6.6";

export interface Jupyter {
  /** Command and first arguments. */
  command: string[];
  version: string;
  /** Where it comes from, for people. */
  from: string;
}

/** No JupyterLab and no Python to make one with. */
export class NoPythonError extends CliError {
  override name = "NoPythonError";
}

/** The JupyterLab that is there already, or null. */
export function findJupyter(): Jupyter | null {
  const own = privateJupyter();
  const onPath = which("jupyter-lab");
  const version = onPath && ask(onPath, ["--version"]);
  if (onPath && version?.startsWith("4.")) return { command: [onPath], version, from: onPath };
  return own;
}

function privateJupyter(): Jupyter | null {
  const python = venvPython();
  if (!existsSync(python)) return null;
  const version = ask(python, ["-c", "import jupyterlab; print(jupyterlab.__version__)"]);
  if (!version?.startsWith("4.")) return null;
  // JupyterLab runs a CommonJS script of its own; below a package of ES modules Node would take it for one.
  const scope = join(venvFolder(), "package.json");
  if (!existsSync(scope)) writeFileSync(scope, '{ "type": "commonjs" }\n');
  return { command: [python, "-m", "jupyterlab"], version, from: venvFolder() };
}

const venvPython = (): string =>
  process.platform === "win32" ? join(venvFolder(), "Scripts/python.exe") : join(venvFolder(), "bin/python");

/**
 * The JupyterLab there is, else a new one, saying what happens meanwhile.
 * @throws {NoPythonError} without Python; {@link CliError} when Python lacks venv or the packages cannot be had.
 */
export async function bringJupyter(say: (line: string) => void): Promise<Jupyter> {
  const found = findJupyter();
  if (found) return found;
  const uv = which("uv");
  const folder = venvFolder();
  const python = venvPython();
  if (!existsSync(python) || ask(python, ["-c", "import sys"]) === null) {
    if (uv) {
      say("making a private Python environment with uv");
      await must("uv venv", uv, ["venv", "--quiet", "--allow-existing", folder]);
    } else {
      const system = which("python3");
      if (!system)
        throw new NoPythonError(
          "JupyterLab needs Python 3, which is not there. On Debian or Ubuntu: sudo apt install python3 python3-venv",
        );
      if (ask(system, ["-c", "import venv, ensurepip"]) === null) {
        throw new CliError(
          "JupyterLab needs Python's venv module, which is not there. On Debian or Ubuntu: sudo apt install python3-venv",
        );
      }
      say("making a private Python environment");
      await must("python3 -m venv", system, ["-m", "venv", folder]);
    }
  }
  say(`bringing in JupyterLab ${JUPYTERLAB} (once, about 150 MB, into ${folder})`);
  const requirement = `jupyterlab==${JUPYTERLAB}`;
  try {
    if (uv) await must("uv pip install", uv, ["pip", "install", "--quiet", "--python", python, requirement]);
    else
      await must("pip install", python, [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        requirement,
      ]);
  } catch (error) {
    throw new CliError(
      `${(error as Error).message}; its output is above. JupyterLab can also be installed by other means: any jupyter-lab 4 on PATH is used.`,
    );
  }
  const made = privateJupyter();
  if (!made)
    throw new CliError(`JupyterLab was installed into ${folder} but does not start. Remove that folder and try again.`);
  return made;
}

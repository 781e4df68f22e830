// Python is a helper only: build tools from PyPI where the machine has none, and JupyterLab.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { must, root, which, works } from "./exec.mjs";
import { Missing, say } from "./say.mjs";

/** Makes (once) a virtual environment below the repository and returns its `bin` folder. */
export async function venv(folder, what) {
  const bin = join(root, folder, "bin");
  if (existsSync(join(bin, "python")) && works(join(bin, "python"), ["-c", "import sys"])) return bin;
  if (which("uv")) {
    await must("uv venv", "uv", ["venv", "--quiet", join(root, folder)]);
    return bin;
  }
  if (!which("python3"))
    throw new Missing(
      `${what} needs Python 3, which is not there. On Debian or Ubuntu: sudo apt install python3 python3-venv`,
    );
  if (!works("python3", ["-c", "import venv, ensurepip"])) {
    throw new Missing(
      `${what} needs Python's venv module, which is not there. On Debian or Ubuntu: sudo apt install python3-venv`,
    );
  }
  await must("python3 -m venv", "python3", ["-m", "venv", join(root, folder)]);
  return bin;
}

/** Installs pinned packages into a virtual environment unless their metadata is there already. */
export async function install(folder, requirements, what) {
  const bin = await venv(folder, what);
  const wanted = JSON.stringify(requirements);
  const check = `import importlib.metadata as m, json\nfor r in json.loads(${JSON.stringify(wanted)}):\n    n, v = r.split("==")\n    assert m.version(n) == v`;
  if (works(join(bin, "python"), ["-c", check])) return bin;
  say(`moescope: bringing in ${requirements.join(", ")} (for ${what}, once)`);
  if (which("uv"))
    await must("uv pip", "uv", ["pip", "install", "--quiet", "--python", join(bin, "python"), ...requirements]);
  else
    await must("pip", join(bin, "python"), [
      "-m",
      "pip",
      "install",
      "--quiet",
      "--disable-pip-version-check",
      ...requirements,
    ]);
  return bin;
}

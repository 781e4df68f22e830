/** Kernelspec and plugin into a Jupyter data folder, and out of it again. A list of what was written lies with the kernelspec, so that exactly that is removed. */
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve, sep } from "node:path";
import { CliError } from "../cli-error.ts";
import { KERNEL_NAME, kernelspec, LOGO } from "./kernelspec.ts";
import { labExtension, userDataFolder } from "./paths.ts";

const LIST = "installed.json";

interface Target {
  user?: boolean | string;
  prefix?: boolean | string;
}

function dataFolder({ user, prefix }: Target): string {
  if (user && prefix) throw new CliError("choose one of --user and --prefix");
  return typeof prefix === "string" ? join(resolve(prefix), "share/jupyter") : userDataFolder();
}

export async function install(target: Target): Promise<number> {
  const data = dataFolder(target);
  remove(data);
  const written = place(data, "copy");
  process.stdout.write(`Wrote:\n${written.map((path) => `  ${path}\n`).join("")}`);
  if (!existsSync(labExtension))
    process.stdout.write(
      "The JupyterLab plugin is not built, so figures will show as pictures. To add it: npm run build, then install again.\n",
    );
  process.stdout.write(
    'Jupyter now offers the kernel "TypeScript (Moescope)". To remove all of it: moescope uninstall\n',
  );
  return 0;
}

export async function uninstall(target: Target): Promise<number> {
  const data = dataFolder(target);
  const { files, gone, kept } = remove(data);
  if (!files) {
    process.stdout.write(`Nothing of Moescope's is in ${data}.\n`);
    return 0;
  }
  if (gone.length) process.stdout.write(`Removed:\n${gone.map((path) => `  ${path}\n`).join("")}`);
  if (kept.length)
    process.stdout.write(
      `Left, because Moescope did not write what is in it:\n${kept.map((path) => `  ${path}\n`).join("")}`,
    );
  return 0;
}

/**
 * Writes kernelspec and plugin below a Jupyter data folder.
 * @param plugin `link` follows later builds; `copy` lives on when the package moves.
 * @returns the folders written.
 */
export function place(data: string, plugin: "link" | "copy"): string[] {
  const kernel = join(data, "kernels", KERNEL_NAME);
  const extension = join(data, "labextensions", KERNEL_NAME);
  mkdirSync(kernel, { recursive: true });
  const files = ["kernel.json", "logo-svg.svg", LIST].map((name) => join(kernel, name));
  writeFileSync(files[0], `${JSON.stringify(kernelspec(), null, 2)}\n`);
  writeFileSync(files[1], LOGO);
  const written = [kernel];
  if (existsSync(labExtension)) {
    rmSync(extension, { recursive: true, force: true });
    mkdirSync(dirname(extension), { recursive: true });
    if (plugin === "link") symlinkSync(labExtension, extension, "junction");
    else cpSync(labExtension, extension, { recursive: true });
    files.push(...filesBelow(extension));
    written.push(extension);
  }
  writeFileSync(files[2], `${JSON.stringify(files, null, 2)}\n`);
  return written;
}

/** Removes the listed files and the folders this empties. */
function remove(data: string): { files: number; gone: string[]; kept: string[] } {
  const kernel = join(data, "kernels", KERNEL_NAME);
  const extension = join(data, "labextensions", KERNEL_NAME);
  const list = join(kernel, LIST);
  if (!existsSync(list)) return { files: 0, gone: [], kept: [] };
  let files = 0;
  const folders = [kernel, extension];
  const before = folders.filter(isThere);
  for (const path of (JSON.parse(readFileSync(list, "utf8")) as string[]).map((name) => resolve(name))) {
    if (folders.some((folder) => path === folder || path.startsWith(folder + sep)) && isThere(path)) {
      unlinkSync(path);
      files++;
    }
  }
  for (const folder of folders) pruneEmpty(folder);
  const kept = folders.filter(isThere);
  return { files, gone: before.filter((path) => !kept.includes(path)), kept };
}

/** Also true for a link to nothing. */
const isThere = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;

function filesBelow(path: string): string[] {
  if (!lstatSync(path).isDirectory()) return [path];
  return readdirSync(path).flatMap((name) => filesBelow(join(path, name)));
}

function pruneEmpty(path: string): void {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  for (const name of readdirSync(path)) pruneEmpty(join(path, name));
  if (!readdirSync(path).length) rmdirSync(path);
}

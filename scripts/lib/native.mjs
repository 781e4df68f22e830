// The native addon: CMake with the compiler that is there, else with cmake, ninja and zig from PyPI.
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { must, root, which, works } from "./exec.mjs";
import { install } from "./python.mjs";
import { say } from "./say.mjs";
import { once } from "./stamp.mjs";

const BUILD = "build/native";
const TOOLS = ".cache/tools";
const PROBE = "#include <span>\n#include <concepts>\n#include <bit>\nint main() { return std::popcount(0u); }\n";

/** A C++20 compiler of the machine, or null. `CXX` wins. */
function compiler() {
  const source = join(tmpdir(), `moescope-probe-${process.pid}.cc`);
  writeFileSync(source, PROBE);
  try {
    const names = process.env.CXX ? [process.env.CXX] : ["c++", "g++", "clang++"];
    return names.find((name) => works(name, ["-std=c++20", "-fsyntax-only", source])) ?? null;
  } finally {
    rmSync(source, { force: true });
  }
}

/** zig is a C++ compiler only as `zig c++`; CMake wants one program. */
function zigWrapper(bin, name, verb) {
  const path = join(root, TOOLS, name);
  writeFileSync(path, `#!/bin/sh\nexec "${join(bin, "python")}" -m ziglang ${verb} "$@"\n`);
  chmodSync(path, 0o755);
  return path;
}

/** The CMake, generator and compiler to build with, as CMake takes them. */
export async function toolchain() {
  let cmake = which("cmake");
  const generator = which("ninja") ? "Ninja" : which("make") ? "Unix Makefiles" : null;
  const cxx = compiler();
  if (cmake && generator && cxx) return { cmake, generator, args: [`-DCMAKE_CXX_COMPILER=${cxx}`] };
  const wheels = [];
  if (!cmake) wheels.push("cmake==4.4.4");
  if (!generator) wheels.push("ninja==1.13.2");
  if (!cxx) wheels.push("ziglang==0.17.1");
  const bin = await install(
    TOOLS,
    wheels,
    `building the native engine (no ${[!cxx && "C++20 compiler", !cmake && "cmake", !generator && "ninja"].filter(Boolean).join(", no ")} here)`,
  );
  cmake ??= join(bin, "cmake");
  const args = [];
  if (!generator) args.push(`-DCMAKE_MAKE_PROGRAM=${join(bin, "ninja")}`);
  if (cxx) args.push(`-DCMAKE_CXX_COMPILER=${cxx}`);
  else
    args.push(
      `-DCMAKE_CXX_COMPILER=${zigWrapper(bin, "zig-c++", "c++")}`,
      `-DCMAKE_AR=${zigWrapper(bin, "zig-ar", "ar")}`,
      `-DCMAKE_RANLIB=${zigWrapper(bin, "zig-ranlib", "ranlib")}`,
    );
  return { cmake, generator: generator ?? "Ninja", args };
}

async function configure() {
  mkdirSync(join(root, BUILD), { recursive: true });
  const { cmake, generator, args } = await toolchain();
  // Another generator or compiler than last time needs a fresh cache.
  const chosen = `${cmake}\n${generator}\n${args.join("\n")}\n`;
  const note = join(root, BUILD, ".toolchain");
  if (existsSync(note) && readFileSync(note, "utf8") !== chosen)
    rmSync(join(root, BUILD, "CMakeCache.txt"), { force: true });
  writeFileSync(note, chosen);
  await must("CMake", cmake, ["-S", "native", "-B", BUILD, "-G", generator, "-DCMAKE_BUILD_TYPE=Release", ...args], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  return cmake;
}

async function make(what, target) {
  say(`moescope: building ${what} (CMake)`);
  const cmake = await configure();
  // A number, since without one `make` starts everything at once.
  await must(`building ${what}`, cmake, [
    "--build",
    BUILD,
    "--parallel",
    String(availableParallelism()),
    "--target",
    target,
  ]);
}

/** What the program needs. */
export const native = () =>
  once(
    { stampFile: `${BUILD}/.stamp`, inputs: ["native", "package-lock.json"], output: `${BUILD}/moescope.node` },
    () => make("the native engine", "addon"),
  );

/** The C++ tests and benchmarks: half of all compiling, so only for those who run them. */
export const nativePrograms = () =>
  once(
    {
      stampFile: `${BUILD}/.stamp-programs`,
      inputs: ["native", "test/native", "test/bench/native", "package-lock.json"],
      output: `${BUILD}/native-tests`,
    },
    () => make("the native engine's tests and benchmarks", "all"),
  );

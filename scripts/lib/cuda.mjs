// The CUDA backend: `libmoescope-cuda.so`, with the nvcc that is there, else with NVIDIA's compiler wheels from PyPI.
// No GPU and no driver are needed to build it.
import { existsSync, readdirSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { must, read, root, which } from "./exec.mjs";
import { toolchain } from "./native.mjs";
import { venv } from "./python.mjs";
import { say } from "./say.mjs";
import { once } from "./stamp.mjs";

/** Pinned to the CUDA 13.0 toolkit: newer PTX than the driver's is refused at load. */
const WHEELS = [
  "nvidia-cuda-nvcc==13.0.88",
  "nvidia-nvvm==13.0.88",
  "nvidia-cuda-crt==13.0.88",
  "nvidia-cuda-runtime==13.0.96",
  "nvidia-cuda-cccl==13.0.85",
];
const FOLDER = ".cache/cuda";
const BUILD = "build/cuda";
const LIBRARY = "build/native/libmoescope-cuda.so";
/** What the library is made of: its own folder, and what that includes. */
const INPUTS = [
  "native/backend/cuda",
  "native/backend/backend.h",
  "native/backend/cpu/route.h",
  "native/base",
  "native/model",
  "native/taps",
  "scripts/lib/cuda.mjs",
];

/** Path of an nvcc of CUDA 12 or newer (Hopper's `sm_90a` needs 12). */
export async function nvcc() {
  const own = which("nvcc") ?? (existsSync("/usr/local/cuda/bin/nvcc") ? "/usr/local/cuda/bin/nvcc" : null);
  if (own) {
    const version = /release (\d+)/.exec(read(own, ["--version"]) ?? "");
    if (version && Number(version[1]) >= 12) return own;
    say(`moescope: ${own} is older than CUDA 12; using the pinned compiler from PyPI instead`);
  }
  const bin = await venv(FOLDER, "the CUDA compiler");
  const lib = join(dirname(bin), "lib");
  const toolkit = () => {
    const python = existsSync(lib) ? readdirSync(lib).find((name) => name.startsWith("python")) : undefined;
    const path = python && join(lib, python, "site-packages/nvidia/cu13");
    return path && existsSync(join(path, "bin/nvcc")) ? path : null;
  };
  if (!toolkit()) {
    say(`moescope: bringing in ${WHEELS.join(", ")} (the CUDA compiler, about 200 MB, once)`);
    const pip = which("uv")
      ? ["uv", ["pip", "install", "--quiet", "--python", join(bin, "python")]]
      : [join(bin, "python"), ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]];
    await must("pip", pip[0], [...pip[1], "--no-deps", ...WHEELS]);
  }
  const path = toolkit();
  // CMake's own check of the compiler links against lib64.
  if (!existsSync(join(path, "lib64"))) symlinkSync("lib", join(path, "lib64"));
  return join(path, "bin/nvcc");
}

/** Builds `build/native/libmoescope-cuda.so`, unless it is there already and nothing has changed. */
export const cuda = () =>
  once({ stampFile: `${BUILD}/.stamp`, inputs: INPUTS, output: LIBRARY }, async () => {
    const compiler = await nvcc();
    say(`moescope: building the CUDA backend (${compiler}; a few minutes)`);
    const { cmake, generator, args } = await toolchain();
    await must(
      "CMake",
      cmake,
      [
        ...[
          "-S",
          "native/backend/cuda",
          "-B",
          BUILD,
          "-G",
          generator,
          "-DCMAKE_BUILD_TYPE=Release",
          "-Wno-dev",
          ...args,
        ],
        `-DCMAKE_CUDA_COMPILER=${compiler}`,
        `-DCMAKE_LIBRARY_OUTPUT_DIRECTORY=${join(root, "build/native")}`,
      ],
      { stdio: ["ignore", "ignore", "inherit"] },
    );
    await must("the build of the CUDA backend", cmake, ["--build", BUILD, "--parallel"]);
  });

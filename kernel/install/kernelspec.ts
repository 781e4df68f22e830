/** What Jupyter must know to start this kernel. */
import { kernelBundle } from "./paths.ts";

export const KERNEL_NAME = "moescope";

export function kernelspec(): { argv: string[]; [key: string]: unknown } {
  return {
    argv: [process.execPath, kernelBundle, "{connection_file}"],
    display_name: "TypeScript (Moescope)",
    language: "typescript",
    // A worker thread receives no signals, and a signal cannot stop a running loop.
    interrupt_mode: "message",
    metadata: { debugger: false },
  };
}

/** Four experts, one of them chosen. */
export const LOGO = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" width="64" height="64">
  <rect width="64" height="64" rx="12" fill="#1f2430"/>
  <circle cx="14" cy="32" r="5" fill="#f2f4f8"/>
  <g fill="none" stroke="#5b6478" stroke-width="2"><path d="M19 32C32 32 32 12 44 12M19 32C32 32 32 39 44 39M19 32C32 32 32 52 44 52"/></g>
  <path d="M19 32C32 32 32 25.500 44 25.500" fill="none" stroke="#4cc9b0" stroke-width="3"/>
  <g fill="#5b6478"><circle cx="50" cy="12" r="5"/><circle cx="50" cy="39" r="5"/><circle cx="50" cy="52" r="5"/></g>
  <circle cx="50" cy="25.500" r="6" fill="#4cc9b0"/>
</svg>
`;

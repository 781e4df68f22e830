// Imports all given test files into this one process: fifty files in the time of one start.
import { pathToFileURL } from "node:url";

for (const file of process.argv.slice(2)) await import(pathToFileURL(file).href);

#!/usr/bin/env node
/** The command `lethe`: what is built. In a clone that was not built yet it builds first. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const main = new URL("../dist/cli/main.js", import.meta.url);
if (!existsSync(main)) {
  process.stderr.write("Lethe is built, once for this clone. It takes some seconds.\n");
  const { status } = spawnSync(process.execPath, [fileURLToPath(new URL("../tools/build.mjs", import.meta.url))], { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
await import(main.href);

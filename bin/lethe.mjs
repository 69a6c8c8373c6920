#!/usr/bin/env node
/** The command `lethe`: what is built. A clone whose sources are newer is built first; an installed package has no tools. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const [main, stale, build] = ["dist/cli/main.js", "tools/stale.mjs", "tools/build.mjs"].map((path) => new URL(`../${path}`, import.meta.url));
if (existsSync(stale) && (await import(stale.href)).isStale()) {
  process.stderr.write("The sources are newer than what was built. Lethe is built; this takes some seconds.\n");
  const { status } = spawnSync(process.execPath, [fileURLToPath(build)], { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
await import(main.href);

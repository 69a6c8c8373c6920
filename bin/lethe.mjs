#!/usr/bin/env node
/** The command `lethe`: what is built. In a clone whose sources are newer it builds first. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const [main, sources] = [at("dist/cli/main.js"), at("src")];

/** Whether a source is newer than what was built; a package that is installed has no sources. */
function isStale() {
  if (!existsSync(sources)) return false;
  if (!existsSync(main)) return true;
  const built = statSync(main).mtimeMs;
  return readdirSync(sources, { recursive: true, withFileTypes: true }).some(
    (entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs > built,
  );
}

if (isStale()) {
  process.stderr.write("The sources are newer than what was built. Lethe is built; this takes some seconds.\n");
  const { status } = spawnSync(process.execPath, [at("tools/build.mjs")], { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
await import(new URL("../dist/cli/main.js", import.meta.url).href);

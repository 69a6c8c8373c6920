/** Compiles src/ to dist/ and carries the JSON beside it; `npm ci` runs this, so it needs nothing but the dependencies. */
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
rmSync(join(root, "dist"), { recursive: true, force: true });
const compiled = spawnSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", join(root, "tsconfig.build.json")], {
  stdio: "inherit",
});
if (compiled.status !== 0) process.exit(compiled.status ?? 1);
for (const file of readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" }))
  if (file.endsWith(".json")) cpSync(join(root, "src", file), join(root, "dist", file));
chmodSync(join(root, "dist/cli/main.js"), 0o755);

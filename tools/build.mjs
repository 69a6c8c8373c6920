/** Compiles src/ to dist/ and carries the JSON beside it; `npm ci` runs this, so it needs nothing but the dependencies. */
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
rmSync(join(root, "dist"), { recursive: true, force: true });
execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", join(root, "tsconfig.build.json")], {
  stdio: "inherit",
});
for (const file of readdirSync(join(root, "src"), { recursive: true }))
  if (String(file).endsWith(".json")) cpSync(join(root, "src", String(file)), join(root, "dist", String(file)));
chmodSync(join(root, "dist/cli/main.js"), 0o755);

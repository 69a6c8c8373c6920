/** Compiles src/ to dist/ and carries the JSON beside it. dist/ is there whole or not at all, also where two builds meet. */
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [made, built, old] = [`dist-${process.pid}`, "dist", `dist-old-${process.pid}`].map((name) => join(root, name));
const compiled = spawnSync(
  process.execPath,
  [join(root, "node_modules/typescript/bin/tsc"), "-p", join(root, "tsconfig.build.json"), "--outDir", made],
  { stdio: ["ignore", 2, 2] }, // standard output belongs to the command that is built for
);
try {
  process.exitCode = compiled.status ?? 1;
  if (process.exitCode === 0) {
    for (const file of readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" }))
      if (file.endsWith(".json")) cpSync(join(root, "src", file), join(made, file));
    chmodSync(join(made, "cli/main.js"), 0o755);
    if (existsSync(built)) renameSync(built, old);
    renameSync(made, built);
  }
} catch (error) {
  if (!existsSync(built)) throw error; // otherwise another build was faster
} finally {
  for (const folder of [made, old]) rmSync(folder, { recursive: true, force: true });
}

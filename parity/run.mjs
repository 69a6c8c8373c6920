/** `npm run parity`: one case of each quantity against the reference; `-- --all` runs every case, other words choose files. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const words = process.argv.slice(2);
const run = spawnSync(
  process.execPath,
  ["node_modules/vitest/vitest.mjs", "run", "--config", "parity/vitest.config.ts", ...words.filter((word) => word !== "--all")],
  { cwd: root, stdio: "inherit", env: { ...process.env, PARITY_ALL: words.includes("--all") ? "1" : "" } },
);
process.exitCode = run.status ?? 1;

/** The files of the repository as text, for the laws and the tables. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, posix, sep } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("..", import.meta.url));
const ROOMS = ["src", "test", "parity", "bench", "tools", "docs", "bundled", "studies", ".ci"];
const ROOT_FILES = ["package.json", "package-lock.json", "README.md", "CONTRIBUTING.md", "tsconfig.json", "tsconfig.build.json", ".npmrc"];
const TEXT = /\.(ts|mjs|js|py|md|json|html|css|yaml|yml|svg|wat)$|\.ci\/run$|\.npmrc$/;

/** Path from the root, with `/` → text. */
export type Files = ReadonlyMap<string, string>;

/** Reads every text file of the rooms that the laws speak of. */
export function readFiles(root: string = ROOT): Files {
  const files = new Map<string, string>();
  const read = (path: string): unknown => files.set(path, readFileSync(join(root, path), "utf8"));
  for (const path of ROOT_FILES) if (existsSync(join(root, path))) read(path);
  for (const room of ROOMS) {
    if (!existsSync(join(root, room))) continue;
    for (const name of readdirSync(join(root, room), { recursive: true, encoding: "utf8" })) {
      const path = posix.join(room, name.split(sep).join("/"));
      if (TEXT.test(path) && !/(^|\/)(node_modules|__pycache__|\.venv|cache)\//.test(path)) read(path);
    }
  }
  return new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The build: a hash of all that is installed here and decides results. Workers of one grid have the same. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { hash, type Hash } from "../base/hash.ts";
import type { Plugged } from "../base/plugin.ts";
import { ownVersions } from "./code.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** The source files, or what was built of them. */
const filesOf = (): string[] =>
  readdirSync(ROOT, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(?:js|ts|json|wasm)$/.test(name) && !name.endsWith(".d.ts"))
    .sort();

/** The hash of every source file, the versions of the packages, and the plugins. */
export function buildOf({ plugins }: Plugged): Hash {
  const parts = filesOf().flatMap((name) => [name, readFileSync(join(ROOT, name))]);
  return hash(...parts, ownVersions(), plugins.map(({ id }) => id).sort()).slice(0, 16);
}

/** A stamp of the build on this machine: it changes when a source file is written. */
export function buildStamp(): Hash {
  const told = filesOf().map((name) => {
    const { size, mtimeMs } = statSync(join(ROOT, name));
    return `${name} ${size} ${mtimeMs}`;
  });
  return hash(told, ownVersions()).slice(0, 32);
}

/** Plugins: external modules whose exports were made by the define functions. The context carries what they add. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, statSync } from "node:fs";
import * as nodeModule from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { registry as attacks } from "../attack/registry.ts";
import type { Context } from "../base/context.ts";
import { kindOf } from "../base/define.ts";
import { fail, LetheError, nearest } from "../base/fail.ts";
import { type Hash, hash } from "../base/hash.ts";
import { readBytes } from "../base/store.ts";
import { KINDS, type Kind, onShelf, type Plugged, type Plugin } from "../base/plugin.ts";
import { registry as metrics } from "../eval/metrics/registry.ts";
import type { Metric } from "../eval/metric.ts";
import type { AnyMethod } from "../methods/method.ts";
import { registry as methods } from "../methods/registry.ts";
import type { Arch } from "../model/arch/arch.ts";
import { registry as archs } from "../model/arch/registry.ts";
import { registry as targets } from "../targets/registry.ts";
import { checkNeeds } from "./needed.ts";
import { AUTO } from "./specs/forget.ts";

const WHO = "--plugin";
const BUILT_IN: Readonly<Record<Kind, Readonly<Record<string, object>>>> = {
  method: methods,
  arch: archs,
  metric: metrics,
  target: targets,
  attack: attacks,
};
const MAKERS = "defineMethod, defineArch, defineMetric, defineTarget or defineAttack";

/**
 * A context with the plugins of some files (ES modules). Refuses a file that is missing, does not parse, throws while it is loaded, exports
 * nothing that a define function made, or adds a name that exists already.
 */
export async function loadPlugins(files: readonly string[], ctx: Context): Promise<Context> {
  answerToOurName();
  let plugged = ctx;
  for (const file of files) {
    const path = resolve(file);
    const id = identityOf(file, path);
    if (plugged.plugins.some((plugin) => plugin.id === id)) continue;
    plugged = withPlugin(plugged, Object.values(await imported(file, path, id)), { id, name: basename(path) });
  }
  return plugged;
}

/**
 * A context with a plugin made of loaded values. Values that no define function made are ignored. `id` is the plugin's version; it belongs to
 * the identity of every run that uses the plugin. Adding the same entry twice is allowed.
 */
export function withPlugin<C extends Plugged>(ctx: C, values: readonly unknown[], about: Pick<Plugin, "id" | "name">): C {
  const entries: Partial<Record<Kind, Record<string, object>>> = {};
  let count = 0;
  for (const value of values) {
    const kind = kindOf(value);
    if (kind === undefined) continue;
    count++;
    const entry = value as { readonly name: string };
    const own = (entries[kind] ??= {});
    if (kind === "method" && entry.name === AUTO)
      fail(WHO, `${about.name} brings a method "${AUTO}"`, "another name", `--method ${AUTO} lets Lethe choose.`);
    const other = own[entry.name] ?? onShelf(kind, BUILT_IN[kind], ctx)[entry.name];
    if (other === entry) continue;
    if (other)
      fail(
        WHO,
        `${about.name} brings the ${KINDS[kind]} "${entry.name}", and there is one of that name`,
        "a name that is free",
        "Rename yours.",
      );
    own[entry.name] = entry;
  }
  if (count === 0)
    fail(WHO, `${about.name} exports nothing that makes a plugin`, `an export that ${MAKERS} made`, "docs/extend.md has one.");
  if (Object.values(entries).every((own) => Object.keys(own).length === 0)) return ctx;
  const plugged = { ...ctx, plugins: [...ctx.plugins, { ...about, entries }] };
  for (const method of Object.values(entries.method ?? {}) as AnyMethod[]) checkNeeds(WHO, method);
  checkClaims(about.name, Object.values(entries.arch ?? {}) as Arch[], plugged);
  checkOrder(about.name, Object.keys(entries.metric ?? {}), onShelf<Metric>("metric", metrics, plugged));
  return plugged;
}

/** Refuses a model type that another architecture claims. */
function checkClaims(who: string, own: readonly Arch[], ctx: Plugged): void {
  for (const { name, claims, gguf } of own)
    for (const other of Object.values(onShelf<Arch>("arch", archs, ctx))) {
      if (other.name === name) continue;
      const type = claims.find((claim) => other.claims.includes(claim));
      const taken = type ?? (gguf && gguf.architecture === other.gguf?.architecture ? gguf.architecture : undefined);
      if (taken !== undefined) fail(WHO, `${who}: "${name}" claims "${taken}", and so does "${other.name}"`, "a claim that is free", "");
    }
}

/** Refuses a metric that uses the score of a missing metric, or of itself. */
function checkOrder(who: string, own: readonly string[], all: Readonly<Record<string, Metric>>): void {
  const visit = (name: string, trail: readonly string[]): void => {
    if (trail.includes(name)) fail(WHO, `${who}: "${name}" comes after itself (${[...trail, name].join(", ")})`, "metrics in an order", "");
    if (!Object.hasOwn(all, name))
      fail(WHO, `${who}: "${trail.at(-1)}" comes after "${name}"`, `one of ${Object.keys(all).join(", ")}`, "");
    for (const key of all[name]!.after) visit(key.split("@")[0]!, [...trail, name]);
  };
  for (const name of own) visit(name, []);
}

type Resolve = (specifier: string, context: object, next: (specifier: string, context: object) => object) => object;
/** The replacement of `register` in newer versions of Node. */
interface Newer {
  readonly registerHooks?: (hooks: { readonly resolve: Resolve }) => unknown;
}

/** In a plugin, wherever it lies, `import "lethe"` means the Lethe that loads it. */
function answerToOurName(): void {
  const ending = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const at = (path: string): string => new URL(`../${path}.${ending}`, import.meta.url).href;
  const own = new Map([
    ["lethe", at("index")],
    ["lethe/testing", at("testing/index")],
  ]);
  const { registerHooks } = nodeModule as Newer;
  if (registerHooks) return void registerHooks({ resolve: (specifier, context, next) => next(own.get(specifier) ?? specifier, context) });
  const hook = `const own = new Map(${JSON.stringify([...own])});
    export const resolve = (specifier, context, next) => next(own.get(specifier) ?? specifier, context);`;
  nodeModule.register(`data:text/javascript,${encodeURIComponent(hook)}`);
}

/** The relative imports of a module. */
const RELATIVE = /(?:\bfrom|\bimport)\s*\(?\s*["'](\.{1,2}\/[^"'\n]+)["']/g;

const sha256 = (bytes: Uint8Array): Hash => createHash("sha256").update(bytes).digest("hex");

/** SHA-256 of a file and of the files that it imports by relative paths. */
function identityOf(file: string, path: string): Hash {
  const sources = new Map<string, Buffer>();
  const read = (at: string): void => {
    if (sources.has(at)) return;
    const bytes = Buffer.from(readBytes(at, WHO, { most: 1 << 26 }));
    sources.set(at, bytes);
    for (const [, target] of bytes.toString("utf8").matchAll(RELATIVE)) {
      const next = join(dirname(at), target!);
      if (existsSync(next) && statSync(next).isFile()) read(next);
    }
  };
  if (!existsSync(path)) {
    const near = existsSync(dirname(path)) ? nearest(basename(path), readdirSync(dirname(path))) : undefined;
    const hint = near ? `Did you mean ${join(dirname(file), near)}?` : "";
    fail(WHO, `there is no file ${file}`, "a JavaScript module (.mjs)", hint);
  }
  if (!statSync(path).isFile()) fail(WHO, `${file} is a folder`, "a JavaScript module (.mjs)", "Name the file in it.");
  read(path);
  const all = [...sources.values()].map(sha256);
  return all.length === 1 ? all[0]! : hash(...all);
}

/** Imports a module. Any failure is an error of the file, reported in one sentence. */
async function imported(file: string, path: string, id: Hash): Promise<object> {
  const url = pathToFileURL(path);
  url.searchParams.set("id", id.slice(0, 16)); // a changed file is a new module
  try {
    return (await import(url.href)) as object;
  } catch (error) {
    return complain(file, path, error);
  }
}

function complain(file: string, path: string, error: unknown): never {
  if (!(error instanceof Error)) return fail(WHO, `${file} cannot be loaded (${String(error)} was thrown)`, "a module that loads", "");
  if (error instanceof LetheError) return fail(WHO, `${file}: ${error.who}: ${error.got}`, error.wanted, error.hint);
  const { code } = error as { readonly code?: string };
  if (code === "ERR_UNKNOWN_FILE_EXTENSION")
    return fail(WHO, `${file} has an ending that this Node does not read`, ".mjs or .js", "Node reads .ts from version 22.18 on.");
  if (code === "ERR_MODULE_NOT_FOUND")
    return fail(
      WHO,
      `${file}: ${error.message.replace(/ imported from .*/s, "")}`,
      "modules that are there",
      "Install it beside the file.",
    );
  const line = lineOf(path);
  const hint = /outside a module/.test(error.message) ? 'Give it the ending .mjs, or "type": "module" in its package.json.' : "";
  if (line !== undefined) return fail(WHO, `${file} line ${line} does not parse (${error.message.split("\n")[0]})`, "an ES module", hint);
  return fail(WHO, `${file} cannot be loaded (${error.name}: ${error.message})`, "a module that loads", "");
}

/** The line of a syntax error, which Node prints on standard error only; undefined if the file parses or is TypeScript. */
function lineOf(path: string): string | undefined {
  if (!/\.m?js$/.test(path)) return undefined;
  const { status, stderr } = spawnSync(process.execPath, ["--check", path], { encoding: "utf8" });
  return status === 0 ? undefined : /:(\d+)$/m.exec(stderr)?.[1];
}

/** Finds a model: a folder, a .gguf file, the bundled one, or a hub id downloaded to the cache of Python's tools; and datasets by hub id. */
import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type Context, environment } from "../base/context.ts";
import { fail, LetheError, nearest } from "../base/fail.ts";
import { type Environment, fetchRepository, type Wanted } from "./snapshot.ts";

const WHO = "model";
const HUB_ID = /^([A-Za-z0-9][\w.-]*)\/([A-Za-z0-9][\w.-]*)(?:\/([\w.+-]+\.gguf))?(?:@([\w./-]+))?$/;

/**
 * The local path of a model: a folder or .gguf file as it is, "bundled", or `org/name[/file.gguf][@revision]` downloaded to
 * Python's cache (HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE). Refuses anything else and says what was tried.
 */
export async function resolveModel(spec: string, ctx: Context, env: Environment = environment()): Promise<string> {
  if (spec === "bundled") return bundled();
  if (existsSync(spec)) return spec;
  const id = HUB_ID.exec(spec);
  const isPath = /^([./~\\]|[A-Za-z]:\\)/.test(spec) || (spec.endsWith(".gguf") && !id?.[3]);
  if (!id || isPath || spec.includes("..")) return refuseSpec(spec);
  const [, org, name, file, revision = "main"] = id;
  return fetchFolder({ org: org!, name: name!, revision, file, spec }, ctx, env);
}

/** Whether a place names a model: the bundled one, a checkpoint on this disk, or an id if no file of that name exists. */
export function namesModel(place: string): boolean {
  if (place === "bundled") return true;
  if (existsSync(place)) return /\.gguf$/i.test(place) || existsSync(join(place, "config.json"));
  return HUB_ID.test(place) && !/\.jsonl?$/i.test(place);
}

/** The files of a sentence encoder in hub repositories; the first existing one of each row is used. */
const ENCODER_FILES = [["model.onnx", "onnx/model.onnx"], ["tokenizer.json"], ["sentence_bert_config.json"], ["1_Pooling/config.json"]];

/** The folder of a sentence encoder and its name: a folder as it is, or `org/name[@revision]` downloaded to the cache. */
export async function resolveEncoder(
  spec: string,
  ctx: Context,
  env: Environment = environment(),
): Promise<{ readonly folder: string; readonly name: string }> {
  if (existsSync(spec)) return { folder: spec, name: basename(resolve(spec)) };
  const [, org, name, file, revision = "main"] = HUB_ID.exec(spec) ?? [];
  if (!org || !name || file || spec.includes(".."))
    return fail(
      "encoder",
      `there is no folder ${resolve(spec)}`,
      "a folder with the model.onnx and tokenizer.json of a sentence encoder, or a hub id like org/name",
      "Check the path, or LETHE_ENCODER.",
      "unavailable",
    );
  const choose = (names: readonly string[]): string[] | string => {
    const files = ENCODER_FILES.map((row) => row.find((f) => names.includes(f)));
    return files[0] && files[1] ? files.filter((f) => f !== undefined) : `${ENCODER_FILES[0]!.join(" or ")}, and tokenizer.json`;
  };
  const folder = await fetchFolder({ org, name, revision, file: undefined, spec, choose }, ctx, env);
  return { folder, name: `${org}/${name}` };
}

/**
 * Downloads files of a hub dataset, `org/name[@revision]`, to the cache. `choose` selects files from the listing, or returns a text that says
 * what is missing. Returns the folder and the names of the files.
 */
export async function resolveDataset(
  spec: string,
  choose: (names: readonly string[]) => string[] | string,
  ctx: Context,
  env: Environment = environment(),
): Promise<{ readonly folder: string; readonly names: readonly string[] }> {
  const [, org, name, file, revision = "main"] = HUB_ID.exec(spec) ?? [];
  if (!org || !name || file || spec.includes(".."))
    return fail(WHO, `"${spec}"`, "a hub id of a dataset, like org/name or org/name@revision", "Check the spelling.", "unavailable");
  let names: readonly string[] = [];
  const choosing = (listed: readonly string[]): string[] | string => {
    const chosen = choose(listed);
    if (typeof chosen !== "string") names = chosen;
    return chosen;
  };
  const folder = await fetchRepository({ org, name, revision, file: undefined, spec, choose: choosing, kind: "datasets" }, ctx, env);
  return { folder, names };
}

/** The model of an id that may also be a path: if the download fails, the error lists the files at that path. */
async function fetchFolder(wanted: Wanted, ctx: Context, env: Environment): Promise<string> {
  try {
    return await fetchRepository(wanted, ctx, env);
  } catch (error) {
    const path = resolve(wanted.spec);
    if (!(error instanceof LetheError) || error.trouble !== "unavailable" || !existsSync(dirname(path))) throw error;
    return fail(error.who, error.got, error.wanted, `${error.hint} There is no folder ${path}. ${besideOf(wanted.spec)}`, error.trouble);
  }
}

function bundled(): string {
  const folder = fileURLToPath(new URL("../../bundled/model", import.meta.url));
  return existsSync(folder)
    ? folder
    : fail(
        WHO,
        `the bundled model is not at ${folder}`,
        "a complete installation",
        "Install the package again, or make the model: lethe finetune --recipe bundled/recipe.json -o bundled/model.",
        "unavailable",
      );
}

function refuseSpec(spec: string): never {
  const got = `there is no folder or .gguf file ${resolve(spec)}`;
  return fail(WHO, got, 'a folder, a .gguf file, a hub id like org/name, or "bundled"', besideOf(spec), "unavailable");
}

/** The models near a path that does not exist. */
function besideOf(spec: string): string {
  const parent = dirname(resolve(spec));
  const around = existsSync(parent)
    ? readdirSync(parent, { withFileTypes: true })
        .filter((e) => e.isDirectory() || e.name.endsWith(".gguf"))
        .map((e) => e.name)
    : [];
  const near = nearest(basename(spec), around);
  if (near) return `Did you mean ${join(dirname(spec), near)}?`;
  return around.length > 0 ? `The folder contains ${around.slice(0, 8).join(", ")}.` : "";
}

/** Where a model is: a folder, a .gguf file, the bundled one, or a hub id brought into the cache that Python's tools share; and data by its id. */
// Our own client, because the published one neither resumes, checks hashes, locks between processes, nor knows offline.
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { checkAbort, type Context, environment } from "../base/context.ts";
import { fail, LetheError, nearest } from "../base/fail.ts";
import { isRecord, PICKLE_ADVICE, readJson, writeAtomic } from "../base/store.ts";
import { wordsOf } from "./bounded.ts";
import { download, patience, type Remote, request } from "./download.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

const WHO = "model";
const HUB_ID = /^([A-Za-z0-9][\w.-]*)\/([A-Za-z0-9][\w.-]*)(?:\/([\w.+-]+\.gguf))?(?:@([\w./-]+))?$/;

/**
 * The local path of a model: a folder or .gguf file as it is, "bundled", or `org/name[/file.gguf][@revision]` downloaded to
 * Python's cache (HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE). Refuses what is none of these, saying what was tried.
 */
export async function resolveModel(spec: string, ctx: Context, env: Environment = environment()): Promise<string> {
  if (spec === "bundled") return bundled();
  if (existsSync(spec)) return spec;
  const id = HUB_ID.exec(spec);
  const isPath = /^([./~\\]|[A-Za-z]:\\)/.test(spec) || (spec.endsWith(".gguf") && !id?.[3]);
  if (!id || isPath || spec.includes("..")) return refuseSpec(spec);
  const [, org, name, file, revision = "main"] = id;
  return fetchModel({ org: org!, name: name!, revision, file, spec }, ctx, settingsOf(env));
}

/** Whether a place names a model and not other files: the bundled one, a checkpoint on this disk, or an id where nothing of that name is. */
export function namesModel(place: string): boolean {
  if (place === "bundled") return true;
  if (existsSync(place)) return /\.gguf$/i.test(place) || existsSync(join(place, "config.json"));
  return HUB_ID.test(place) && !/\.jsonl?$/i.test(place);
}

/** What a sentence encoder consists of, where the hub's repositories keep it; the first of each row that is there. */
const ENCODER_FILES = [["model.onnx", "onnx/model.onnx"], ["tokenizer.json"], ["sentence_bert_config.json"], ["1_Pooling/config.json"]];

/** The folder of a sentence encoder and the name it goes by: a folder as it is, or `org/name[@revision]` brought into the cache like a model. */
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
  const folder = await fetchModel({ org, name, revision, file: undefined, spec, choose }, ctx, settingsOf(env));
  return { folder, name: `${org}/${name}` };
}

/**
 * Files of a dataset on the hub, `org/name[@revision]`, brought into the cache like a model's: those that `choose` takes from the listing,
 * or a text saying what it lacks. Gives the folder they lie in and their names in it.
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
  const folder = await fetchModel({ org, name, revision, file: undefined, spec, choose: choosing, kind: "datasets" }, ctx, settingsOf(env));
  return { folder, names };
}

function bundled(): string {
  const folder = fileURLToPath(new URL("../../bundled/model", import.meta.url));
  return existsSync(folder)
    ? folder
    : fail(
        WHO,
        `the bundled model is not at ${folder}`,
        "a whole installation",
        "Install the package again, or make it: lethe finetune --recipe bundled/recipe.json -o bundled/model.",
        "unavailable",
      );
}

function refuseSpec(spec: string): never {
  const parent = dirname(resolve(spec));
  const around = existsSync(parent)
    ? readdirSync(parent, { withFileTypes: true })
        .filter((e) => e.isDirectory() || e.name.endsWith(".gguf"))
        .map((e) => e.name)
    : [];
  const near = nearest(basename(spec), around);
  return fail(
    WHO,
    `there is no folder or .gguf file ${resolve(spec)}`,
    'a folder, a .gguf file, a hub id like org/name, or "bundled"',
    near ? `Did you mean ${join(dirname(spec), near)}?` : around.length ? `Beside it lie ${around.slice(0, 8).join(", ")}.` : "",
    "unavailable",
  );
}

/** Where the cache is and how the hub is reached. */
interface Settings {
  cache: string;
  endpoint: string;
  token: string | undefined;
  isOffline: boolean;
}

function settingsOf(env: Environment): Settings {
  const home = env["HOME"] ?? homedir();
  const expand = (path: string): string => path.replace(/^~(?=$|\/)/, home);
  const base = expand(env["HF_HOME"] ?? join(env["XDG_CACHE_HOME"] ?? join(home, ".cache"), "huggingface"));
  const tokenFile = expand(env["HF_TOKEN_PATH"] ?? join(base, "token"));
  const stored = existsSync(tokenFile) && statSync(tokenFile).size < 10_000 ? readFileSync(tokenFile, "utf8") : "";
  const isOn = (value: string | undefined): boolean => /^(1|on|yes|true)$/i.test(value ?? "");
  return {
    cache: expand(env["HF_HUB_CACHE"] ?? env["HUGGINGFACE_HUB_CACHE"] ?? join(base, "hub")),
    endpoint: (env["HF_ENDPOINT"] || "https://huggingface.co").replace(/\/+$/, ""),
    token: (env["HF_TOKEN"] || env["HUGGING_FACE_HUB_TOKEN"] || stored).trim() || undefined,
    isOffline: isOn(env["HF_HUB_OFFLINE"] || env["TRANSFORMERS_OFFLINE"]),
  };
}

interface Wanted {
  org: string;
  name: string;
  revision: string;
  file: string | undefined;
  spec: string;
  /** Of something else than a model: which of a repository's files to bring, or what it lacks. */
  choose?: (names: readonly string[]) => string[] | string;
  /** What the hub keeps it under, where that is not its models. */
  kind?: "datasets";
}

/** Where the hub's pages and files of a repository are. */
const placeOf = ({ org, name, kind }: Wanted, { endpoint }: Settings): string => `${endpoint}/${kind ? `${kind}/` : ""}${org}/${name}`;

async function fetchModel(wanted: Wanted, ctx: Context, settings: Settings): Promise<string> {
  const folder = join(settings.cache, `${wanted.kind ?? "models"}--${wanted.org}--${wanted.name}`);
  const cached = cachedSnapshot(folder, wanted);
  if (cached && "whole" in cached && (settings.isOffline || wanted.revision === basename(cached.whole)))
    return pathOf(cached.whole, wanted);
  if (settings.isOffline)
    return fail(
      WHO,
      `${wanted.spec} is not in the cache ${folder}${cached && "missing" in cached ? ` (missing: ${cached.missing.join(", ")})` : ""} and HF_HUB_OFFLINE is set`,
      "its files",
      "Unset HF_HUB_OFFLINE to download it, or name a local folder.",
      "unavailable",
    );
  try {
    return pathOf(await fetchSnapshot(folder, wanted, ctx, settings), wanted);
  } catch (error) {
    checkAbort(ctx, WHO);
    if (!(error instanceof TypeError)) throw error; // fetch speaks of the network in TypeErrors
    const why = wordsOf(error.cause ?? error);
    if (!cached || !("whole" in cached))
      return fail(
        WHO,
        `${settings.endpoint} cannot be reached for ${wanted.spec}: ${why}`,
        "a connection",
        "Check the network, or HF_ENDPOINT, or name a local folder.",
        "unavailable",
      );
    ctx.log({
      kind: "warning",
      who: WHO,
      text: `${settings.endpoint} cannot be reached (${why}); using ${wanted.spec} as it lies in the cache`,
    });
    return pathOf(cached.whole, wanted);
  }
}

const pathOf = (snapshot: string, { file }: Wanted): string => (file ? join(snapshot, file) : snapshot);

/** The snapshot that the cache has for a revision, or which of its files are missing. */
function cachedSnapshot(folder: string, { revision, file, choose }: Wanted): { whole: string } | { missing: string[] } | undefined {
  const ref = join(folder, "refs", revision);
  const sha = /^[0-9a-f]{40}$/.test(revision) ? revision : existsSync(ref) ? readFileSync(ref, "utf8").trim() : "";
  const snapshot = join(folder, "snapshots", sha);
  if (!/^[0-9a-f]{40}$/.test(sha) || !existsSync(snapshot)) return undefined;
  const names = readdirSync(snapshot, { recursive: choose !== undefined, encoding: "utf8" }).filter((name) =>
    existsSync(join(snapshot, name)),
  );
  if (choose) {
    const chosen = choose(names);
    return typeof chosen === "string" ? { missing: [chosen] } : { whole: snapshot };
  }
  const weights = weightFiles(names, file, (index) => join(snapshot, index));
  const need =
    typeof weights === "string"
      ? [weights]
      : weights.some((w) => w.endsWith(".gguf"))
        ? weights
        : ["config.json", "tokenizer.json", ...weights];
  const missing = need.filter((name) => !names.includes(name));
  return missing.length ? { missing } : { whole: snapshot };
}

/**
 * The weights among a repository's files: the shards of an index, one safetensors file, all of them, or one .gguf.
 * `open` gives the local path of the index, once it is there. A text says that none of them are there, or why one cannot be chosen.
 */
function weightFiles(names: readonly string[], file: string | undefined, open: (index: string) => string | undefined): string[] | string {
  if (file) return [file];
  const index = "model.safetensors.index.json";
  if (names.includes(index)) {
    const path = open(index);
    return path ? [index, ...shardsOf(path)] : [index];
  }
  if (names.includes("model.safetensors")) return ["model.safetensors"];
  const tensors = names.filter((name) => name.endsWith(".safetensors") && !/^(consolidated|adapter|optimizer)/.test(name));
  if (tensors.length) return tensors;
  const ggufs = names.filter((name) => name.endsWith(".gguf"));
  if (ggufs.length === 1) return ggufs;
  return ggufs.length ? `one of ${ggufs.slice(0, 20).join(", ")}` : "model.safetensors";
}

function shardsOf(path: string): string[] {
  const index = readJson(path, WHO);
  const map = isRecord(index) && isRecord(index["weight_map"]) ? index["weight_map"] : undefined;
  const shards = [...new Set(Object.values(map ?? {}))];
  if (!shards.length || !shards.every((s) => typeof s === "string" && isPlain(s)))
    return fail(
      WHO,
      `${path} names no shards`,
      "weight_map with the file of each tensor",
      "Remove it from the cache and try again.",
      "unavailable",
    );
  return shards as string[];
}

/** A file name that stays in its folder. */
const isPlain = (name: string): boolean => /^[\w+][\w.+-]*$/.test(name);
/** A path that stays in its folder. */
const isInside = (path: string): boolean => path.split("/").every(isPlain);
const isSide = (name: string): boolean =>
  /^(config|generation_config|special_tokens_map|tokenizer.*|chat_template.*)\.(json|jinja)$/.test(name);

/** Asks the hub what the revision holds and brings the files that a model needs; returns the snapshot's folder. */
async function fetchSnapshot(folder: string, wanted: Wanted, ctx: Context, settings: Settings): Promise<string> {
  const { org, name, revision, spec } = wanted;
  const place = placeOf(wanted, settings);
  const { sha, names } = await askRevision(wanted, ctx, settings);
  const snapshot = join(folder, "snapshots", sha);
  const get = async (files: readonly string[]): Promise<void> => {
    const remotes = await Promise.all(files.map((file) => remoteOf(`${place}/resolve/${sha}/${file}`, file, wanted, ctx, settings)));
    await bring(remotes, folder, snapshot, ctx, settings);
  };
  if (wanted.choose) {
    const chosen = wanted.choose(names);
    if (typeof chosen === "string") return fail(WHO, `${spec} lacks files`, chosen, "", "unavailable");
    await get(chosen);
    if (revision !== sha) writeAtomic(join(folder, "refs", revision), sha);
    return snapshot;
  }
  const weights = weightFiles(names, wanted.file, () => undefined);
  if (typeof weights === "string") return refuseWeights(spec, names, weights);
  if (wanted.file && !names.includes(wanted.file))
    return fail(WHO, `${org}/${name} holds no ${wanted.file}`, names.filter((n) => n.endsWith(".gguf")).join(", "), "", "unavailable");
  const isGguf = weights.some((w) => w.endsWith(".gguf"));
  if (!isGguf && !names.includes("config.json"))
    return fail(WHO, `${spec} holds no config.json`, "a model in Hugging Face's layout", "", "unavailable");
  const sides = names.filter(isSide);
  const index = weights.find((w) => w.endsWith(".index.json"));
  await get(index ? [...sides, index] : [...sides, ...weights]);
  if (index) {
    const shards = shardsOf(join(snapshot, index));
    const lost = shards.filter((s) => !names.includes(s));
    if (lost.length) fail(WHO, `${spec} lacks ${lost.slice(0, 5).join(", ")}, which its index names`, "every shard", "", "unavailable");
    await get(shards);
  }
  if (revision !== sha) writeAtomic(join(folder, "refs", revision), sha);
  return snapshot;
}

function refuseWeights(spec: string, names: readonly string[], wanted: string): never {
  const pickled = names.find((name) => /\.(bin|pt|pth|ckpt|pkl)$/.test(name));
  return fail(
    WHO,
    `${spec} holds ${pickled && wanted === "model.safetensors" ? `only pickled weights (${pickled})` : wanted === "model.safetensors" ? "no weights" : "several .gguf files"}`,
    wanted,
    pickled && wanted === "model.safetensors"
      ? PICKLE_ADVICE
      : wanted.startsWith("one of")
        ? `Name it: ${spec.replace(/@.*/, "")}/FILE.gguf.`
        : "",
    "unavailable",
  );
}

async function askRevision(wanted: Wanted, ctx: Context, settings: Settings): Promise<{ sha: string; names: string[] }> {
  const { org, name, revision, kind = "models" } = wanted;
  const url = `${settings.endpoint}/api/${kind}/${org}/${name}/revision/${encodeURIComponent(revision)}`;
  const info: unknown = await patiently(ctx, async (signal) => {
    const response = await request(url, { token: settings.token }, signal);
    if (response.status >= 500) throw new TypeError(`it answers with status ${response.status}`);
    return response.ok ? response.json().catch(() => undefined) : refuseAnswer(response, wanted, settings);
  });
  const sha = isRecord(info) ? info["sha"] : undefined;
  const siblings = isRecord(info) && Array.isArray(info["siblings"]) ? (info["siblings"] as unknown[]) : [];
  if (typeof sha !== "string" || !/^[0-9a-f]{40}$/.test(sha))
    return fail(
      WHO,
      `${settings.endpoint} answers for ${wanted.spec} without a commit`,
      "the hub's model information",
      "Check HF_ENDPOINT.",
      "unavailable",
    );
  const names = siblings
    .map((s) => (isRecord(s) ? s["rfilename"] : undefined))
    .filter((n): n is string => typeof n === "string" && (wanted.choose ? isInside(n) : isPlain(n)));
  return { sha, names };
}

async function patiently<T>(ctx: Context, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const watch = patience(ctx.signal);
  try {
    return await ask(watch.signal);
  } finally {
    watch.done();
  }
}

/** Size and etag of a file, from the hub itself, not from where it redirects to. */
async function remoteOf(url: string, name: string, wanted: Wanted, ctx: Context, settings: Settings): Promise<Remote> {
  const response = await patiently(ctx, (signal) => request(url, { token: settings.token, method: "HEAD" }, signal));
  if (response.status >= 400) return refuseAnswer(response, wanted, settings, name);
  const etag = (response.headers.get("x-linked-etag") ?? response.headers.get("etag") ?? "").replace(/^W\//, "").replaceAll('"', "");
  const size = Number(response.headers.get("x-linked-size") ?? response.headers.get("content-length") ?? NaN);
  if (!/^[\w.-]{1,200}$/.test(etag) || /^\.+$/.test(etag) || !Number.isSafeInteger(size) || size < 0)
    return fail(WHO, `${settings.endpoint} gives no etag and size for ${name}`, "both", "Check HF_ENDPOINT.", "unavailable");
  return { name, url, etag, size };
}

async function refuseAnswer(response: Response, wanted: Wanted, settings: Settings, file = ""): Promise<never> {
  const { org, name, revision, spec, kind } = wanted;
  await response.body?.cancel();
  const code = response.headers.get("x-error-code") ?? "";
  const page = placeOf(wanted, settings);
  const what = kind ? "a dataset" : "a model";
  const refuse = (got: string, wish: string, hint: string): never => fail(WHO, got, wish, hint, "unavailable");
  const token = settings.token
    ? "The token that was sent has no right to it."
    : "No token was sent: set HF_TOKEN, or log in with Python's hf auth login.";
  if (code === "GatedRepo" || (response.status === 403 && code !== "RepoNotFound"))
    return refuse(`${spec} is gated${file ? ` (${file})` : ""}`, "your consent to its terms", `Accept them at ${page}. ${token}`);
  if (code === "RevisionNotFound") return refuse(`${org}/${name} has no revision ${revision}`, "a branch, tag or commit", `See ${page}.`);
  if (response.status === 401)
    return refuse(
      `${spec} is private, gated, or not there, nor is there a folder of that name`,
      `${what} that you may read`,
      `See ${page}. ${token}`,
    );
  if (response.status === 404)
    return refuse(
      `there is no folder ${spec}, and ${settings.endpoint} has no ${file ? `${file} in ` : ""}${org}/${name}`,
      what,
      "Check the spelling.",
    );
  return refuse(`${settings.endpoint} answers with status ${response.status} for ${spec}`, "an answer", "Try again later.");
}

/** Downloads what the cache lacks and links every file into the snapshot. */
async function bring(remotes: readonly Remote[], folder: string, snapshot: string, ctx: Context, settings: Settings): Promise<void> {
  const blobOf = (remote: Remote): string => join(folder, "blobs", remote.etag);
  const isHere = (remote: Remote): boolean => existsSync(blobOf(remote)) && statSync(blobOf(remote)).size === remote.size;
  const lacking = remotes.filter((remote) => !isHere(remote));
  const total = lacking.reduce((sum, remote) => sum + remote.size, 0);
  mkdirSync(join(folder, "blobs"), { recursive: true });
  mkdirSync(snapshot, { recursive: true });
  checkSpace(
    folder,
    lacking.map((remote) => [remote.size, `${blobOf(remote)}.incomplete`]),
  );
  let before = 0;
  let told = -Infinity;
  for (const remote of lacking) {
    rmSync(blobOf(remote), { force: true });
    const lock = join(settings.cache, ".locks", basename(folder), `${remote.etag}.lethe.lock`);
    await download(remote, blobOf(remote), lock, settings.token, ctx, (bytes) => {
      if (ctx.now() - told < 100 && bytes < remote.size) return;
      told = ctx.now();
      ctx.log({ kind: "progress", stage: "download", done: before + bytes, total, unit: "bytes", detail: remote.name });
    });
    before += remote.size;
  }
  for (const remote of remotes) link(blobOf(remote), join(snapshot, remote.name));
}

function checkSpace(folder: string, parts: readonly (readonly [size: number, incomplete: string])[]): void {
  const need = parts.reduce((sum, [size, path]) => sum + size - (existsSync(path) ? Math.min(size, statSync(path).size) : 0), 0);
  const { bavail, bsize } = statfsSync(folder);
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(bytes < 1e8 ? 3 : 1)} GB`;
  if (need > bavail * bsize)
    fail(
      WHO,
      `${gigabytes(need)} are to be downloaded and ${gigabytes(bavail * bsize)} are free at ${folder}`,
      "room for them",
      "Free some space, or set HF_HOME to a larger disk.",
      "unavailable",
    );
}

/** A relative link from the snapshot to the blob, as Python makes it; a copy where the system has no links. */
function link(blob: string, path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  const target = relative(dirname(path), blob);
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isSymbolicLink() && readlinkSync(path) === target) return;
  rmSync(path, { force: true });
  try {
    symlinkSync(target, path);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    if (code === "EEXIST") return;
    if (code !== "EPERM" && code !== "ENOSYS" && code !== "ENOTSUP")
      throw error instanceof LetheError
        ? error
        : fail(WHO, `${path} cannot be linked: ${wordsOf(error)}`, "a cache that can be written", "", "unavailable");
    copyFileSync(blob, path);
  }
}

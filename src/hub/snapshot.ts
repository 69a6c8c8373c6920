/** A hub repository in the cache of Python's tools: downloaded, resumed, checked, and used from the cache when offline. */
// Our own client, because the published one does not resume, check hashes, lock between processes, or support offline use.
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { checkAbort, type Context } from "../base/context.ts";
import { fail, LetheError } from "../base/fail.ts";
import { isRecord, PICKLE_ADVICE, readJson, readUtf8, writeAtomic } from "../base/store.ts";
import { wordsOf } from "../base/bounded.ts";
import { download, patience, type Remote, request } from "./download.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

const WHO = "model";

/** The cache folder and the hub's address. */
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
  const stored = existsSync(tokenFile) && statSync(tokenFile).size < 10_000 ? readUtf8(tokenFile, WHO) : "";
  const isOn = (value: string | undefined): boolean => /^(1|on|yes|true)$/i.test(value ?? "");
  return {
    cache: expand(env["HF_HUB_CACHE"] ?? env["HUGGINGFACE_HUB_CACHE"] ?? join(base, "hub")),
    endpoint: (env["HF_ENDPOINT"] || "https://huggingface.co").replace(/\/+$/, ""),
    token: (env["HF_TOKEN"] || env["HUGGING_FACE_HUB_TOKEN"] || stored).trim() || undefined,
    isOffline: isOn(env["HF_HUB_OFFLINE"] || env["TRANSFORMERS_OFFLINE"]),
  };
}

/** A repository, or one file of it. */
export interface Wanted {
  org: string;
  name: string;
  revision: string;
  file: string | undefined;
  spec: string;
  /** For repositories that are not models: selects the files to download, or says what is missing. */
  choose?: (names: readonly string[]) => string[] | string;
  /** The hub's section, if it is not models. */
  kind?: "datasets";
}

/** The hub's URL of a repository. */
const placeOf = ({ org, name, kind }: Wanted, { endpoint }: Settings): string => `${endpoint}/${kind ? `${kind}/` : ""}${org}/${name}`;

/** The path of a repository's snapshot in the cache (or of its one file); downloads missing files. */
export async function fetchRepository(wanted: Wanted, ctx: Context, env: Environment): Promise<string> {
  const settings = settingsOf(env);
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
    if (!(error instanceof TypeError)) throw error; // fetch reports network errors as TypeError
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
      text: `${settings.endpoint} cannot be reached (${why}); using the cached ${wanted.spec}`,
    });
    return pathOf(cached.whole, wanted);
  }
}

const pathOf = (snapshot: string, { file }: Wanted): string => (file ? join(snapshot, file) : snapshot);

/** The cached snapshot of a revision, or its missing files. */
function cachedSnapshot(folder: string, { revision, file, choose }: Wanted): { whole: string } | { missing: string[] } | undefined {
  const ref = join(folder, "refs", revision);
  const sha = /^[0-9a-f]{40}$/.test(revision) ? revision : existsSync(ref) ? readUtf8(ref, WHO).trim() : "";
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
 * `open` returns the local path of the index after its download. A returned text says that there are no weights, or why none can be chosen.
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
      "Remove the file from the cache and try again.",
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

/** Lists the files of a revision on the hub and downloads those that a model needs; returns the snapshot's folder. */
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
    if (typeof chosen === "string") return fail(WHO, `${spec} has missing files`, chosen, "", "unavailable");
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
    return response.ok ? jsonOf(response) : refuseAnswer(response, wanted, settings);
  });
  const sha = isRecord(info) ? info["sha"] : undefined;
  const siblings = isRecord(info) && Array.isArray(info["siblings"]) ? (info["siblings"] as unknown[]) : [];
  if (typeof sha !== "string" || !/^[0-9a-f]{40}$/.test(sha))
    return fail(
      WHO,
      `${settings.endpoint} did not send a commit for ${wanted.spec}`,
      "the hub's model information",
      "Check HF_ENDPOINT.",
      "unavailable",
    );
  const names = siblings
    .map((s) => (isRecord(s) ? s["rfilename"] : undefined))
    .filter((n): n is string => typeof n === "string" && (wanted.choose ? isInside(n) : isPlain(n)));
  return { sha, names };
}

/** Bytes of the hub's information at most; a server that answers without end is refused. */
const MOST = 1 << 26;

/** A response's JSON; undefined where it is none. */
async function jsonOf(response: Response): Promise<unknown> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    parts.push(part as Uint8Array);
    size += (part as Uint8Array).length;
    if (size > MOST)
      fail(WHO, `${response.url} answers with more than ${MOST} bytes`, "the hub's model information", "Check HF_ENDPOINT.", "unavailable");
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString("utf8")) as unknown;
  } catch {
    return undefined;
  }
}

async function patiently<T>(ctx: Context, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const watch = patience(ctx.signal);
  try {
    return await ask(watch.signal);
  } finally {
    watch.done();
  }
}

/** Size and etag of a file, from the hub itself, not from the redirect target. */
async function remoteOf(url: string, name: string, wanted: Wanted, ctx: Context, settings: Settings): Promise<Remote> {
  const response = await patiently(ctx, (signal) => request(url, { token: settings.token, method: "HEAD" }, signal));
  if (response.status >= 400) return refuseAnswer(response, wanted, settings, name);
  const etag = (response.headers.get("x-linked-etag") ?? response.headers.get("etag") ?? "").replace(/^W\//, "").replaceAll('"', "");
  const size = Number(response.headers.get("x-linked-size") ?? response.headers.get("content-length") ?? NaN);
  if (!/^[\w.-]{1,200}$/.test(etag) || /^\.+$/.test(etag) || !Number.isSafeInteger(size) || size < 0)
    return fail(WHO, `${settings.endpoint} did not send an etag and a size for ${name}`, "both", "Check HF_ENDPOINT.", "unavailable");
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
    ? "The token has no access to it."
    : "No token was sent: set HF_TOKEN, or log in with Python's hf auth login.";
  if (code === "GatedRepo" || (response.status === 403 && code !== "RepoNotFound"))
    return refuse(`${spec} is gated${file ? ` (${file})` : ""}`, "your consent to its terms", `Accept them at ${page}. ${token}`);
  if (code === "RevisionNotFound") return refuse(`${org}/${name} has no revision ${revision}`, "a branch, tag or commit", `See ${page}.`);
  if (response.status === 401)
    return refuse(
      `${spec} is private, gated, or missing, and there is no folder of that name`,
      `${what} that you can read`,
      `See ${page}. ${token}`,
    );
  if (response.status === 404)
    return refuse(
      `there is no folder ${spec}, and ${settings.endpoint} has no ${file ? `${file} in ` : ""}${org}/${name}`,
      what,
      "Check the spelling.",
    );
  return refuse(`${settings.endpoint} answered with status ${response.status} for ${spec}`, "the file", "Try again later.");
}

/** Downloads missing files and links every file into the snapshot. */
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
      `the download needs ${gigabytes(need)}, but only ${gigabytes(bavail * bsize)} are free at ${folder}`,
      "enough free space",
      "Free some space, or set HF_HOME to a larger disk.",
      "unavailable",
    );
}

/** A relative link from the snapshot to the blob, as in Python; a copy if the system has no links. */
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

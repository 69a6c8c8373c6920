/** Models by id: against a hub on this machine that redirects, cuts, corrupts, refuses and goes away. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Context, defaultContext, type Event } from "../../src/base/context.ts";
import { LetheError } from "../../src/base/fail.ts";
import { rng } from "../../src/base/rng.ts";
import { resolveEncoder, resolveModel } from "../../src/hub/hub.ts";

const SHA = "a".repeat(40);
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const gitSha1 = (bytes: Uint8Array): string => createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
const noise = (length: number): Uint8Array => {
  const random = rng("hub");
  return Uint8Array.from({ length }, () => random.below(256));
};
const text = (words: string): Uint8Array => new TextEncoder().encode(words);
const shaOf = (path: string): string => sha256(new Uint8Array(readFileSync(path)));

/** What the hub holds and how it misbehaves. */
interface Hub {
  files: Record<string, Uint8Array>;
  /** Cut the connection after so many bytes of a large file, this many times. */
  cutAfter?: number;
  cuts: number;
  corrupt: number;
  ignoreRange: boolean;
  slow: boolean;
  gate?: "gated" | "private" | "down" | "endless";
  requests: { url: string; range?: string | undefined; ifRange?: string | undefined; authorization?: string | undefined }[];
}

let hub: Hub;
let server: Server;
let cdn: Server;
let home: string;
const made: string[] = [];

/** The hub proper: small files itself, large ones (.safetensors, .gguf) by redirect to another host. */
function answer(req: IncomingMessage, res: ServerResponse): void {
  const url = new URL(req.url!, "http://hub");
  hub.requests.push({
    url: `${req.method} ${url.pathname}`,
    range: req.headers.range,
    ifRange: req.headers["if-range"] as string | undefined,
    authorization: req.headers.authorization,
  });
  const refuse = (status: number, code: string): void => {
    res.writeHead(status, { "x-error-code": code }).end();
  };
  if (hub.gate === "down") return refuse(503, "");
  if (hub.gate === "endless") {
    res.writeHead(200, { "content-type": "application/json" });
    const piece = Buffer.alloc(1 << 20, "[");
    const more = (): void => void (res.destroyed || res.write(piece, more));
    return more();
  }
  if (!url.pathname.includes("/org/name/")) return refuse(404, "RepoNotFound");
  const allowed = req.headers.authorization === "Bearer good";
  if (hub.gate === "private" && !allowed) return refuse(401, "RepoNotFound");
  const revision = /^\/api\/models\/org\/name\/revision\/(.+)$/.exec(url.pathname)?.[1];
  if (revision) {
    if (!["main", "v2", "refs%2Fpr%2F1", SHA].includes(revision)) return refuse(404, "RevisionNotFound");
    res
      .writeHead(200, { "content-type": "application/json" })
      .end(JSON.stringify({ sha: SHA, siblings: Object.keys(hub.files).map((rfilename) => ({ rfilename })) }));
    return;
  }
  const name = new RegExp(`^/org/name/resolve/${SHA}/(.+)$`).exec(url.pathname)?.[1];
  const bytes = name ? hub.files[name] : undefined;
  if (!name || !bytes) return refuse(404, "EntryNotFound");
  if (hub.gate === "gated" && !allowed) return refuse(req.headers.authorization ? 403 : 401, "GatedRepo");
  const common = { "x-repo-commit": SHA };
  if (/\.(safetensors|gguf)$/.test(name)) {
    const { port } = cdn.address() as AddressInfo;
    res
      .writeHead(302, {
        ...common,
        "x-linked-etag": `"${sha256(bytes)}"`,
        "x-linked-size": bytes.length,
        etag: '"pointer"',
        location: `http://127.0.0.1:${port}/blob/${name}`,
      })
      .end();
    return;
  }
  res
    .writeHead(200, { ...common, etag: `"${gitSha1(bytes)}"`, "content-length": bytes.length })
    .end(req.method === "HEAD" ? undefined : bytes);
}

function serveBlob(req: IncomingMessage, res: ServerResponse): void {
  hub.requests.push({
    url: `${req.method} ${req.url}`,
    range: req.headers.range,
    ifRange: req.headers["if-range"] as string | undefined,
    authorization: req.headers.authorization,
  });
  let bytes = hub.files[req.url!.slice("/blob/".length)]!;
  if (hub.corrupt-- > 0) {
    bytes = bytes.slice();
    bytes[bytes.length >> 1]! ^= 1;
  }
  const from = hub.ignoreRange ? 0 : Number(/^bytes=(\d+)-/.exec(req.headers.range ?? "")?.[1] ?? 0);
  const head = from ? { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {};
  res.writeHead(from ? 206 : 200, { etag: '"cdn"', "content-length": bytes.length - from, ...head });
  if (hub.cutAfter !== undefined && hub.cuts-- > 0) {
    res.write(bytes.subarray(from, from + hub.cutAfter), () => setTimeout(() => res.destroy(), 30));
    return;
  }
  if (!hub.slow) return void res.end(bytes.subarray(from));
  let at = from;
  const drip = setInterval(() => {
    res.write(bytes.subarray(at, (at += 20_000)));
    if (at >= bytes.length) {
      clearInterval(drip);
      res.end();
    }
  }, 10);
  res.on("close", () => clearInterval(drip));
}

const env = (over: Record<string, string | undefined> = {}): Record<string, string | undefined> => ({
  HOME: home,
  HF_HOME: join(home, "hf"),
  HF_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  ...over,
});
const repo = (): string => join(home, "hf", "hub", "models--org--name");
const gets = (part: string): typeof hub.requests => hub.requests.filter((r) => r.url.startsWith("GET") && r.url.includes(part));
const events: Event[] = [];
const ctx = (over: Partial<Context> = {}): Context => defaultContext({ log: (event) => events.push(event), ...over });

async function refusal(spec: string, over: Record<string, string | undefined> = {}): Promise<string> {
  const error: unknown = await resolveModel(spec, ctx(), env(over)).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(LetheError);
  expect((error as LetheError).trouble).toBe("unavailable");
  return (error as LetheError).message;
}

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), "lethe-hub-"));
  made.push(home);
  events.length = 0;
  hub = {
    files: {
      "config.json": text('{"model_type":"llama"}'),
      "tokenizer.json": text("{}"),
      "tokenizer_config.json": text('{"a": 1}'),
      "chat_template.jinja": text("{{ x }}"),
      "README.md": text("no"),
      "pytorch_model.bin": text("pickle"),
      "model.safetensors": noise(600_000),
    },
    cuts: 0,
    corrupt: 0,
    ignoreRange: false,
    slow: false,
    requests: [],
  };
  server = createServer(answer);
  cdn = createServer(serveBlob);
  await Promise.all([server, cdn].map((s) => new Promise<void>((done) => s.listen(0, "127.0.0.1", done))));
});
afterEach(() => {
  for (const s of [server, cdn]) {
    s.closeAllConnections();
    s.close();
  }
});
afterAll(() => {
  for (const folder of made) rmSync(folder, { recursive: true, force: true });
});

describe("a sentence encoder", () => {
  it("is brought with what lies in its folders, and nothing else, and is there offline", async () => {
    const wanted = ["onnx/model.onnx", "tokenizer.json", "sentence_bert_config.json", "1_Pooling/config.json"];
    for (const file of [...wanted, "onnx/model_O4.onnx", "../escape/model.onnx"]) hub.files[file] = text(file);
    const { folder, name } = await resolveEncoder("org/name", ctx(), env());
    expect(name).toBe("org/name");
    for (const file of wanted) expect(readFileSync(join(folder, file), "utf8")).toBe(file);
    expect(
      gets("/resolve/")
        .map(({ url }) => url.split(SHA)[1]!.slice(1))
        .sort(),
    ).toEqual([...wanted].sort());
    expect(existsSync(readlinkSync(join(folder, "onnx/model.onnx")).replace(/^/, `${folder}/onnx/`))).toBe(true);
    hub.gate = "down";
    expect((await resolveEncoder("org/name", ctx(), env({ HF_HUB_OFFLINE: "1" }))).folder).toBe(folder);
  });
  it("is refused where its files are not, and where nothing of that name is", async () => {
    await expect(resolveEncoder("org/name", ctx(), env())).rejects.toThrow(
      /org\/name has missing files; wanted model.onnx or onnx\/model.onnx, and tokenizer.json/,
    );
    await expect(resolveEncoder("./no-such", ctx(), env())).rejects.toThrow(/no folder .*no-such; wanted a folder with the model.onnx/);
    expect(await resolveEncoder(home, ctx(), env())).toEqual({ folder: home, name: basename(home) });
  });
});

describe("a download", () => {
  it("lays out Python's cache with relative links, brings what a model needs and no pickle", async () => {
    const path = await resolveModel("org/name", ctx(), env());
    expect(path).toBe(join(repo(), "snapshots", SHA));
    expect(readdirSync(path).sort()).toEqual([
      "chat_template.jinja",
      "config.json",
      "model.safetensors",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    expect(readlinkSync(join(path, "model.safetensors"))).toBe(join("..", "..", "blobs", sha256(hub.files["model.safetensors"]!)));
    expect(readlinkSync(join(path, "config.json"))).toBe(join("..", "..", "blobs", gitSha1(hub.files["config.json"]!)));
    expect(shaOf(join(path, "model.safetensors"))).toBe(sha256(hub.files["model.safetensors"]!));
    expect(readFileSync(join(repo(), "refs", "main"), "utf8")).toBe(SHA);
    expect(readdirSync(join(repo(), "blobs")).some((name) => name.endsWith(".incomplete"))).toBe(false);
    const last = events.filter((e) => e.kind === "progress").at(-1);
    const total =
      600_000 +
      ["config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"].reduce((n, f) => n + hub.files[f]!.length, 0);
    expect(last).toMatchObject({ stage: "download", done: total, total, unit: "bytes" });
  });

  it("uses blobs that are there, whoever brought them", async () => {
    const bytes = hub.files["model.safetensors"]!;
    mkdirSync(join(repo(), "blobs"), { recursive: true });
    writeFileSync(join(repo(), "blobs", sha256(bytes)), bytes);
    await resolveModel("org/name", ctx(), env());
    expect(gets("/blob/")).toEqual([]);
    hub.requests.length = 0;
    await resolveModel("org/name", ctx(), env());
    expect(gets("/resolve/")).toEqual([]);
  });

  it("goes on after a cut connection, with the token and If-Range kept from the other host", async () => {
    Object.assign(hub, { cutAfter: 150_000, cuts: 3 });
    const path = await resolveModel("org/name", ctx(), env({ HF_TOKEN: "good" }));
    expect(shaOf(join(path, "model.safetensors"))).toBe(sha256(hub.files["model.safetensors"]!));
    const blobs = gets("/blob/");
    expect(blobs.length).toBe(4);
    expect(blobs.map((r) => Number(/\d+/.exec(r.range ?? "0")![0]))).toEqual([0, 150_000, 300_000, 450_000]);
    expect(blobs.every((r) => r.authorization === undefined && r.ifRange === undefined)).toBe(true);
    const atHub = gets("/resolve/").filter((r) => r.url.endsWith("model.safetensors"));
    expect(atHub.every((r) => r.authorization === "Bearer good")).toBe(true);
    expect(atHub[1]!.ifRange).toBe(`"${sha256(hub.files["model.safetensors"]!)}"`);
  });

  it("starts over where the server sends the whole file to a resumed request", async () => {
    Object.assign(hub, { cutAfter: 150_000, cuts: 1, ignoreRange: true });
    const path = await resolveModel("org/name", ctx(), env());
    expect(shaOf(join(path, "model.safetensors"))).toBe(sha256(hub.files["model.safetensors"]!));
  });

  it("notices damaged bytes, tries once more, and never files them under their name", async () => {
    hub.corrupt = 1;
    const path = await resolveModel("org/name", ctx(), env());
    expect(shaOf(join(path, "model.safetensors"))).toBe(sha256(hub.files["model.safetensors"]!));
    rmSync(join(home, "hf"), { recursive: true });
    hub.corrupt = 9;
    expect(await refusal("org/name")).toMatch(/model\.safetensors arrived damaged: its hash is [0-9a-f]{64}/);
    expect(existsSync(join(repo(), "blobs", sha256(hub.files["model.safetensors"]!)))).toBe(false);
    expect(existsSync(join(repo(), "refs", "main"))).toBe(false);
  });

  it("finds a damaged rest of an earlier run out by its hash", async () => {
    const bytes = hub.files["model.safetensors"]!;
    mkdirSync(join(repo(), "blobs"), { recursive: true });
    writeFileSync(join(repo(), "blobs", `${sha256(bytes)}.incomplete`), new Uint8Array(200_000).fill(7));
    const path = await resolveModel("org/name", ctx(), env());
    expect(shaOf(join(path, "model.safetensors"))).toBe(sha256(bytes));
    expect(gets("/blob/").map((r) => r.range)).toEqual(["bytes=200000-", undefined]);
  });

  it("refuses a hub that answers without end", async () => {
    hub.gate = "endless";
    await expect(resolveModel("org/name", ctx(), env())).rejects.toThrow(/answers with more than 67108864 bytes/);
  });

  it("keeps what came when it is interrupted, and says so", async () => {
    hub.slow = true;
    const stop = new AbortController();
    const running = resolveModel(
      "org/name",
      ctx({
        signal: stop.signal,
        log: (e) => {
          if (e.kind === "progress" && e.done > 100_000) stop.abort();
        },
      }),
      env(),
    );
    await expect(running).rejects.toMatchObject({ trouble: "aborted" });
    const part = join(repo(), "blobs", `${sha256(hub.files["model.safetensors"]!)}.incomplete`);
    expect(lstatSync(part).size).toBeGreaterThan(50_000);
    hub.slow = false;
    await resolveModel("org/name", ctx(), env());
    expect(Number(/\d+/.exec(gets("/blob/").at(-1)!.range!)![0])).toBeGreaterThan(50_000);
  });

  it("takes the shards that the index names, and not what lies beside them", async () => {
    delete hub.files["model.safetensors"];
    const shard = (k: number): string => `model-0000${k}-of-00002.safetensors`;
    Object.assign(hub.files, {
      [shard(1)]: noise(1000),
      [shard(2)]: noise(2000),
      "consolidated.safetensors": noise(50),
      "model.safetensors.index.json": text(JSON.stringify({ weight_map: { a: shard(1), b: shard(2), c: shard(1) } })),
    });
    const path = await resolveModel("org/name", ctx(), env());
    expect(
      readdirSync(path)
        .filter((n) => n.includes("safetensors"))
        .sort(),
    ).toEqual([shard(1), shard(2), "model.safetensors.index.json"]);
    hub.files["model.safetensors.index.json"] = text(JSON.stringify({ weight_map: { a: "../../../escape" } }));
    expect(await refusal("org/name")).toMatch(/names no shards/);
  });

  it("asks for thirty shards at once without a warning of Node's", async () => {
    delete hub.files["model.safetensors"];
    const shards = Array.from({ length: 30 }, (_, k) => `model-${String(k + 1).padStart(5, "0")}-of-00030.safetensors`);
    for (const name of shards) hub.files[name] = noise(100);
    hub.files["model.safetensors.index.json"] = text(
      JSON.stringify({ weight_map: Object.fromEntries(shards.map((name) => [name, name])) }),
    );
    const warned: Error[] = [];
    const warn = (warning: Error): void => void warned.push(warning);
    process.on("warning", warn);
    const path = await resolveModel("org/name", ctx(), env());
    await setImmediate();
    process.off("warning", warn);
    expect(readdirSync(path).filter((name) => shards.includes(name))).toEqual(shards);
    expect(warned).toEqual([]);
  });

  it("takes one .gguf, asks which of several, refuses pickles with advice", async () => {
    delete hub.files["model.safetensors"];
    expect(await refusal("org/name")).toMatch(/only pickled weights \(pytorch_model\.bin\).*safe_serialization/);
    hub.files["q4.gguf"] = noise(100);
    expect(readdirSync(await resolveModel("org/name", ctx(), env()))).toContain("q4.gguf");
    hub.files["q8.gguf"] = noise(200);
    expect(await refusal("org/name")).toMatch(/several \.gguf files; wanted one of q4\.gguf, q8\.gguf\. Name it: org\/name\/FILE\.gguf/);
    expect(await resolveModel("org/name/q8.gguf", ctx(), env())).toBe(join(repo(), "snapshots", SHA, "q8.gguf"));
  });

  it("writes the ref of any revision and needs no hub for a commit that is there", async () => {
    await resolveModel("org/name@refs/pr/1", ctx(), env());
    expect(readFileSync(join(repo(), "refs", "refs", "pr", "1"), "utf8")).toBe(SHA);
    await resolveModel("org/name@v2", ctx(), env());
    hub.requests.length = 0;
    expect(await resolveModel(`org/name@${SHA}`, ctx(), env())).toBe(join(repo(), "snapshots", SHA));
    expect(hub.requests).toEqual([]);
    expect(await refusal("org/name@v9")).toMatch(/no revision v9/);
  });
});

describe("a hub that refuses", () => {
  it("names the page where a gated model's terms are accepted, and takes the stored token", async () => {
    hub.gate = "gated";
    expect(await refusal("org/name")).toMatch(
      /is gated.*Accept them at http:\/\/127\.0\.0\.1:\d+\/org\/name\. No token was sent: set HF_TOKEN/,
    );
    expect(await refusal("org/name", { HF_TOKEN: "bad" })).toMatch(/The token has no access to it/);
    mkdirSync(join(home, "hf"), { recursive: true });
    writeFileSync(join(home, "hf", "token"), "good\n");
    expect(await resolveModel("org/name", ctx(), env())).toContain(SHA);
    writeFileSync(join(home, "elsewhere"), "bad");
    rmSync(join(home, "hf", "hub"), { recursive: true });
    expect(await refusal("org/name", { HF_TOKEN_PATH: join(home, "elsewhere") })).toMatch(/gated/);
  });

  it("says what was tried for a private and for a missing model", async () => {
    hub.gate = "private";
    expect(await refusal("org/name")).toMatch(/private, gated, or missing, and there is no folder/);
    expect(await refusal("org/nothing")).toMatch(/there is no folder org\/nothing, and http.* has no org\/nothing/);
  });
});

describe("offline", () => {
  it("uses a whole snapshot and names what is missing from another", async () => {
    expect(await refusal("org/name", { HF_HUB_OFFLINE: "1" })).toMatch(/not in the cache .*models--org--name and HF_HUB_OFFLINE is set/);
    const path = await resolveModel("org/name", ctx(), env());
    hub.requests.length = 0;
    expect(await resolveModel("org/name", ctx(), env({ HF_HUB_OFFLINE: "1" }))).toBe(path);
    expect(hub.requests).toEqual([]);
    rmSync(join(repo(), "blobs", sha256(hub.files["model.safetensors"]!)));
    expect(await refusal("org/name", { HF_HUB_OFFLINE: "yes" })).toMatch(/missing: model\.safetensors/);
  });

  it("falls back on the cache, with a warning, when the hub is down or unreachable", async () => {
    const path = await resolveModel("org/name", ctx(), env());
    hub.gate = "down";
    expect(await resolveModel("org/name", ctx(), env())).toBe(path);
    expect(await resolveModel("org/name", ctx(), env({ HF_ENDPOINT: "http://127.0.0.1:9" }))).toBe(path);
    expect(events.filter((e) => e.kind === "warning").length).toBe(2);
    expect(await refusal("org/name", { HF_ENDPOINT: "http://127.0.0.1:9", HF_HOME: join(home, "other") })).toMatch(/cannot be reached/);
  });

  it("finds the cache where each variable says", async () => {
    for (const [over, folder] of [
      [{ HF_HUB_CACHE: "~/a", HUGGINGFACE_HUB_CACHE: "no" }, "a"],
      [{ HUGGINGFACE_HUB_CACHE: "~/b" }, "b"],
      [{ HF_HOME: undefined, XDG_CACHE_HOME: "HOME/x" }, "x/huggingface/hub"],
      [{ HF_HOME: undefined }, ".cache/huggingface/hub"],
    ] as const) {
      const given = Object.fromEntries(Object.entries(over).map(([k, v]) => [k, v?.replace("HOME/x", join(home, "x"))]));
      expect(await resolveModel("org/name", ctx(), env(given))).toBe(join(home, folder, "models--org--name", "snapshots", SHA));
    }
  });
});

describe("what is no hub id", () => {
  it("says what lies there when an id that is not found may have been a path", async () => {
    expect(await refusal("src/modle")).toMatch(/has no src\/modle.* There is no folder .*src\/modle\. Did you mean src\/model\?/);
    expect(await refusal("org/nothing")).not.toMatch(/There is no folder/);
    await expect(resolveEncoder("src/modle", ctx(), env())).rejects.toThrow(/There is no folder .*src\/modle\. Did you mean src\/model\?/);
  });

  it("takes folders and files as they are, and names the nearest for a slip", async () => {
    mkdirSync(join(home, "smollm"));
    expect(await resolveModel(join(home, "smollm"), ctx(), env())).toBe(join(home, "smollm"));
    const message = await refusal(join(home, "smolm"));
    expect(message).toMatch(
      /there is no folder or \.gguf file .*smolm; wanted a folder, a \.gguf file, a hub id like org\/name, or "bundled"/,
    );
    expect(message).toMatch(/Did you mean .*smollm\?/);
    for (const spec of ["nothing", "../a/b", "a/b/c", "org/na me", "org/../x", "./x.gguf"])
      expect(await refusal(spec)).toMatch(/there is no folder or \.gguf file/);
    expect(hub.requests).toEqual([]);
  });
});

describe("killed", () => {
  it("goes on where a killed process stopped, and takes over its lock", async () => {
    hub.slow = true;
    const script = join(home, "fetch.mts");
    const at = (path: string): string => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);
    writeFileSync(
      script,
      `import { resolveEncoder, resolveModel } from ${at("hub/hub.ts")};
import { defaultContext } from ${at("base/context.ts")};
await resolveModel("org/name", defaultContext({ log: (e) => { if (e.kind === "progress") console.log(e.done); } }), ${JSON.stringify(env())});
console.log("whole");`,
    );
    const child: ChildProcess = spawn(process.execPath, ["--import", "tsx", script], { stdio: ["ignore", "pipe", "inherit"] });
    await new Promise<void>((done, no) => {
      child.stdout!.on("data", (text: Buffer) => {
        if (Number(text.toString().trim().split("\n").at(-1)) > 200_000) child.kill("SIGKILL");
      });
      child.on("exit", (code) => (code === null ? done() : no(new Error(`it ended by itself with ${code}`))));
    });
    hub.slow = false;
    const blob = join(repo(), "blobs", sha256(hub.files["model.safetensors"]!));
    expect(existsSync(blob)).toBe(false);
    const kept = lstatSync(`${blob}.incomplete`).size;
    expect(kept).toBeGreaterThan(100_000);
    const path = await resolveModel("org/name", ctx(), env());
    expect(gets("/blob/").at(-1)!.range).toBe(`bytes=${kept}-`);
    expect(shaOf(join(path, "model.safetensors"))).toBe(sha256(hub.files["model.safetensors"]!));
  });

  it("fetches once when two ask at the same time", async () => {
    hub.slow = true;
    const paths = await Promise.all([resolveModel("org/name", ctx(), env()), resolveModel("org/name", ctx(), env())]);
    expect(paths[0]).toBe(paths[1]);
    expect(gets("/blob/").length).toBe(1);
  });
});

/** Downloads one file over HTTP: resumable, checked against its hash, and moved to its final name only when complete. */
import { createHash, type Hash as Digest } from "node:crypto";
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { checkAbort, type Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { complain, tryLock } from "../base/store.ts";
import { wordsOf } from "../base/bounded.ts";

/** What is known about a remote file before the download. */
export interface Remote {
  readonly name: string;
  readonly url: string;
  /** Identifies the content: a SHA-256 (large files), a git blob's SHA-1 (small ones), or an opaque mark. */
  readonly etag: string;
  readonly size: number;
}

export interface Request {
  readonly token: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: "GET" | "HEAD";
}

const WHO = "download";
const STALL = 60_000;
const ATTEMPTS = 6;

/** A signal that also aborts after a minute without progress; `touch` reports progress, `done` stops the timer. */
export function patience(signal: AbortSignal): { signal: AbortSignal; touch(): void; done(): void } {
  const own = new AbortController();
  const late = (): void => own.abort(new TypeError(`no data for ${STALL / 1000} s`));
  let timer = setTimeout(late, STALL);
  return {
    signal: AbortSignal.any([signal, own.signal]), // without a listener: a caller's signal may have many patient ones at once
    touch: () => {
      clearTimeout(timer);
      timer = setTimeout(late, STALL);
    },
    done: () => clearTimeout(timer),
  };
}

/** Follows redirects itself, so that the token and the resume condition are sent only to the original host. */
export async function request(
  url: string,
  { token, headers = {}, method = "GET" }: Request,
  signal: AbortSignal,
  hops = 8,
): Promise<Response> {
  const own = { "user-agent": "lethe", "accept-encoding": "identity", ...headers, ...(token ? { authorization: `Bearer ${token}` } : {}) };
  const response = await fetch(url, { method, headers: own, redirect: "manual", signal });
  const location = response.headers.get("location");
  const isHere = method === "HEAD" && response.headers.has("x-linked-etag");
  if (response.status < 300 || response.status >= 400 || !location || isHere) return response;
  await response.body?.cancel();
  if (hops === 0) return fail(WHO, `${url} redirects too often`, "a file", "", "unavailable");
  const next = new URL(location, url);
  if (next.protocol !== "https:" && next.protocol !== "http:")
    return fail(WHO, `${url} redirects to ${next.protocol}`, "http or https", "", "unavailable");
  if (next.host === new URL(url).host) return request(next.href, { token, headers, method }, signal, hops - 1);
  if (method === "HEAD") return response;
  const { "if-range": _condition, ...rest } = headers; // another host has other etags; the hash of the whole file is checked anyway
  return request(next.href, { token: undefined, headers: rest, method }, signal, hops - 1);
}

/**
 * Downloads `remote` to `path` and resumes from `path.incomplete`. One process downloads at a time; the others wait for it. If the hash
 * differs from the etag, it tries once more from the start and then fails.
 */
export async function download(
  remote: Remote,
  path: string,
  lock: string,
  token: string | undefined,
  ctx: Context,
  progress: (bytes: number) => void,
): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const release = await waitForLock(lock, remote.name, ctx);
  try {
    if (existsSync(path)) return progress(remote.size);
    const part = new Part(`${path}.incomplete`, remote);
    try {
      for (let damaged = 0; ; damaged++) {
        await fill(part, remote, token, ctx, progress);
        const found = part.verdict();
        if (found === undefined) break;
        part.restart();
        if (damaged)
          fail(
            WHO,
            `${remote.name} arrived damaged: its hash is ${found}`,
            remote.etag,
            "Try again. If the error repeats, a proxy or the mirror changes the file.",
            "unavailable",
          );
      }
      part.close(true);
      renameSync(`${path}.incomplete`, path);
    } catch (error) {
      part.close(false);
      complain(WHO, path, error);
    }
  } finally {
    release();
  }
}

async function waitForLock(lock: string, name: string, ctx: Context): Promise<() => void> {
  for (let told = false; ; told = true) {
    const held = tryLock(lock);
    if (typeof held === "function") return held;
    if (!told) ctx.log({ kind: "note", who: WHO, text: `process ${held.pid} on ${held.host} is downloading ${name}; waiting for it` });
    await sleep(300);
    checkAbort(ctx, WHO);
  }
}

/** Requests the rest until the file is complete; gives up after several tries without data. */
async function fill(part: Part, remote: Remote, token: string | undefined, ctx: Context, progress: (bytes: number) => void): Promise<void> {
  let idle = 0;
  for (let wait = 0; part.size < remote.size;) {
    checkAbort(ctx, WHO);
    if (wait) await sleep(wait, undefined, { signal: ctx.signal }).catch(() => checkAbort(ctx, WHO));
    const before = part.size;
    let trouble: string;
    try {
      trouble = await receive(part, remote, token, ctx, progress);
    } catch (error) {
      checkAbort(ctx, WHO);
      if (!(error instanceof TypeError)) throw error; // fetch reports network errors as TypeError
      trouble = causeOf(error);
    }
    if (part.size >= remote.size) break;
    idle = part.size > before ? 0 : idle + 1;
    if (idle >= ATTEMPTS)
      fail(
        WHO,
        `${remote.name} stopped at ${part.size} of ${remote.size} bytes: ${trouble}`,
        "the rest",
        "The received part is kept. Run the same command again to resume.",
        "unavailable",
      );
    wait = 250 * 2 ** idle;
  }
  progress(part.size);
}

/** Appends one response of the server to the file; returns the error, if any. */
async function receive(
  part: Part,
  remote: Remote,
  token: string | undefined,
  ctx: Context,
  progress: (bytes: number) => void,
): Promise<string> {
  const headers: Record<string, string> = part.size > 0 ? { range: `bytes=${part.size}-`, "if-range": `"${remote.etag}"` } : {};
  const watch = patience(ctx.signal);
  try {
    const response = await request(remote.url, { token, headers }, watch.signal);
    const trouble = await refusal(response, part, remote);
    if (trouble) return trouble;
    for await (const chunk of response.body ?? []) {
      watch.touch();
      if (part.size + chunk.length > remote.size) return "it sent more than the file holds";
      part.append(chunk);
      progress(part.size);
    }
    return "the connection ended early";
  } finally {
    watch.done();
  }
}

/** The reason why a response cannot be appended; restarts the file if the server does. */
async function refusal(response: Response, part: Part, remote: Remote): Promise<string | undefined> {
  const { status } = response;
  if ([401, 403, 404].includes(status))
    fail(WHO, `${remote.name} is refused with status ${status}`, "the file", "The token may have expired.", "unavailable");
  const from =
    status === 200 ? 0 : status === 206 ? Number(/^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "")?.[1] ?? NaN) : NaN;
  if (from !== part.size && (from === 0 || status === 416)) part.restart();
  if (from === part.size) return undefined;
  await response.body?.cancel();
  return status === 206 ? "the server sent another part of the file" : `status ${status}`;
}

const causeOf = (error: unknown): string => wordsOf(error instanceof Error && error.cause ? error.cause : error);

/** The incomplete file and the hash of its content. */
class Part {
  size = 0;
  private digest!: Digest;
  private readonly fd: number;
  private readonly remote: Remote;
  private readonly path: string;
  private isOpen = true;

  constructor(path: string, remote: Remote) {
    this.path = path;
    this.remote = remote;
    this.fd = openSync(path, existsSync(path) ? "r+" : "w+");
    this.begin();
    const found = fstatSync(this.fd).size;
    if (found > remote.size) this.restart();
    else this.read(found);
  }

  /** Reads the part that an earlier run left. */
  private read(found: number): void {
    const piece = new Uint8Array(1 << 20);
    while (this.size < found) {
      const got = readSync(this.fd, piece, 0, piece.length, this.size);
      if (!got) break;
      this.digest.update(piece.subarray(0, got));
      this.size += got;
    }
  }

  private begin(): void {
    this.size = 0;
    const isGit = this.remote.etag.length === 40;
    this.digest = createHash(isGit ? "sha1" : "sha256");
    if (isGit) this.digest.update(`blob ${this.remote.size}\0`);
  }

  restart(): void {
    ftruncateSync(this.fd, 0);
    this.begin();
  }

  append(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) at += writeSync(this.fd, bytes, at, bytes.length - at, this.size + at);
    this.digest.update(bytes);
    this.size += bytes.length;
  }

  /** The hash if it differs from the etag; undefined if the etag is not a hash. */
  verdict(): string | undefined {
    const found = this.digest.copy().digest("hex");
    return !/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(this.remote.etag) || found === this.remote.etag ? undefined : found;
  }

  close(isWhole: boolean): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    if (isWhole) fsyncSync(this.fd);
    closeSync(this.fd);
    if (!isWhole && this.size === 0) rmSync(this.path, { force: true });
  }
}

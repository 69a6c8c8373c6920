/** The address of a step: a hash of what is asked, with inputs by their content. Code and paths do not count. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import type { Context } from "../../base/context.ts";
import { LetheError } from "../../base/fail.ts";
import { hash } from "../../base/hash.ts";
import { isRecord } from "../../base/store.ts";
import { namesModel, resolveModel } from "../../hub/hub.ts";
import type { Kind } from "../fields.ts";
import { hashFile } from "../folder.ts";
import { modelInput } from "../inputs.ts";
import { stepOf } from "../run.ts";
import type { Shared } from "../shared.ts";
import { EarlyChecks } from "./checks.ts";
import type { IndexFile } from "./index-file.ts";
import type { Unit } from "./unfold.ts";

/** Fields whose texts may name files. Of texts and names only those that are declared as inputs may. */
const NAMING: readonly Kind[] = ["model", "edits", "pathOrSpec", "grouped"];
/** What may be an id on the hub: its content may change without a change here. */
const HUB = /(?:^|[:=])(?:hf:\/\/datasets\/)?[A-Za-z0-9][\w.-]*\/[\w.-]+(?:@[\w./-]+)?(?:#.*)?$/;
/** Files of a folder that are hashed, at most. A larger folder was hardly meant as an input. */
const MOST = 2_000;
/** Bytes of an input whose hash is kept between processes. */
const LARGE = 4e6;

/** Thrown where the content of an input cannot be told. */
class Unaddressed extends Error {}

/** Gives steps their addresses. Each input is read once. */
export class Addresses {
  private readonly ctx: Context;
  private readonly shared: Shared;
  private readonly index: IndexFile;
  private readonly contents: Map<string, Promise<string>>;
  private readonly named: Map<string, Promise<string>>;
  private readonly early: EarlyChecks;
  private readonly known = new Map<string, string | undefined>();
  /** Texts that name a part of a file or folder. */
  private readonly parts: Set<string>;
  /**
   * The address that an older build gives a step, by its address, where both differ: an older build tells a part of a file by its path. No record
   * of this build is found by it, because the file may have changed since.
   */
  readonly older: Map<string, string>;
  private readonly olderByKey = new Map<string, string>();

  /** `read` are addresses that have read the same inputs. */
  constructor(ctx: Context, shared: Shared, index: IndexFile, read?: Addresses) {
    [this.ctx, this.shared, this.index, this.early] = [ctx, shared, index, read?.early ?? new EarlyChecks(ctx)];
    [this.contents, this.named] = [read?.contents ?? new Map(), read?.named ?? new Map()];
    [this.parts, this.older] = [read?.parts ?? new Set(), read?.older ?? new Map()];
  }

  /** The addresses that the same steps have with another number of threads. No input is read again. */
  under(threads: number): Addresses {
    return new Addresses({ ...this.ctx, threads }, this.shared, this.index, this);
  }

  /** The address of a step. Call it for the needs of the step first. Undefined if the content of an input is not known. */
  async of({ key, spec, keys }: Unit): Promise<string | undefined> {
    if (this.known.has(key)) return this.known.get(key);
    const address = await this.made(spec, keys, false);
    this.known.set(key, address);
    const older = address === undefined || this.parts.size === 0 ? undefined : await this.made(spec, keys, true);
    if (address !== undefined && older !== undefined && older !== address) {
      this.older.set(address, older);
      this.olderByKey.set(key, older);
    }
    return address;
  }

  private async made(spec: Unit["spec"], keys: Unit["keys"], isOld: boolean): Promise<string | undefined> {
    const { ctx } = this;
    const { name, fields } = stepOf(spec.step);
    try {
      const parts: Record<string, unknown> = {};
      for (const [key, value] of Object.entries(spec)) {
        const field = fields[key];
        if (!field) continue;
        const isNaming = NAMING.includes(field.kind) || (field.isInput === true && field.kind === "text");
        parts[key] = isNaming ? await this.part(value, { kind: field.kind, keys, isOld }) : value;
      }
      const shipped = this.early.of(spec);
      const plugins = ctx.plugins.map(({ id }) => id).sort();
      return hash("address", name, parts, shipped, ctx.threads, plugins, ctx.encoder ?? null).slice(0, 32);
    } catch (error) {
      if (error instanceof Unaddressed || error instanceof LetheError) return undefined; // whoever resolves the step says what is wrong
      throw error;
    }
  }

  /** A value with every input replaced by its content, and every step by its address. */
  private async part(value: unknown, how: { readonly kind: Kind; readonly keys: Unit["keys"]; readonly isOld: boolean }): Promise<unknown> {
    if (typeof value === "string") return how.isOld && this.parts.has(value) ? value : this.contentOf(value, how.kind);
    if (Array.isArray(value)) {
      const parts: unknown[] = [];
      for (const one of value) parts.push(await this.part(one, how));
      return parts;
    }
    if (!isRecord(value)) return value;
    if (typeof value["step"] === "string") {
      const key = how.keys.get(value)!;
      return (how.isOld ? this.olderByKey.get(key) : undefined) ?? this.known.get(key) ?? unaddressed();
    }
    const members: Record<string, unknown> = {};
    for (const [key, one] of Object.entries(value)) members[key] = await this.part(one, how);
    return members;
  }

  private contentOf(text: string, kind: Kind): Promise<string> {
    const key = `${kind} ${text}`;
    const known = this.named.get(key) ?? this.readContent(text, kind);
    this.named.set(key, known);
    return known;
  }

  private readContent(text: string, kind: Kind): Promise<string> {
    const isModel = kind === "model" || (kind === "pathOrSpec" && existsSync(text) && namesModel(text));
    const key = `${isModel ? "model" : "file"} ${text}`;
    const known = this.contents.get(key) ?? (isModel ? this.modelAt(text) : this.fileIn(text));
    this.contents.set(key, known);
    return known;
  }

  private async modelAt(text: string): Promise<string> {
    const { ctx, shared, index } = this;
    const path = resolve(await resolveModel(text, ctx));
    const stamp = stampOf(path)?.stamp ?? unaddressed();
    const kept = index.contentAt(path, stamp);
    if (kept !== undefined) return kept;
    const { content } = await modelInput(text, { ctx, force: true, madeBy: () => undefined, shared });
    index.add({ at: path, stamp, content });
    return content;
  }

  /** A text with the content of the file or folder that it names in the place of the path; `#` begins a part of it (`tofu:FOLDER#forget10`). */
  private async fileIn(text: string): Promise<string> {
    const starts = [0, ...[...text.matchAll(/[:=]/g)].map(({ index }) => index + 1)];
    const ends = [text.length, ...[...text.matchAll(/#/g)].map(({ index }) => index).reverse()];
    for (const end of ends) {
      const start = starts.find((at) => at < end && existsSync(text.slice(at, end)));
      if (start === undefined) continue;
      if (end < text.length) this.parts.add(text);
      return `${text.slice(0, start)}@${await this.contentAt(resolve(text.slice(start, end)))}${text.slice(end)}`;
    }
    return HUB.test(text) ? unaddressed() : text;
  }

  private async contentAt(path: string): Promise<string> {
    const { files, bytes, stamp } = stampOf(path) ?? unaddressed();
    const kept = bytes > LARGE ? this.index.contentAt(path, stamp) : undefined;
    if (kept !== undefined) return kept;
    const parts: string[] = [];
    for (const file of files) parts.push(file === path ? "" : file.slice(path.length + 1), await hashFile(file));
    const content = hash(...parts).slice(0, 32);
    if (bytes > LARGE) this.index.add({ at: path, stamp, content });
    return content;
  }
}

function unaddressed(): never {
  throw new Unaddressed();
}

/** The files at a path, their size, and a stamp that changes when one of them is written. Undefined for a folder with too many files. */
function stampOf(path: string): { readonly files: readonly string[]; readonly bytes: number; readonly stamp: string } | undefined {
  const files = statSync(path).isDirectory() ? filesIn(path) : [path];
  if (!files) return undefined;
  const told = files.map((file) => ({ file, stat: statSync(file) }));
  const bytes = told.reduce((sum, { stat }) => sum + stat.size, 0);
  return { files, bytes, stamp: hash(...told.map(({ file, stat }) => `${basename(file)} ${stat.size} ${stat.mtimeMs}`)).slice(0, 32) };
}

/** The files of a folder and of the folders in it; undefined if there are too many. */
function filesIn(path: string): string[] | undefined {
  const found: string[] = [];
  const folders = [path];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop())
    for (const { name } of readdirSync(folder, { withFileTypes: true })) {
      const at = join(folder, name);
      if (statSync(at).isDirectory()) folders.push(at);
      else found.push(at);
      if (found.length + folders.length > MOST) return undefined;
    }
  return found.sort();
}

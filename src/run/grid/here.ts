/** One point of a grid: its variables, and the templates of specs filled in with them. */
import { fail, nearest } from "../../base/fail.ts";
import { canonical } from "../../base/hash.ts";
import { isRecord } from "../../base/store.ts";
import type { NestedSpec } from "../fields.ts";
import { placed } from "./checks.ts";
import { Memo, type Reading } from "./memo.ts";
import type { Place } from "./place.ts";
import { type GridFile, type Json, UNLESS } from "./schema.ts";

/** The declaration of a method, which rules and texts can use: `method.takes`. */
export type Declared = Readonly<Record<string, Json>>;

/** Variables by name. */
export type Values = Readonly<Record<string, Json>>;

/** A part of the file, by keys and places in lists. */
export type Path = readonly (string | number)[];

/** Where the value of each variable of a point stands in the file. */
export type Origins = Readonly<Record<string, Path>>;

/** A value inside a text, in a rule or in a label. */
export const textOf = (value: Json): string => (value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value));

/** A point: its variables, and the spec templates filled in with them. */
export class Here {
  readonly placeOf: Place;
  private readonly values: Values;
  private readonly grid: GridFile;
  private readonly declared: (method: string) => Declared;
  private readonly specs = new Map<string, Reading<NestedSpec | null>>();
  private readonly open: string[] = [];
  private readonly origins: Origins;
  private readonly memo: Memo;
  /** The variables that are read by the work in progress. */
  private reads = new Set<string>();

  constructor(
    values: Values,
    grid: GridFile,
    placeOf: Place,
    declared: (method: string) => Declared,
    { origins = {}, memo = new Memo() }: { readonly origins?: Origins; readonly memo?: Memo } = {},
  ) {
    [this.values, this.grid, this.placeOf, this.declared, this.origins, this.memo] = [values, grid, placeOf, declared, origins, memo];
  }

  /** Where the value of a field stands: in the template, or where the variable that it names has its value. */
  placeOfField(step: string, field: string): string {
    let path: Path = ["steps", step, field];
    let value: unknown = this.grid.steps[step]?.[field];
    const seen = new Set<string>();
    for (;;) {
      const name = typeof value === "string" ? /^\$\{([^{}]*)\}$/.exec(value)?.[1]?.trim() : undefined;
      if (name === undefined || !Object.hasOwn(this.values, name) || seen.size === seen.add(name).size) return this.placeOf(path);
      path = this.origins[name] ?? ["vars", name];
      value = this.values[name];
    }
  }

  /**
   * Whether a rule applies: each of its variables equals the value, is in the list of values, or is a list with the value. `${name}` in a value
   * is filled in.
   */
  fits(rule: Values, path: Path): boolean {
    return Object.entries(rule).every(([name, written]) => {
      const own = this.value(name, [...path, name]);
      const wanted = this.filled(written, [...path, name]);
      const any = Array.isArray(wanted) ? wanted : [wanted];
      const all = Array.isArray(own) ? [...own, own] : [own];
      return any.some((one) => all.some((value) => canonical(value) === canonical(one)));
    });
  }

  /** Where the value of a variable stands: among the axes, in the scale that is chosen, or among the variables. */
  private pathOf(name: string): Path {
    const { vars, scales } = this.grid;
    const scale = vars["scale"];
    const isScaled = typeof scale === "string" && scales[scale]?.[name] === this.values[name];
    return this.origins[name] ?? (isScaled ? ["scales", scale, name] : ["vars", name]);
  }

  /** The value of a variable as the file has it: names in it are replaced later, at each point. */
  asWritten(text: string, path: Path): Json {
    const name = text.slice(2, -1).trim();
    if (!Object.hasOwn(this.values, name)) return this.value(name, path);
    const value = this.values[name]!;
    return typeof value === "string" && /^\$\{[^{}]+\}$/.test(value) ? this.within(name, path, () => this.asWritten(value, path)) : value;
  }

  /** A step as the file has it. */
  templateOf(name: string): object {
    return this.grid.steps[name]!;
  }

  /** Whether a variable has this name. */
  has(name: string): boolean {
    return Object.hasOwn(this.values, name);
  }

  /** The spec that a step, or a variable, has at this point; null if there is none. */
  stepAt(name: string): NestedSpec | null {
    const spec = this.value(name, []);
    if (spec === null || (isRecord(spec) && typeof spec["step"] === "string")) return spec as unknown as NestedSpec | null;
    return fail(this.placeOf(["tables"]), `"${name}" is ${JSON.stringify(spec)}`, "a step, or a variable that holds one", "");
  }

  /** The spec of a step at this point; null if the template is skipped here. */
  specOf(name: string): NestedSpec | null {
    const known = this.specs.get(name) ?? this.memo.at(name, this.values) ?? this.read(name);
    this.specs.set(name, known);
    for (const one of known.reads) this.reads.add(one);
    return known.value;
  }

  /** The spec of a step with the variables that it reads. */
  private read(name: string): Reading<NestedSpec | null> {
    const before = this.reads;
    this.reads = new Set();
    try {
      const value = this.within(name, ["steps", name], () => this.newSpec(name));
      if (value) this.memo.names.set(value, name);
      return this.memo.keep(name, this.values, { value, reads: [...this.reads] });
    } finally {
      this.reads = before;
    }
  }

  private newSpec(name: string): NestedSpec | null {
    const { [UNLESS]: rules = [], ...template } = this.grid.steps[name]!;
    const skipped = (rules as Values[]).some((rule, i) => this.fits(rule, ["steps", name, UNLESS, i]));
    return skipped ? null : (this.filled(template, ["steps", name]) as unknown as NestedSpec);
  }

  /** The meaning of a name at this point: a variable, a field of a method's declaration, or the spec of a step. */
  value(name: string, path: Path): Json {
    this.reads.add(name);
    if (Object.hasOwn(this.values, name)) {
      const own = this.values[name]!;
      return this.memo.isPlain(own) ? own : this.within(name, path, () => this.filled(own, this.pathOf(name)));
    }
    if (Object.hasOwn(this.grid.steps, name)) return this.specOf(name) as unknown as Json;
    this.reads.add("method");
    const declared = this.declarations();
    if (Object.hasOwn(declared, name)) return declared[name]!;
    const known = [...Object.keys(this.values), ...Object.keys(this.grid.steps), ...Object.keys(declared)];
    const near = nearest(name, known);
    return fail(this.placeOf(path), `nothing is called "${name}"`, `one of ${known.join(", ")}`, near ? `Did you mean "${near}"?` : "");
  }

  /**
   * A value with every `${name}` replaced. A text that is only one name becomes the value of the name. Members without a value are left
   * out.
   */
  filled(value: Json, path: Path): Json {
    if (this.memo.isPlain(value)) return value;
    if (typeof value === "string") {
      const [, alone] = /^\$\{([^{}]*)\}$/.exec(value) ?? [];
      if (alone !== undefined) return this.value(alone.trim(), path);
      const rest = value.replaceAll(/\$\{([^{}]*)\}/g, "");
      if (rest.includes("${")) fail(this.placeOf(path), `a \${ without a name and a } in ${JSON.stringify(value)}`, "${NAME}", "");
      return value.replaceAll(/\$\{([^{}]*)\}/g, (_, name: string) => this.inText(name.trim(), path));
    }
    if (Array.isArray(value)) return value.map((one, i) => this.filled(one, [...path, i])).filter((one) => one !== null);
    if (!isRecord(value)) return value;
    const members = Object.entries(value).map(([key, one]) => [key, this.filled(one as Json, [...path, key])] as const);
    return Object.fromEntries(members.filter(([, one]) => one !== null));
  }

  private inText(name: string, path: Path): string {
    const value = this.value(name, path);
    if (typeof value === "object" && value !== null)
      fail(
        this.placeOf(path),
        `"${name}" inside a text`,
        "a text or a number",
        `Write \${${name}} alone where a list or a spec is wanted.`,
      );
    return textOf(value);
  }

  private declarations(): Declared {
    const method = this.values["method"];
    const place = (): string => this.placeOf(this.origins["method"] ?? ["vars", "method"]);
    const own = typeof method === "string" && !method.includes("${") ? placed(place, () => this.declared(method)) : {};
    return Object.fromEntries(Object.entries(own).map(([key, value]) => [`method.${key}`, value]));
  }

  /** Runs the work unless the name is being resolved already (a circle). */
  private within<T>(name: string, path: Path, work: () => T): T {
    if (this.open.includes(name))
      fail(this.placeOf(path), `"${name}" needs itself: ${[...this.open, name].join(" → ")}`, "a name that does not", "");
    this.open.push(name);
    try {
      return work();
    } finally {
      this.open.pop();
    }
  }
}

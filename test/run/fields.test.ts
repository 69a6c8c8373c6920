/** A field is declared once: its flag, its help, its place in JSON Schema and its key in JSON and YAML follow. */
import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { nameOnCommandLine, specFrom, withFields } from "../../src/cli/step-command.ts";
import * as field from "../../src/run/fields.ts";
import { steps } from "../../src/run/run.ts";
import { jsonSchemaOf, readValues, schemaOf, wantedOf } from "../../src/run/spec.ts";

/** A made-up step with a field of every kind. */
const brew = {
  name: "brew",
  doc: "Brews tea.",
  fields: {
    model: field.model("the kettle"),
    leaves: field.required(field.text("which leaves", { flag: { value: "<name>", short: "l" } })),
    strength: field.text("how strong it is", { choices: ["mild", "strong"], default: "mild" }),
    minutesLeft: field.number("minutes", { min: 1, max: 9, whole: true, default: 3, flag: { short: "m" } }),
    sugar: field.number("spoons", { flag: { name: "sweet", shown: "to taste" } }),
    milk: field.toggle("with milk"),
    guest: field.texts("a guest; may be given several times"),
    herbs: field.names("herbs, divided by commas", { default: [] }),
    cups: field.numbers("sizes of cups", { min: 0 }),
    set: field.map("a setting", { default: {} }),
    edit: field.edits("an edit on top"),
    after: field.pathOrSpec("what was brewed before", { flag: { value: "<pot>" } }),
    sorts: field.grouped("sorts of tea by group"),
    secret: field.text("for specs alone", { flag: false }),
  },
} as const;

/** What a command line gives, as its program parses it. */
function parsed(...args: string[]): field.NestedSpec {
  let spec: field.NestedSpec | undefined;
  const command = withFields(new Command("brew").argument("<MODEL>"), brew)
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .action((model: string, flags: Record<string, unknown>) => void (spec = specFrom(brew, flags, model)));
  command.parse(args, { from: "user" });
  return spec!;
}

const FULL = {
  step: "brew",
  model: "kettle",
  leaves: "oolong",
  strength: "strong",
  minutesLeft: 4,
  sugar: 0.5,
  milk: true,
  guest: ["a, b", "c"],
  herbs: ["mint", "sage", "thyme"],
  cups: [1, 2.5, 3],
  set: { lr: "1e-3", mode: "a=b" },
  edit: ["e1", "e2"],
  after: "pot",
  sorts: ["green=a", "b"],
};

describe("one declaration", () => {
  it("gives each field a flag, and the command line the spec", () => {
    const args = [
      "kettle",
      "-l",
      "oolong",
      "--strength",
      "strong",
      "-m",
      "4",
      "--sweet",
      "0.5",
      "--milk",
      "--guest",
      "a, b",
      "--guest",
      "c",
    ];
    const more = [
      "--herbs",
      "mint, sage",
      "--herbs",
      "thyme",
      "--cups",
      "1,2.5",
      "--cups",
      "3",
      "--set",
      "lr=1e-3",
      "--set",
      " mode = a=b ",
    ];
    expect(parsed(...args, ...more, "--edit", "e1", "-e", "e2", "--after", "pot", "--sorts", "green=a", "--sorts", "b")).toEqual(FULL);
  });

  it("leaves out what was not given, so that the same spec is written in one way", () => {
    const spec = parsed("kettle", "-l", "oolong");
    expect(spec).toEqual({ step: "brew", model: "kettle", leaves: "oolong", strength: "mild", minutesLeft: 3 });
    expect(readValues(brew.name, brew.fields, spec)).toEqual(
      readValues(brew.name, brew.fields, { step: "brew", model: "kettle", leaves: "oolong" }),
    );
  });

  it("gives help: flag, placeholder, sentence, choices and default", () => {
    const help = withFields(new Command("brew"), brew).helpInformation().replaceAll(/\s+/g, " ");
    for (const words of [
      "-l, --leaves <name> which leaves",
      '--strength <text> how strong it is (choices: "mild", "strong", default: "mild")',
      "-m, --minutes-left <n> minutes (default: 3)",
      "--sweet <n> spoons (to taste)",
      "--milk with milk",
      "--herbs <names> herbs",
      "--cups <n> sizes",
      "--set <key=value> a setting",
      "-e, --edit <file> an edit on top",
      "--after <pot> what was brewed before",
    ])
      expect(help).toContain(words);
    expect(help).not.toMatch(/secret|--model/);
  });

  it("refuses on the command line what the spec refuses", () => {
    for (const [args, message] of [
      [["-m", "0"], /Wanted a whole number from 1 to 9/],
      [["-m", "2.5"], /Wanted a whole number/],
      [["--cups", "1,-1"], /Wanted a number of at least 0/],
      [["--strength", "weak"], /Allowed choices are mild, strong/],
      [["--set", "lr"], /Wanted key=value/],
      [["--set", "=1"], /Wanted key=value/],
      [["--secret", "x"], /unknown option/],
    ] as const)
      expect(() => parsed("kettle", "-l", "x", ...args), args.join(" ")).toThrow(message);
  });

  it("names a field as the command line does where the error is for it", () => {
    const read = (spec: object): unknown =>
      readValues(brew.name, brew.fields, { step: "brew", model: "kettle", leaves: "x", ...spec }, nameOnCommandLine(brew));
    expect(() => read({ sugar: "two" })).toThrow(/--sweet is "two"; wanted a number\. spoons\./);
    expect(() => read({ minutesLeft: 10 })).toThrow(/--minutes-left is 10; wanted a whole number from 1 to 9/);
    expect(() => read({ secret: 1 })).toThrow(/secret is 1/);
    expect(() => read({ leaves: undefined })).toThrow(/no --leaves; wanted which leaves/);
  });

  it("reads the same values from YAML and from JSON", () => {
    const yaml = `
step: brew
model: { step: finetune, data: rows.jsonl }
leaves: oolong
minutesLeft: 4
milk: true
cups: [1, 2.5]
set: { lr: 1e-3 }
edit: [e1, { step: forget, model: kettle }]
after:
sorts: [green=a, { group: black, data: { step: select, data: b } }]
`;
    const json = {
      step: "brew",
      model: { step: "finetune", data: "rows.jsonl" },
      leaves: "oolong",
      minutesLeft: 4,
      milk: true,
      cups: [1, 2.5],
      set: { lr: 1e-3 },
      edit: ["e1", { step: "forget", model: "kettle" }],
      after: null,
      sorts: ["green=a", { group: "black", data: { step: "select", data: "b" } }],
    };
    const values = readValues(brew.name, brew.fields, parse(yaml) as Record<string, unknown>);
    expect(values).toEqual(readValues(brew.name, brew.fields, json));
    expect(values).toMatchObject({ strength: "mild", herbs: [], sugar: undefined, after: undefined });
    expect(Object.keys(values)).toEqual(Object.keys(brew.fields));
  });

  it("gives a JSON Schema: types, bounds, choices, defaults, what must be there, and nothing else", () => {
    const schema = jsonSchemaOf(brew.name, brew.fields) as {
      properties: Record<string, Record<string, unknown>>;
      required: string[];
      additionalProperties: boolean;
    };
    expect(Object.keys(schema.properties)).toEqual(["step", ...Object.keys(brew.fields)]);
    expect([...schema.required].sort()).toEqual(["leaves", "model", "step"]);
    expect(schema.additionalProperties).toBe(false);
    expect(schema.properties).toMatchObject({
      step: { const: "brew" },
      leaves: { type: "string", description: "which leaves" },
      strength: { enum: ["mild", "strong"], default: "mild" },
      minutesLeft: { type: "integer", minimum: 1, maximum: 9, default: 3 },
      sugar: { type: "number", description: "spoons" },
      milk: { type: "boolean", default: false },
      guest: { type: "array", items: { type: "string" } },
      cups: { type: "array", items: { type: "number", minimum: 0 } },
      set: { type: "object", default: {} },
      secret: { type: "string" },
    });
    expect(schema.properties["model"]).toMatchObject({ anyOf: [{ type: "string" }, { type: "object", required: ["step"] }] });
  });

  it("a field that is added appears everywhere, by its declaration alone", () => {
    const more = { ...brew, fields: { ...brew.fields, lemonSlices: field.number("slices of lemon", { min: 0, whole: true, default: 1 }) } };
    const command = withFields(new Command("brew").argument("<MODEL>"), more).exitOverride();
    let spec: field.NestedSpec | undefined;
    command.action((model: string, flags: Record<string, unknown>) => void (spec = specFrom(more, flags, model)));
    command.parse(["kettle", "-l", "x", "--lemon-slices", "2"], { from: "user" });
    expect(spec).toMatchObject({ lemonSlices: 2 });
    expect(command.helpInformation()).toMatch(/--lemon-slices <n>\s+slices of lemon \(default: 1\)/);
    expect(jsonSchemaOf("brew", more.fields)).toMatchObject({ properties: { lemonSlices: { type: "integer", minimum: 0, default: 1 } } });
    const read = (yaml: string): unknown =>
      readValues("brew", more.fields, parse(`step: brew\nmodel: k\nleaves: x\n${yaml}`) as object as never);
    expect(read("lemonSlices: 4")).toMatchObject({ lemonSlices: 4 });
    expect(read("")).toMatchObject({ lemonSlices: 1 });
    expect(() => read("lemonSlice: 4")).toThrow(/key "lemonSlice".*Did you mean "lemonSlices"/);
  });
});

describe("the real steps", () => {
  it.each(steps().map((step) => [step.name, step] as const))("%s: a flag for each field that wants one, once", (name, step) => {
    const command = withFields(new Command(name), step);
    const wanted = Object.entries(step.fields).filter(([, { flag }]) => flag !== false);
    expect(command.options.map((option) => option.long)).toEqual(wanted.map(([key, of]) => `--${field.flagName(key, of)}`));
    expect(new Set(command.options.map((option) => option.long)).size).toBe(command.options.length);
    const shorts = command.options.flatMap((option) => option.short ?? []);
    expect(new Set(shorts).size).toBe(shorts.length);
    for (const option of command.options) expect(option.description.length).toBeGreaterThan(5);
  });

  it.each(steps().map((step) => [step.name, step] as const))("%s: its defaults are values that it takes", (_, { name, fields }) => {
    for (const [key, of] of Object.entries(fields)) {
      if (of.default !== undefined) expect(schemaOf(of).safeParse(of.default).success, key).toBe(true);
      expect(wantedOf(of), key).toMatch(/\w/);
    }
    expect(jsonSchemaOf(name, fields)).toMatchObject({ type: "object", properties: { step: { const: name } } });
  });
});

/** What a trace found, as one SVG picture: a heat map of an answer, or bars by layer over many. */
import { inMarkup } from "../base/visible.ts";
import type { TraceRecord, TraceSetting, TraceStudy } from "../run/record.ts";

const INK = { page: "#fbfbf9", text: "#1c1f24", soft: "#6a6f78", line: "#dfe1e5", subject: "#b4552d", bar: "#9aa7b8" };
/** From nothing to the most; what is below nothing goes the other way. */
const [UP, DOWN] = [
  ["#f4f2ec", "#f0cfae", "#dd8a54", "#a8472a", "#5c1d16"],
  ["#f4f2ec", "#a9b8d2", "#4d6795"],
];

const at = (x: number): string => String(Math.round(x * 100) / 100);
const signed = (x: number): string => (Math.abs(x) < 5e-4 ? "0" : `${x > 0 ? "+" : "−"}${Math.abs(x).toFixed(Math.abs(x) < 0.1 ? 3 : 2)}`);
const chance = (p: number): string => (p >= 0.1 ? p.toFixed(2) : p.toPrecision(2));
const clipped = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/** A token as an axis can show it: its leading space goes, a line break is drawn. */
function shown(text: string): string {
  const drawn = text.replaceAll(/\r?\n/g, "↵").replaceAll("\t", "⇥");
  return clipped(drawn.trim() || "␣".repeat(drawn.length), 20);
}

/** The colour of a value between −most and most. */
function colour(value: number, most: number): string {
  const stops = value < 0 ? DOWN! : UP!;
  const x = Math.min(1, most > 0 ? Math.abs(value) / most : 0) * (stops.length - 1);
  const [low, part] = [Math.min(stops.length - 2, Math.floor(x)), x - Math.min(stops.length - 2, Math.floor(x))];
  const channel = (stop: string, i: number): number => Number.parseInt(stop.slice(1 + 2 * i, 3 + 2 * i), 16);
  const mixed = [0, 1, 2].map((i) => Math.round(channel(stops[low]!, i) * (1 - part) + channel(stops[low + 1]!, i) * part));
  return `#${mixed.map((c) => c.toString(16).padStart(2, "0")).join("")}`;
}

interface Words {
  readonly size?: number;
  readonly fill?: string;
  readonly anchor?: "start" | "middle" | "end";
  readonly weight?: number;
}

const words = (x: number, y: number, text: string, { size = 12, fill = INK.text, anchor = "start", weight = 400 }: Words = {}): string =>
  `<text x="${at(x)}" y="${at(y)}" font-size="${size}" fill="${fill}"${anchor === "start" ? "" : ` text-anchor="${anchor}"`}${weight === 400 ? "" : ` font-weight="${weight}"`}>${inMarkup(text)}</text>`;
const line = (x1: number, y1: number, x2: number, y2: number, stroke: string, width = 1): string =>
  `<line x1="${at(x1)}" y1="${at(y1)}" x2="${at(x2)}" y2="${at(y2)}" stroke="${stroke}" stroke-width="${width}"/>`;
const box = (x: number, y: number, w: number, h: number, fill: string, title = ""): string =>
  `<rect x="${at(x)}" y="${at(y)}" width="${at(w)}" height="${at(h)}" fill="${fill}"${title ? `><title>${inMarkup(title)}</title></rect>` : "/>"}`;

const page = (width: number, height: number, title: string, body: readonly string[]): string =>
  [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${at(width)} ${at(height)}" width="${at(width)}" height="${at(height)}" role="img" font-family="system-ui, sans-serif">`,
    `<title>${inMarkup(title)}</title>`,
    box(0, 0, width, height, INK.page),
    ...body,
    "</svg>",
    "",
  ].join("\n");

/** Blocks that are put back together at most: those of a window, or all that there are. */
const blocksOf = ({ window, layers }: { readonly window: number; readonly layers: number }): number => Math.min(window, layers);

/** What was put back, in words. */
function putBack({ kind, severed, ...of }: TraceSetting & { readonly layers: number }): string {
  const window = blocksOf(of);
  const what =
    kind === "hidden"
      ? "hidden states"
      : `${window === 1 ? "one" : `up to ${window}`} ${kind === "mlp" ? "MLP" : "attention"} output${window === 1 ? "" : "s"}`;
  return `${what}${severed ? `, ${severed === "mlp" ? "MLPs" : "attention"} above severed` : ""}`;
}

const drowned = ({ noise }: TraceSetting): string =>
  `noise of ${noise.times} σ of the embeddings, ${noise.samples} noise draw${noise.samples === 1 ? "" : "s"}`;

/** Layers that get a number on the axis. */
const ticks = (layers: number): number[] => {
  const step = layers <= 12 ? 1 : layers <= 60 ? 5 : 10;
  return Array.from({ length: layers }, (_, layer) => layer).filter((layer) => layer % step === 0);
};

const layerAxis = (left: number, y: number, cell: number, setting: TraceSetting & { readonly layers: number }): string[] => [
  ...ticks(setting.layers).map((layer) =>
    words(left + (layer + 0.5) * cell, y + 15, String(layer), { size: 11, fill: INK.soft, anchor: "middle" }),
  ),
  words(
    left + (setting.layers * cell) / 2,
    y + 34,
    blocksOf(setting) > 1 ? `layer in the middle of up to ${blocksOf(setting)} put back` : "layer put back",
    {
      anchor: "middle",
      fill: INK.soft,
    },
  ),
];

/** The scale of colours from the highest effect to the least, with numbers. */
function colourBar(
  x: number,
  top: number,
  height: number,
  { highest, least, most }: Record<"highest" | "least" | "most", number>,
): string[] {
  const span = Math.max(1e-12, highest - least);
  const steps = Array.from({ length: Math.ceil(height / 2) }, (_, i) => 2 * i);
  return [
    ...steps.map((y) => box(x, top + y, 14, Math.min(2.2, height - y), colour(highest - (span * (y + 1)) / height, most))),
    ...apart([highest, highest / 2, 0, least], span).map((mark) =>
      words(x + 20, top + (height * (highest - mark)) / span + 4, signed(mark), { size: 11, fill: INK.soft }),
    ),
  ];
}

/** Marks that do not stand on each other. */
const apart = (marks: readonly number[], span: number): number[] =>
  marks.filter((x, i) => marks.slice(0, i).every((y) => Math.abs(x - y) > 0.08 * span));

/** One answer: tokens down, layers across, the indirect effect as colour. */
export function traceMap(record: TraceRecord): string {
  const { answer, tokens, effects, layers } = record;
  const cell = Math.max(10, Math.min(24, 660 / layers));
  const [height, top] = [23, 96];
  const labels = tokens.map((t) => shown(t.text));
  const left = Math.max(96, 34 + 7.4 * Math.max(...labels.map((l) => l.length)));
  const [right, bottom] = [left + layers * cell, top + tokens.length * height];
  const most = Math.max(1e-12, ...effects.flat().map(Math.abs));
  const least = Math.min(0, ...effects.flat());
  const highest = Math.max(0, ...effects.flat());
  const what = answer.isChosen ? ", the token that hangs most on the subject," : "";
  const title = `What brings “${answer.token.trim()}”${what} back: ${putBack(record)}`;
  const lead = answer.lead.trim() ? ` ${answer.lead.trim()} …` : "";
  const width = Math.max(right + 96, 700);
  const room = Math.floor((width - 40) / 6.4);
  return page(width, bottom + 74, title, [
    words(20, 32, clipped(title, Math.floor((width - 40) / 9.2)), { size: 18, weight: 600 }),
    words(20, 54, clipped(`“${answer.prompt}”${lead}`, room), { fill: INK.soft }),
    words(
      20,
      73,
      clipped(`probability ${chance(answer.clean)}; ${chance(answer.corrupted)} with the subject in noise (${drowned(record)})`, room),
      { fill: INK.soft },
    ),
    ...tokens.map(({ isSubject }, i) =>
      words(left - 10, top + (i + 0.5) * height + 4, `${isSubject ? "● " : ""}${labels[i]!}`, {
        anchor: "end",
        ...(isSubject && { fill: INK.subject, weight: 600 }),
      }),
    ),
    ...effects.flatMap((own, i) =>
      own.map((effect, layer) =>
        box(
          left + layer * cell,
          top + i * height,
          cell - 0.8,
          height - 0.8,
          colour(effect, most),
          `${labels[i]!}, layer ${layer}: ${signed(effect)} (probability ${chance(Math.max(0, answer.corrupted + effect))})`,
        ),
      ),
    ),
    ...layerAxis(left, bottom, cell, record),
    ...colourBar(right + 22, top, Math.max(60, bottom - top), { highest, least, most }),
    words(
      20,
      bottom + 60,
      "● the subject's tokens, in noise. Colour: the mean change of the answer's probability when the state is put back.",
      {
        size: 11,
        fill: INK.soft,
      },
    ),
  ]);
}

/** Many answers: the average indirect effect at the subject's last token by layer, with the methods' own layers below. */
export function traceBars(study: TraceStudy): string {
  const { average, layers, facts, peak, defaults } = study;
  const cell = Math.max(12, Math.min(40, 660 / layers));
  const [left, top, tall] = [104, 96, 220];
  const [right, bottom] = [left + layers * cell, top + tall];
  const highest = Math.max(1e-12, ...average.map(({ effect, error }) => effect + error));
  const least = Math.min(0, ...average.map(({ effect, error }) => effect - error));
  const y = (value: number): number => top + (tall * (highest - value)) / (highest - least);
  const title = `What brings answers back at the subject's last token: ${putBack(study)}`;
  const width = Math.max(right + 40, 700);
  const clean = facts.reduce((s, f) => s + f.clean, 0) / facts.length;
  const low = facts.reduce((s, f) => s + f.corrupted, 0) / facts.length;
  const grid = apart([highest, highest / 2, 0, least], highest - least);
  const rows = defaults.map(({ method, layers: own }, i) => {
    const line = bottom + 56 + 18 * i;
    return [
      words(left - 10, line + 4, method, { size: 11, fill: INK.soft, anchor: "end" }),
      ...own.map((layer) => box(left + layer * cell + 1.5, line - 4, cell - 3, 8, INK.bar, `${method}: layer ${layer} by default`)),
    ];
  });
  return page(width, bottom + 84 + 18 * defaults.length, title, [
    words(20, 32, clipped(title, Math.floor((width - 40) / 9.2)), { size: 18, weight: 600 }),
    words(20, 54, `${facts.length} answer${facts.length === 1 ? "" : "s"}; largest at layer ${peak}: ${signed(average[peak]!.effect)}`, {
      fill: INK.soft,
    }),
    words(20, 73, `mean probability ${chance(clean)}; ${chance(low)} with the subject in noise (${drowned(study)})`, { fill: INK.soft }),
    ...grid.flatMap((value) => [
      line(left, y(value), right, y(value), INK.line),
      words(left - 10, y(value) + 4, signed(value), { size: 11, fill: INK.soft, anchor: "end" }),
    ]),
    ...average.flatMap(({ effect, error }, layer) => {
      const x = left + layer * cell;
      return [
        box(
          x + 1.5,
          y(Math.max(0, effect)),
          cell - 3,
          Math.abs(y(effect) - y(0)),
          layer === peak ? INK.subject : INK.bar,
          `layer ${layer}: ${signed(effect)} ± ${error.toFixed(3)}`,
        ),
        ...(error > 0 ? [line(x + cell / 2, y(effect + error), x + cell / 2, y(effect - error), INK.text)] : []),
      ];
    }),
    ...layerAxis(left, bottom, cell, study),
    ...rows.flat(),
    words(20, bottom + 66 + 18 * defaults.length, "Lines: ± one standard error. Below: the layers that methods change here by default.", {
      size: 11,
      fill: INK.soft,
    }),
  ]);
}

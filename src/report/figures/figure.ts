/** A figure's Vega-Lite spec, and the same figure as SVG and PNG. */
import { createRequire } from "node:module";
import { Resvg } from "@resvg/resvg-js";
import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import type { FigureRecord, GridRecord } from "../../run/grid/record.ts";
import { bars } from "./bars.ts";
import { frontier } from "./frontier.ts";
import { lines } from "./lines.ts";
import { radar } from "./radar.ts";
import { type Spec, tableOf } from "./spec.ts";

/** A figure in all its forms. */
export interface Drawn {
  readonly spec: Spec;
  readonly svg: string;
  /** In CSS pixels. */
  readonly width: number;
  readonly png: Uint8Array;
}

/** The Vega-Lite spec of a figure, with its data. */
export function specOf(figure: FigureRecord, record: GridRecord): Spec {
  const table = tableOf(record, figure);
  if (figure.kind === "bars") return bars(figure, table);
  if (figure.kind === "radar") return radar(figure, table);
  return figure.kind === "frontier" ? frontier(figure, table) : lines(figure);
}

/** Pixels of the PNG for each CSS pixel. */
const SCALE = 2;

/** Draws a figure. No browser is needed, and the bytes are the same on every machine. */
export async function draw(figure: FigureRecord, record: GridRecord): Promise<Drawn> {
  const spec = specOf(figure, record);
  const view = new View(parse(compile(spec as unknown as TopLevelSpec).spec), { renderer: "none" });
  try {
    const svg = plain(await view.toSVG());
    const png = new Resvg(svg, {
      fitTo: { mode: "zoom", value: SCALE },
      font: { loadSystemFonts: false, fontFiles: FONT_FILES.map(fontPath), defaultFontFamily: "DejaVu Sans" },
    }).render();
    return { spec, svg: `${svg}\n`, width: Math.round(png.width / SCALE), png: png.asPng() };
  } finally {
    view.finalize();
  }
}

/** The picture without Vega's roles: they name parts such as "rect mark container", which tell a listener nothing. */
const plain = (svg: string): string => svg.replaceAll(/<[^>]*>/g, (tag) => tag.replaceAll(/ (?:role|aria-[a-z]+)="[^"]*"/g, ""));

const FONT_FILES = ["DejaVuSans.ttf", "DejaVuSans-Bold.ttf"] as const;
/** A file of the font in its package. */
const fontPath = (name: string): string => createRequire(import.meta.url).resolve(`dejavu-fonts-ttf/ttf/${name}`);

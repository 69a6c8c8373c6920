/** Colours, shapes and fonts of reports, for light and dark pages. People with colour blindness can distinguish the colours. */

/** A colour on a light and on a dark page. */
export interface Shade {
  readonly light: string;
  readonly dark: string;
}

/** The colours of pages and figures by what they are for. Text has a contrast of at least 4.5 to the page. */
export const SHADES = {
  page: { light: "#ffffff", dark: "#14171b" },
  ink: { light: "#1b1e22", dark: "#e8eaed" },
  soft: { light: "#565d66", dark: "#a7aeb8" },
  line: { light: "#d5d9de", dark: "#3a4048" },
  mark: { light: "#f2f4f6", dark: "#1f242a" },
  link: { light: "#0b5c94", dark: "#7cc4f5" },
} as const satisfies Readonly<Record<string, Shade>>;

/**
 * The colours of series, in their order: after Okabe and Ito, and Tol, darker or lighter until each has a contrast of 3 to the page. Colours
 * start again after the last; shapes have another period, so that a pair does not come twice.
 */
export const SERIES: readonly Shade[] = [
  { light: "#0072b2", dark: "#56b4e9" },
  { light: "#c24e00", dark: "#ff9e5e" },
  { light: "#00795b", dark: "#3ccfa3" },
  { light: "#a0357a", dark: "#ef8fc4" },
  { light: "#7a5c00", dark: "#e3c43c" },
  { light: "#5d5fb3", dark: "#b3b5f7" },
  { light: "#60666d", dark: "#c3c8ce" },
];

/** The shapes of marks, and the dashes of lines, in the order of series. */
export const SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left"] as const;
export const DASHES: readonly (readonly number[])[] = [
  [1, 0],
  [6, 3],
  [2, 2],
  [8, 3, 2, 3],
  [12, 3],
];

/** The fonts of figures. The package ships the first, so that a picture has the same pixels on every machine. */
export const FONTS = "DejaVu Sans, Verdana, sans-serif";

/** A figure's colours as the variables of a page's style sheet: `var(--series-1)`. */
export function asVariables(svg: string): string {
  const names = new Map<string, string>([
    ...Object.entries(SHADES).map(([name, { light }]) => [light, `var(--${name})`] as const),
    ...SERIES.map(({ light }, i) => [light, `var(--series-${i + 1})`] as const),
  ]);
  return svg.replaceAll(/"(#[0-9a-f]{6})"/g, (whole, colour: string) => (names.has(colour) ? `"${names.get(colour)}"` : whole));
}

/** The variables of one theme. */
export const variablesOf = (theme: keyof Shade): string =>
  [
    ...Object.entries(SHADES).map(([name, shade]) => `--${name}:${shade[theme]}`),
    ...SERIES.map((shade, i) => `--series-${i + 1}:${shade[theme]}`),
  ].join(";");

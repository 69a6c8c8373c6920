/** Symbolic dimensions: a number, or a polynomial in named symbols written in one canonical way ("B", "2*T", "P+T"). */
import { fail } from "../base/fail.ts";

export type Dim = number | string;
export type Shape = readonly Dim[];
/** The value of each symbol in one run. */
export type Env = Readonly<Record<string, number>>;

type Poly = Map<string, number>; // monomial ("" for the constant, factors sorted and joined by "*") → coefficient

const parsed = new Map<Dim, Poly>(); // a pure function's memo

function parse(dim: Dim): Poly {
  const known = parsed.get(dim);
  if (known) return known;
  const poly: Poly = new Map();
  if (typeof dim === "number") poly.set("", dim);
  else
    for (const term of dim.split(/(?=[+-])/)) {
      const factors = term.replace(/^\+/, "").split("*");
      let coefficient = 1;
      const symbols: string[] = [];
      for (const factor of factors) {
        const number = Number(factor === "-" ? "-1" : factor);
        if (Number.isNaN(number)) {
          if (factor.startsWith("-")) coefficient = -coefficient;
          symbols.push(factor.replace(/^-/, ""));
        } else coefficient *= number;
      }
      const key = symbols.sort().join("*");
      poly.set(key, (poly.get(key) ?? 0) + coefficient);
    }
  parsed.set(dim, poly);
  return poly;
}

function format(poly: Poly): Dim {
  const terms = [...poly].filter(([, c]) => c !== 0).sort(([a], [b]) => (a === "" ? 1 : b === "" ? -1 : a < b ? -1 : 1));
  if (terms.length === 0) return 0;
  if (terms.length === 1 && terms[0]![0] === "") return terms[0]![1];
  return terms
    .map(([key, c], i) => {
      const sign = c < 0 ? "-" : i === 0 ? "" : "+";
      const size = Math.abs(c);
      return sign + (key === "" ? `${size}` : size === 1 ? key : `${size}*${key}`);
    })
    .join("");
}

/** a + b. */
export function addDim(a: Dim, b: Dim): Dim {
  if (typeof a === "number" && typeof b === "number") return a + b;
  const sum = new Map(parse(a));
  for (const [key, c] of parse(b)) sum.set(key, (sum.get(key) ?? 0) + c);
  return format(sum);
}

/** a − b. */
export const subDim = (a: Dim, b: Dim): Dim => addDim(a, mulDim(-1, b));

/** a · b. */
export function mulDim(a: Dim, b: Dim): Dim {
  if (typeof a === "number" && typeof b === "number") return a * b;
  const product: Poly = new Map();
  for (const [x, cx] of parse(a))
    for (const [y, cy] of parse(b)) {
      const key = [...x.split("*"), ...y.split("*")].filter(Boolean).sort().join("*");
      product.set(key, (product.get(key) ?? 0) + cx * cy);
    }
  return format(product);
}

/** The product of a shape. */
export const productDim = (shape: Shape): Dim => shape.reduce((a, b) => mulDim(a, b), 1 as Dim);

/** The value of a dimension for given symbols. */
export function evaluate(dim: Dim, env: Env): number {
  if (typeof dim === "number") return dim;
  let total = 0;
  for (const [key, c] of parse(dim)) {
    let term = c;
    for (const symbol of key === "" ? [] : key.split("*"))
      term *=
        env[symbol] ??
        fail("shape", `dimension "${dim}" needs "${symbol}"`, `one of ${Object.keys(env).join(", ") || "no symbols"}`, "", "internal");
    total += term;
  }
  return total;
}

/** Whether a dimension is a bare symbol, which an input's shape can bind. */
export const isSymbol = (dim: Dim): dim is string => typeof dim === "string" && /^[A-Za-z_]\w*$/.test(dim);

/** "[B, T, 576]". */
export const formatShape = (shape: Shape): string => `[${shape.join(", ")}]`;

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((d, i) => d === b[i]);

/** A dimension with symbols replaced by other dimensions; a symbol that is not named stays. */
export function substitute(dim: Dim, symbols: Readonly<Record<string, Dim>>): Dim {
  if (typeof dim === "number") return dim;
  let sum: Dim = 0;
  for (const [key, c] of parse(dim))
    sum = addDim(
      sum,
      key.split("*").reduce((product: Dim, symbol) => (symbol === "" ? product : mulDim(product, symbols[symbol] ?? symbol)), c),
    );
  return sum;
}

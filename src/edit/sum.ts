/** The changes that a sequence makes to one matrix, as one change. Each is added once. */
import { asFloats, type NdArray } from "../base/array.ts";
import { joined } from "../base/blocks.ts";
import { addOuters, changed, isWideWith, numbersOf } from "./apply.ts";
import type { Delta, Outer } from "./edit.ts";

/** A matrix's changes so far: the one change that they are together, and the matrix that this change gives, to the bit. */
export interface Sum {
  readonly delta: Delta;
  readonly matrix: NdArray;
}

/** A matrix's changes and one more. What was added before is not added again. */
export function added(sum: Sum | undefined, name: string, before: NdArray, delta: Delta): Sum {
  if (!sum) return "outer" in delta ? new Products(name, before, delta.outer) : new Whole(name, before, delta);
  if (!(sum instanceof Products && "outer" in delta)) return new Whole(name, before, wholeOf(name, sum.delta, delta));
  sum.add(delta.outer);
  return sum;
}

/** A difference or a value. */
export type WholeDelta = Exclude<Delta, { readonly outer: Outer }>;

/** A change that is kept in full. A later change is added to its numbers and rounded to the precision in which an edit keeps them. */
export class Whole implements Sum {
  readonly delta: WholeDelta;
  private readonly name: string;
  private readonly before: NdArray;
  private made: NdArray | undefined;

  constructor(name: string, before: NdArray, delta: WholeDelta) {
    [this.name, this.before, this.delta] = [name, before, delta];
  }

  get matrix(): NdArray {
    return (this.made ??= changed(this.name, this.before, this.delta));
  }
}

/** Two changes, at least one of them in full, as one. */
function wholeOf(name: string, a: Delta, b: Delta): WholeDelta {
  if ("value" in b) return b;
  if ("value" in a) return { value: changed(name, a.value, b) };
  if ("dense" in a) return { dense: changed(name, a.dense, b) };
  return { dense: changed(name, (b as { readonly dense: NdArray }).dense, a) };
}

/**
 * Outer products that are added to one matrix. They are added in float64, in the order in which they come, and the sum is rounded once,
 * however many they are. For that the matrix is held in float64 (8 bytes a number) as soon as somebody asks for it.
 *
 * The products stay factors, side by side, while these hold no more numbers than the matrix; this limit lies below the matrix's full rank.
 * Past it the change is one dense difference, rounded to the precision in which an edit keeps it. The matrix that this difference gives
 * differs from the matrix that the factors give by that rounding alone. The factors of a single draft stay factors, whatever their rank.
 */
class Products implements Sum {
  private readonly name: string;
  private readonly before: NdArray;
  /** Undefined where the change is a dense difference. */
  private factors: Outer[] | undefined = [];
  private rank = 0;
  private isWide: boolean;
  /** The matrix with the products so far, without those that wait to be added. */
  private numbers: Float64Array | undefined;
  private waiting: Outer[] = [];
  private made: NdArray | undefined;

  constructor(name: string, before: NdArray, first: Outer) {
    [this.name, this.before, this.isWide] = [name, before, isWideWith(before, [])];
    this.take(first);
  }

  add(outer: Outer): void {
    this.take(outer);
    const [rows, columns] = this.before.shape as [number, number];
    if (this.rank * (rows + columns) > rows * columns) this.factors = undefined;
  }

  get delta(): Delta {
    return this.factors ? { outer: stacked(this.factors) } : { dense: this.difference() };
  }

  get matrix(): NdArray {
    return (this.made ??= this.factors ? this.stored(this.total()) : changed(this.name, this.before, { dense: this.difference() }));
  }

  private take(outer: Outer): void {
    this.waiting.push(outer);
    this.factors?.push(outer);
    this.rank += outer[0].shape[1]!;
    this.isWide ||= isWideWith(this.before, outer);
    this.made = undefined;
  }

  private total(): Float64Array {
    this.numbers ??= numbersOf(this.before);
    addOuters(this.name, this.before.shape, this.numbers, this.waiting);
    this.waiting = [];
    return this.numbers;
  }

  private difference(): NdArray {
    const before = asFloats(this.before, this.before.dtype === "float64" ? "float64" : "float32").data;
    const out = this.total().slice();
    for (let i = 0; i < out.length; i++) out[i]! -= before[i]!;
    return this.stored(out);
  }

  /** Numbers in the precision in which an edit keeps them, as a copy. */
  private stored(numbers: Float64Array): NdArray {
    const { shape } = this.before;
    return this.isWide ? { dtype: "float64", shape, data: numbers.slice() } : { dtype: "float32", shape, data: Float32Array.from(numbers) };
  }
}

/** Products side by side as one: [L₁ L₂ …]·[R₁; R₂; …]. */
function stacked(factors: readonly Outer[]): Outer {
  const [first] = factors as [Outer];
  if (factors.length === 1) return first;
  const side = (which: 0 | 1): NdArray => {
    const own = factors.map((outer) => outer[which]);
    const dtype = own.some((a) => a.dtype === "float64") ? "float64" : "float32";
    return joined(
      own.map((a) => asFloats(a, dtype)),
      1 - which,
    );
  };
  return [side(0), side(1)];
}

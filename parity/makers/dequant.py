"""Makes parity/fixtures/dequant.json: raw GGUF blocks and the float32 values that the package `gguf` dequantises them to.

usage: python dequant.py OUT_FILE

Format: {"source": "gguf VERSION", "types": {NAME: {"id": the GGML type's number, "block": values a block, "bytes": bytes a block, "cases":
[{"kind": KIND, "raw": hex of whole blocks, "values": hex of little-endian float32}]}}}
  kind "quantised"  seeded normal numbers quantised by the package (F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1)
  kind "random"     seeded random bytes with the half-precision scales made finite (every quantised type): all bit patterns of the fields
  kind "edges"      scales at zero, at the smallest subnormal, at the largest finite half, and negative (every quantised type)
Every value is compared bit by bit, except that the sign of zero is free.
"""
import json
import sys
from importlib.metadata import version

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize

QUANTISED = [Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1]
# where the half-precision scales stand in a block
SCALES = {
    Type.Q8_0: [0], Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2],
    Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208],
}
EDGES = [0x0000, 0x8000, 0x0001, 0x7BFF, 0xFBFF, 0x83FF]  # 0, -0, smallest, largest, -largest, -largest subnormal


def case(kind: str, raw: np.ndarray, quant: Type) -> dict:
    with np.errstate(over="ignore"):
        values = dequantize(raw, quant).astype("<f4").reshape(-1)
    assert np.isfinite(values).all(), (quant, kind)
    return {"kind": kind, "raw": raw.tobytes().hex(), "values": values.tobytes().hex()}


def blocks(rng: np.random.Generator, quant: Type, scales: list[int]) -> np.ndarray:
    """One block of random bytes for every pattern of `scales`, which all half-precision fields of that block take."""
    raw = rng.integers(0, 256, (len(scales), GGML_QUANT_SIZES[quant][1]), dtype=np.uint8)
    for block, bits in zip(raw, scales):
        for at in SCALES[quant]:
            block[at : at + 2] = np.frombuffer(np.uint16(bits).tobytes(), np.uint8)
    return raw


def cases(rng: np.random.Generator, quant: Type) -> list[dict]:
    made = []
    if quant in QUANTISED:
        numbers = (rng.standard_normal((1, 96)) * 0.1).astype(np.float32)
        made.append(case("quantised", np.ascontiguousarray(quantize(numbers, quant)).view(np.uint8), quant))
    if quant in SCALES:
        large = GGML_QUANT_SIZES[quant][0] == 256
        usual = rng.standard_normal(2 if large else 6).astype(np.float16).view(np.uint16).tolist()
        made.append(case("random", blocks(rng, quant, usual), quant))
        made.append(case("edges", blocks(rng, quant, EDGES[1:4] if large else EDGES), quant))
    return made


def main(out: str) -> None:
    rng = np.random.default_rng(20)
    types = {
        quant.name: {"id": int(quant), "block": GGML_QUANT_SIZES[quant][0], "bytes": GGML_QUANT_SIZES[quant][1], "cases": cases(rng, quant)}
        for quant in sorted({*QUANTISED, *SCALES})
    }
    with open(out, "w") as file:
        json.dump({"source": f"gguf {version('gguf')}", "types": types}, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

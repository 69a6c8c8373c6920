"""Makes parity/fixtures/quant.json: float32 weights and the blocks that published quantisers make of them.

usage: python quant.py OUT_FILE GGML_LIBRARY

GGML_LIBRARY is a shared library of llama.cpp with `ggml_quantize_chunk`, such as libggml-base.so. Q8_0, Q4_0, Q4_1 and Q5_0 are made by the
package `gguf`, and the library must agree; Q4_K is made by the library, because the package has no such quantiser.

Format: {"source": "gguf VERSION", "cases": [{"kind": KIND, "values": base64 of little-endian float32, "blocks": {TYPE: base64}}]}
  kind "normal"  rows of normal numbers of several sizes
  kind "edges"   rows of zeros, of one value, of one sign, of one large value among small ones, of halves between two codes
"""
import base64
import ctypes
import json
import sys
from importlib.metadata import version

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Type
from gguf.quants import quantize

IN_PACKAGE = [Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0]


def by_library(library: ctypes.CDLL, rows: np.ndarray, quant: Type) -> bytes:
    chunk = library.ggml_quantize_chunk
    chunk.restype = ctypes.c_size_t
    chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
    block, size = GGML_QUANT_SIZES[quant]
    out = np.zeros(rows.size // block * size, np.uint8)
    chunk(int(quant), rows.ctypes.data, out.ctypes.data, 0, rows.shape[0], rows.shape[1], None)
    return out.tobytes()


def edges(rng: np.random.Generator) -> np.ndarray:
    one = np.zeros(256)
    one[77] = -3.0
    halves = (rng.integers(-254, 255, 256) / 2).astype(np.float64)
    halves[::32] = 127
    nibbles = (rng.integers(-16, 16, 256) / 2).astype(np.float64)
    nibbles[::32] = -8
    rows = [
        np.zeros(256),
        np.full(256, 0.25),
        np.full(256, -0.25),
        np.abs(rng.standard_normal(256)),
        -np.abs(rng.standard_normal(256)),
        one,
        rng.standard_normal(256) * 1e-3 + one * 100,
        halves,
        nibbles,
        rng.standard_normal(256) * 1e-7,
        np.repeat(rng.standard_normal(8), 32),
    ]
    return np.array(rows, dtype=np.float32)


def main(out: str, path: str) -> None:
    library = ctypes.CDLL(path)
    rng = np.random.default_rng(23)
    normal = (rng.standard_normal((12, 256)) * np.array([[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 0.03, 0.3]]).T).astype(np.float32)
    cases = []
    for kind, rows in [("normal", normal), ("edges", edges(rng))]:
        blocks = {Type.Q4_K.name: by_library(library, rows, Type.Q4_K)}
        for quant in IN_PACKAGE:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                made = np.ascontiguousarray(quantize(rows, quant)).tobytes()
            if made != by_library(library, rows, quant):
                each = 256 // GGML_QUANT_SIZES[quant][0] * GGML_QUANT_SIZES[quant][1]
                other = by_library(library, rows, quant)
                print(kind, quant.name, "differ in rows", [r for r in range(len(rows)) if made[r*each:(r+1)*each] != other[r*each:(r+1)*each]])
            blocks[quant.name] = made
        encoded = {name: base64.b64encode(raw).decode() for name, raw in blocks.items()}
        cases.append({"kind": kind, "values": base64.b64encode(rows.tobytes()).decode(), "blocks": encoded})
    with open(out, "w") as file:
        json.dump({"source": f"gguf {version('gguf')}", "cases": cases}, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

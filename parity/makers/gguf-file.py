"""Writes parity/fixtures/gguf.json: a small GGUF file made by gguf-py with its values as float32, and a SHA-256 over every dequantised
tensor of the shared model (float32, in name order, as stored).

Run: python -m venv .venv && .venv/bin/pip install gguf==0.19.0 && .venv/bin/python parity/makers/gguf-file.py
"""
import base64
import hashlib
import json
import pathlib
import tempfile

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize

rng = np.random.default_rng(4)
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "small.gguf"
    writer = gguf.GGUFWriter(str(path), "small")
    writer.add_string("test.text", "naïve ☂")
    writer.add_uint64("test.big", 2**40)
    writer.add_int32("test.negative", -5)
    writer.add_float32("test.third", 1 / 3)
    writer.add_bool("test.yes", True)
    writer.add_array("test.words", ["a", "", "ü"])
    writer.add_array("test.numbers", [1, -2, 3])
    writer.add_array("test.scores", [0.5, -1.25])
    tensors = {
        "f32": rng.normal(size=(3, 5)).astype(np.float32),
        "f16": rng.normal(size=(2, 3, 2)).astype(np.float16),
        "vector": rng.normal(size=7).astype(np.float32),
    }
    for name, value in tensors.items():
        writer.add_tensor(name, value)
    matrix = rng.normal(size=(4, 64)).astype(np.float32)
    expected = {name: base64.b64encode(value.astype(np.float32).tobytes()).decode() for name, value in tensors.items()}
    for kind in (T.Q8_0, T.Q4_1, T.BF16):
        packed = gguf.quants.quantize(matrix, kind)
        writer.add_tensor(f"matrix.{kind.name}", packed, raw_dtype=kind)
        expected[f"matrix.{kind.name}"] = base64.b64encode(dequantize(packed, kind).astype(np.float32).tobytes()).decode()
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    file = base64.b64encode(path.read_bytes()).decode()

root = pathlib.Path(__file__).resolve().parents[2]
sha = hashlib.sha256()
model = gguf.GGUFReader(str(root.parent / "shared/models/smollm2-135m-instruct/model.gguf"))
for tensor in sorted(model.tensors, key=lambda t: t.name):
    sha.update(np.ascontiguousarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32).tobytes())

out = root / "parity/fixtures/gguf.json"
out.parent.mkdir(exist_ok=True)
out.write_text(json.dumps({"file": file, "expected": expected, "model": sha.hexdigest()}, indent=1) + "\n")

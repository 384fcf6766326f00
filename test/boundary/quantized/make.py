"""Makes the files beside it: matrices of the golden llama3, quantised and packed by the formats' own packages.

    python make.py ../../golden/models/llama3

needs torch, transformers, safetensors, compressed-tensors, auto-gptq 0.7.1 and autoawq 0.2.9 (these two with --no-deps). Every folder gets the
tensors that stand in the place of the base's, the "quantization_config" that belongs to them, and logits of transformers
in fp32 on the weights as each package unpacks them again.
"""

import importlib.util
import json
import pathlib
import sys
import types

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.integrations.finegrained_fp8 import Fp8Quantize, _dequantize_fp8_weight

BASE = pathlib.Path(sys.argv[1])
HERE = pathlib.Path(__file__).parent
TOKENS = [600, 298, 260, 368, 11, 295]
MODULES = [f"model.layers.{l}.{m}" for l in (0, 1)
           for m in ("self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")]


def load_module(name, path):
    """One file of a package whose __init__ wants other versions of its friends."""
    root = next(p for p in map(pathlib.Path, sys.path) if (p / path).exists())
    spec = importlib.util.spec_from_file_location(name, root / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def grid(weight, bits, group, asymmetric):
    """Scales and zero points [N, groups] of round-to-nearest."""
    N, K = weight.shape
    w = weight.reshape(N, K // group, group)
    top = 2**bits - 1
    if asymmetric:
        low, high = w.amin(-1).clamp(max=0), w.amax(-1).clamp(min=0)
        scales = ((high - low) / top).half().float()
        zeros = (-low / scales).round().clamp(1, top)
    else:
        scales = (2 * w.abs().amax(-1) / top).half().float()
        zeros = torch.full_like(scales, 2 ** (bits - 1))
    return scales, zeros


def linear(weight):
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data = weight.clone()
    return layer


def gptq(weight, bits, group, asymmetric, order):
    qlinear = sys.modules.get("qlinear_cuda") or load_module("qlinear_cuda", "auto_gptq/nn_modules/qlinear/qlinear_cuda.py")
    N, K = weight.shape
    size = K if group == -1 else group
    place = torch.randperm(K) if order else torch.arange(K)
    g_idx = torch.empty(K, dtype=torch.int32)
    g_idx[place] = (torch.arange(K) // size).int()
    scales, zeros = grid(weight[:, place], bits, size, asymmetric)
    layer = qlinear.QuantLinear(bits, group, K, N, bias=False, weight_dtype=torch.float32)
    layer.autogptq_cuda_available = False
    layer.pack(linear(weight), scales, zeros.clone(), g_idx)
    back = layer(torch.eye(K)).T.contiguous()
    parts = {"qweight": layer.qweight, "qzeros": layer.qzeros, "scales": layer.scales.half(), "g_idx": layer.g_idx}
    return back, parts


def awq(weight, group):
    packing = sys.modules.get("packing") or load_module("packing", "awq/utils/packing_utils.py")
    for name in ("awq", "awq.utils", "awq.utils.module", "awq.utils.utils", "awq.utils.packing_utils"):
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["awq.utils.module"].try_import = lambda name: (None, "absent")
    sys.modules["awq.utils.utils"].get_best_device = lambda: "cpu"
    sys.modules["awq.utils.packing_utils"].dequantize_gemm = packing.dequantize_gemm
    gemm = sys.modules.get("gemm") or load_module("gemm", "awq/modules/linear/gemm.py")
    scales, zeros = grid(weight, 4, group, True)
    layer = gemm.WQLinear_GEMM.from_linear(linear(weight), 4, group, scales=scales.T.contiguous(), zeros=zeros.T.contiguous())
    back = packing.dequantize_gemm(layer.qweight, layer.qzeros, layer.scales.float(), 4, group).T.contiguous()
    return back, {"qweight": layer.qweight, "qzeros": layer.qzeros, "scales": layer.scales.half()}


def fp8(weight, block):
    config = types.SimpleNamespace(weight_block_size=block, scale_fmt="float")
    quantize = Fp8Quantize(types.SimpleNamespace(quantization_config=config))
    made = quantize.convert({"m.weight": weight})
    back = _dequantize_fp8_weight(made["m.weight"], made["m.weight_scale_inv"], block, torch.float32)
    return back, {
        "weight": made["m.weight"], "weight_scale_inv": made["m.weight_scale_inv"]}


def compressed(weight):
    """compressed-tensors: a scale for each row."""
    from compressed_tensors.quantization import QuantizationArgs, QuantizationStrategy, QuantizationType
    from compressed_tensors.quantization.lifecycle.forward import dequantize, quantize
    args = QuantizationArgs(num_bits=8, type=QuantizationType.FLOAT, strategy=QuantizationStrategy.CHANNEL, symmetric=True)
    scale = (weight.abs().amax(-1, keepdim=True) / 448).bfloat16()
    stored = quantize(weight, scale.float(), None, args, dtype=torch.float8_e4m3fn)
    return dequantize(stored, scale.float(), None, args, dtype=torch.float32), {"weight": stored, "weight_scale": scale}


def save(name, config, quantise):
    torch.manual_seed(0)
    base = {k: v.float() for k, v in load_file(BASE / "model.safetensors").items()}
    tensors = {}
    for module in MODULES:
        back, parts = quantise(base[f"{module}.weight"])
        base[f"{module}.weight"] = back.float()
        tensors |= {f"{module}.{part}": value.contiguous() for part, value in parts.items()}
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(BASE), attn_implementation="eager").float()
    model.load_state_dict(base)
    with torch.no_grad():
        logits = model(torch.tensor([TOKENS])).logits[0]
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "tensors.safetensors")
    save_file({"logits": logits.contiguous()}, folder / "expected.safetensors")
    (folder / "case.json").write_text(json.dumps({"tokens": TOKENS, "quantization_config": config}, indent=2) + "\n")


with torch.no_grad():
    save("fp8-blocks", {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [16, 32]},
         lambda w: fp8(w, [16, 32]))
    common = {"quant_method": "gptq", "sym": False, "checkpoint_format": "gptq"}
    save("gptq-4", common | {"bits": 4, "group_size": 32, "desc_act": False}, lambda w: gptq(w, 4, 32, True, False))
    save("gptq-4-order", common | {"bits": 4, "group_size": 32, "desc_act": True}, lambda w: gptq(w, 4, 32, True, True))
    save("gptq-8-whole", common | {"bits": 8, "group_size": -1, "sym": True}, lambda w: gptq(w, 8, -1, False, False))
    save("awq-4", {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm"},
         lambda w: awq(w, 32))
    save("fp8-rows", {"quant_method": "compressed-tensors", "format": "float-quantized", "quantization_status": "compressed"},
         compressed)

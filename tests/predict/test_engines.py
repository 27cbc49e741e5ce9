import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from ulens.errors import SettingError
from ulens.nets.build import NETWORKS
from ulens.nets.quantized import measure_inputs, quantize
from ulens.nets.unet import UNet
from ulens.predict import engines
from ulens.predict.engines import build_engine, choose_device, engines_here, has_fast_bf16

CPU = torch.device("cpu")
OPENVINO = "openvino-fp32" in engines_here(CPU)
needs_openvino = pytest.mark.skipif(not OPENVINO, reason="needs openvino; install ulens[fast]")


def make_net(name="unet", in_channels=1, **settings):
    torch.manual_seed(0)
    return NETWORKS[name](in_channels, 2, width=4, **settings).eval()


def without_native_bf16(monkeypatch):
    for check in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, check, raising=False)


@pytest.mark.parametrize("engine", engines_here(CPU))
def test_every_engine_computes_the_network(engine):
    net = make_net(depth=2)
    run = build_engine(engine, net, CPU, {"down.1.0": (0.0, 8.0), "up.0": (0.0, 8.0)})
    # several sizes: what is traced or compiled at one must hold at all
    for size in ((60, 60), (100, 64), (60, 60)):
        x = torch.randn(1, 1, *size, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            expected = net(x)
        found = run(x)
        assert found.dtype is torch.float32
        assert found.shape == expected.shape
        difference = (found - expected).abs().max() / expected.abs().max()
        assert difference < (1e-5 if engine.endswith("fp32") else 0.05)


@needs_openvino
@pytest.mark.parametrize(
    ("name", "settings", "size"),
    [("unet", {"depth": 1}, 24), ("sliding-window", {"window": 65}, 16), ("fcn-8s", {}, 1)],
)
def test_openvino_takes_every_network(name, settings, size):
    net = make_net(name, in_channels=3, **settings)
    side = net.geometry.input_size(size)
    x = torch.randn(1, 3, side, side)
    with torch.inference_mode():
        expected = net(x)
    found = build_engine("openvino-fp32", net, CPU)(x)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=0, atol=1e-4)


@needs_openvino
def test_8_bit_integers_compute_what_rounding_says(monkeypatch):
    """One convolution at a time: what is rounded differently behind it is no error of its own.

    A processor without VNNI adds products in 16 bits. Weights that took all of the 8 bits would
    saturate there, which changes the outputs as much as rounding itself.
    """
    without_native_bf16(monkeypatch)
    net = make_net(depth=2, negative_slope=0.01)
    x = torch.randn(1, 1, 100, 100, generator=torch.Generator().manual_seed(1))
    int8 = {name: (each.low, each.high) for name, each in measure_inputs(net, [x]).items()}
    assert len(int8) == 13
    with torch.inference_mode():
        exact = net(x)
        for name, ends in int8.items():
            rounded = quantize(net, {name: ends})(x)
            found = build_engine("openvino-int8", net, CPU, {name: ends})(x)
            assert (found - rounded).abs().mean() < 0.02 * (exact - rounded).abs().mean(), name


@needs_openvino
def test_the_engine_computes_in_8_bit_integers(monkeypatch):
    without_native_bf16(monkeypatch)
    net = make_net(depth=1, negative_slope=0.01)
    x = torch.randn(1, 1, 60, 60, generator=torch.Generator().manual_seed(1))
    int8 = {name: (each.low, each.high) for name, each in measure_inputs(net, [x]).items()}
    run = build_engine("openvino-int8", net, CPU, int8)
    run(x)
    (compiled,) = run._compiled.values()
    types = [
        node.get_rt_info()["runtimePrecision"].astype(str)
        for node in compiled.get_runtime_model().get_ops()
        if node.get_rt_info()["layerType"].astype(str) in ("Convolution", "Deconvolution")
    ]
    assert len(types) == 8
    assert types.count("u8") + types.count("i8") >= 7


@needs_openvino
def test_int8_needs_a_model_that_was_prepared_for_it():
    for net, int8 in ((make_net(depth=1), {}), (make_net("fcn-8s"), {"head": (0.0, 1.0)})):
        with pytest.raises(SettingError, match=r"no convolutions that 8-bit .* choose of fp32, "):
            build_engine("openvino-int8", net, CPU, int8)


@needs_openvino
def test_of_many_sizes_the_last_few_stay_compiled():
    run = build_engine("openvino-fp32", make_net(depth=1), CPU)
    for size in (20, 22, 24, 26, 28, 20):
        assert run(torch.zeros(1, 1, size, size)).shape == (1, 2, size - 16, size - 16)
    assert len(run._compiled) == engines._NUM_COMPILED


@needs_openvino
def test_openvino_tells_nobody_of_its_use():
    code = (
        "from ulens.predict.engines import import_openvino as go; go();"
        "from openvino.tools.ovc import telemetry_utils as t; print(t.tm.__name__)"
    )
    python = [sys.executable, "-c", code]
    found = subprocess.run(python, capture_output=True, text=True, check=True, env=os.environ)
    assert found.stdout.strip() == "openvino.tools.ovc.telemetry_stub"


def test_an_engine_that_is_not_here_is_named(monkeypatch):
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None)
    without_native_bf16(monkeypatch)
    assert engines_here(CPU) == ("fp32",)
    with pytest.raises(SettingError, match=r"'openvino-bf16'; this computer has fp32; install"):
        build_engine("openvino-bf16", make_net(depth=1), CPU)
    # asked for, it is emulated
    build_engine("bf16", make_net(depth=1), CPU)


def test_auto_device_prefers_the_accelerator(monkeypatch):
    for kind in ("cuda", "mps", "cpu"):
        monkeypatch.setattr(torch.cuda, "is_available", lambda kind=kind: kind == "cuda")
        monkeypatch.setattr(
            torch.backends.mps, "is_available", lambda kind=kind: kind in ("cuda", "mps")
        )
        assert choose_device("auto").type == kind


def test_without_native_bf16_there_is_no_bf16(monkeypatch):
    without_native_bf16(monkeypatch)
    assert not has_fast_bf16(CPU)
    assert engines.torch_engine(CPU) == "fp32"
    assert not any(name.endswith("bf16") for name in engines_here(CPU))


def test_the_network_is_copied():
    net = UNet(width=2, depth=1).train()
    run = build_engine("fp32", net, CPU)
    before = run(torch.ones(1, 1, 20, 20))
    with torch.no_grad():
        net.head.bias += 1
    assert torch.equal(run(torch.ones(1, 1, 20, 20)), before)
    assert net.training

"""The benchmarks run and print the announced tables; the figures themselves are not tested."""

from __future__ import annotations

import csv
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.faults
def test_train_step_prints_a_ratio_for_every_variant():
    words = ["benchmarks/train_step.py", "--rounds=3", "--only=steps_per_execution 20"]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    for variant in ("dense", "dense again", "stock tf-mot", "rst", "finetune"):
        assert f"\n{variant} " in done.stdout


@pytest.mark.slow
def test_masks_prints_time_and_memory_of_every_case():
    done = subprocess.run(
        [sys.executable, "benchmarks/masks.py", "--quick"], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "2.0 million weights in 54 kernels" in done.stdout
    for allocation in ("uniform", "erk", "global"):
        lines = [line for line in done.stdout.splitlines() if allocation in line.split()]
        assert len(lines) == 2 and all(line.count(" to ") == 3 for line in lines)


def test_the_kernels_of_the_masks_benchmark_are_those_of_resnet_50():
    code = (
        "import math, masks; shapes = masks.kernels(); "
        "print(len(shapes), sum(map(math.prod, shapes.values())), shapes['stage4_3_conv2/kernel'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "benchmarks", capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "54 25502912 (3, 3, 512, 512)\n", done.stderr


@pytest.mark.slow
def test_checkpoint_prints_bytes_time_and_ratio_of_every_network():
    done = subprocess.run(
        [sys.executable, "benchmarks/checkpoint.py", "--quick"], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    for name, weights in (("lenet_300_100", "266,610"), ("resnet20", "269,722")):
        (line,) = (line for line in done.stdout.splitlines() if name in line.split())
        assert weights in line and "%" in line and line.count(" to ") == 2


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_onednn_prints_a_ratio_for_every_network_precision_and_setting():
    words = ["benchmarks/onednn.py", "--rounds=3", "--networks=lenet5", "--batches=8", "--seconds=0.01"]
    words.append("--other=lenet_300_100")
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    rows = [line.split()[:3] for line in done.stdout.splitlines() if "lenet5" in line]
    assert rows == [["lenet5", "8", precision] for precision in ("float32", "mixed_bfloat16")]
    table = done.stdout.split("lenet_300_100, batch 64")[1].splitlines()
    assert [line.count(" to ") for line in table[2:]] == [2] * 8


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_inference_prints_a_speed_up_for_one_case_of_each_kind():
    done = subprocess.run(
        [sys.executable, "benchmarks/inference.py", "--quick"], cwd=ROOT, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if " to " in line and "%" in line]
    assert [line.split(",")[0].strip() for line in lines] == ["compact", "compact", "1x4 blocks", "packed"]
    assert "of the bound" in lines[-1] and all("of the bytes" in line for line in lines[:-1])


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_sweep_prints_what_a_backend_loses_and_what_sharing_saves():
    done = subprocess.run(
        [sys.executable, "benchmarks/sweep.py", "--quick"], cwd=ROOT, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    (local,) = (line for line in lines if line.split()[:2] == ["local", "2"])
    assert local.count(" s") == 2 and local.count(" to ") == 2 and local.endswith("MB")
    assert any(line.startswith("limit, 2 such sweeps beside each other: ") for line in lines)
    assert any("one per run" in line for line in lines) and any("shared" in line for line in lines)
    assert re.fullmatch(r"all methods on digits: [\d,]+ images, [\d,]+ of them \(\d\.\d%\) in trainings .*", lines[-1])


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_compact_finetune_prints_the_gain_of_every_network():
    words = ["benchmarks/compact_finetune.py", "--rounds=3", "--burst=1", "--width=.1", "--batch_size=2"]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if re.search(r"\d to \d", line)]
    assert [line.split("  ")[0] for line in rows] == ["masked", "masked again", "compact"] * 2
    assert done.stdout.count(" weights; ") == 2


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_scaling_prints_a_speed_and_a_difference_for_every_strategy():
    done = subprocess.run(
        [sys.executable, "benchmarks/scaling.py", "--quick"], cwd=ROOT, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if " to " in line]
    assert [line[:2] for line in lines] == [
        ["one_device", "1"],
        ["mirrored", "2"],
        ["mirrored", "4"],
        ["multi_worker", "2"],
    ]
    assert all(float(line[-1]) < 1e-14 and float(line[-2]) < 1e-5 for line in lines)
    assert float(lines[0][-1]) == 0 < float(lines[1][-1])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_precision_prints_the_time_of_a_step_in_both_precisions():
    done = subprocess.run(
        [sys.executable, "benchmarks/precision.py", "--quick"], cwd=ROOT, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.count(" to ") == 2]
    assert [re.search(r"(mixed_bfloat16|float32( again)?) ", row)[1] for row in rows] == [
        "float32",
        "float32 again",
        "mixed_bfloat16",
    ]
    assert done.stdout.startswith("bfloat16 in hardware: ") and "not measured without --data_dir" in done.stdout


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_accuracy_and_speed_puts_every_method_of_a_sweep_into_a_table_and_a_picture(tmp_path):
    flags = [
        "--dataset=digits",
        "--model=lenet5",
        "--epochs=1",
        "--penalty_step=.1",
        "--penalty_every=1",
        "--hold_steps=1",
        "--verbosity=0",
    ]
    grid = [
        "--methods=dense,rst",
        "--sparsities=.5",
        "--seeds=0",
        "--granularity=filter",
        f"--sweep_dir={tmp_path / 'sweep'}",
    ]
    subprocess.run(
        [sys.executable, "-m", "dlth_tf.sweep", *flags, *grid], cwd=ROOT, capture_output=True, check=True, timeout=300
    )
    words = [
        "benchmarks/accuracy_and_speed.py",
        f"--sweeps={tmp_path / 'sweep'}",
        f"--out={tmp_path / 'out'}",
        "--rounds=3",
    ]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "out/table.csv") as file:
        dense, rst = csv.DictReader(file)
    assert (dense["what"], rst["what"], rst["form"]) == ("dense", "rst, filters", "compact")
    assert int(rst["bytes"]) < int(dense["bytes"]) and int(rst["multiply-adds"]) < int(dense["multiply-adds"])
    assert (tmp_path / "out/accuracy_vs_latency.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_constant_channels_prints_both_ways_for_every_runtime():
    words = ["benchmarks/constant_channels.py", "--rounds=3", "--network=resnet8", "--filters="]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    for runtime in ("TensorFlow", "LiteRT", "onnxruntime"):
        (line,) = (line for line in done.stdout.splitlines() if runtime in line.split())
        assert len(line.split()) == 5


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_constant_channels_prints_where_a_map_is_faster_for_every_runtime():
    words = ["benchmarks/constant_channels.py", "--rounds=3", "--network=resnet8", "--filters=7,8"]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    for runtime in ("TensorFlow", "LiteRT", "onnxruntime"):
        (line,) = (line for line in done.stdout.splitlines() if runtime in line.split() and " (" in line)
        assert line.count(" (") == 2


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_compact_memory_prints_both_ways_for_every_size():
    words = ["benchmarks/compact_memory.py", "--megabytes=5,20", "--rounds=1"]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    memory, first = (line for line in done.stdout.splitlines() if line.split()[:1] == ["20"])
    _, constants, variables = (float(number) for number in re.findall(r"([\d.]+) x", memory))
    assert variables <= 3 < constants and re.search(r" variables +[\d.]+ \([\d.]+ to [\d.]+\)$", first)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_keras3_step_prints_a_ratio_for_every_variant(backend):
    pytest.importorskip(backend)
    words = ["benchmarks/keras3_step.py", "--rounds=3", "--only=mlp", f"--backends={backend}"]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    for variant in ("dense", "dense again", "rst", "finetune"):
        assert f"\n{variant} " in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_pytorch_step_prints_a_ratio_for_every_framework():
    words = ["benchmarks/pytorch_step.py", "--rounds=3", "--batch_size=4", "--burst=1"]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    for step in ("dense", "rst"):
        rows = [line.split() for line in done.stdout.splitlines() if line.split()[:1] == [step]]
        assert [row[1] for row in rows] == 2 * ["dlth_tf", "PyTorch", "PyTorch"]
        assert rows[0][3] == rows[3][3] == "1.00"


@pytest.mark.slow
def test_the_multiply_adds_of_the_pytorch_benchmark_are_those_of_its_network():
    code = (
        "import pytorch_step, train_step; from dlth_tf.masking.macs import kernel_positions; "
        "model = train_step.resnet20(); sizes = {w.name.split(':')[0]: w.shape.num_elements() for w in model.weights}; "
        "positions = kernel_positions(model, (32, 32, 3)); "
        "print(pytorch_step.MACS, sum(sizes[name] * count for name, count in positions.items()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "benchmarks", capture_output=True, text=True, timeout=120
    )
    stated, counted = done.stdout.split()
    assert stated == counted, done.stderr


def test_results_keep_the_sections_of_other_benchmarks(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("bench", ROOT / "scripts" / "bench.py")
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    (tmp_path / "benchmarks").mkdir()
    for name in ("quick", "broken", "other"):
        (tmp_path / "benchmarks" / f"{name}.py").write_text(
            "raise SystemExit(3)" if name == "broken" else f"print('{name} 1')"
        )
    monkeypatch.setattr(bench, "FOLDER", tmp_path / "benchmarks")
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "benchmarks" / "RESULTS.md")
    assert bench.main(["quick", "other"]) == 0
    before = bench.sections(bench.RESULTS.read_text())
    (tmp_path / "benchmarks" / "quick.py").write_text("print('quick 2')")
    assert bench.main([]) == 1  # broken
    after = bench.sections(bench.RESULTS.read_text())
    assert list(before) == list(after) == ["other", "quick"]
    assert "quick 1" in before["quick"] and "quick 2" in after["quick"] and before["other"] == after["other"]
    assert "cores" in after["quick"] and "tensorflow 2." in after["quick"]
    with pytest.raises(SystemExit, match="no benchmark fast: there are broken, other, quick"):
        bench.main(["fast"])

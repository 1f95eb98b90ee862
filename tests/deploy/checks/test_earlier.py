"""An export that is as it was written passes its check; a changed one does not, and is not run."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import dlth_tf
import dlth_tf.export as command
from dlth_tf import files
from dlth_tf.commands import BAD_INPUT, DONE, FAILED, run_command
from dlth_tf.deploy.checks import verification
from dlth_tf.deploy.checks.earlier import check_export
from dlth_tf.deploy.checks.probe import parse_probe
from dlth_tf.errors import BadInput
from tests.deploy.conftest import checked_here as checked_here
from tests.deploy.conftest import checks_in_this_process
from tests.deploy.test_export import network
from tests.runs.tiny import as_flags

pytestmark = pytest.mark.usefixtures("checked_here")
FORMS = ("plain", "packed", "tflite_float32")


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    with checks_in_this_process(folder):
        dlth_tf.export(network(), folder / "out", formats=FORMS, measure_latency=False)
    return folder / "out"


@pytest.fixture
def out(written, tmp_path) -> Path:
    return shutil.copytree(written, tmp_path / "out")


def test_an_export_is_as_it_was_written(out, capsys):
    assert run_command("dlth_tf.export", command.main, ["--check", os.fspath(out)]) == DONE
    said = capsys.readouterr()
    assert said.err == ""
    lines = [line.removeprefix(f"{out}/") for line in said.out.splitlines()]
    assert [line.split(":")[0] for line in lines] == [*FORMS[:2], "tflite_float32"]
    assert lines[0].startswith("plain: 4 files as recorded; outputs differ by at most ")


@pytest.mark.slow
def test_a_form_of_an_earlier_export_is_checked_too_unless_its_probe_is_gone(tmp_path):
    model = network()
    for formats, batch in ((["plain"], None), (["packed"], None), (["compact"], 1)):
        dlth_tf.export(model, tmp_path, formats=formats, batch=batch, measure_latency=False)
        passed = check_export(tmp_path).passed
    assert len(passed) == 3 and all("it was not run" in line for line in passed[:2])
    assert passed[2].startswith("compact: 4 files as recorded; outputs differ")


def nothing(out: Path, path: str) -> None:
    (out / path).unlink()


def flipped(out: Path, path: str) -> None:
    data = bytearray((out / path).read_bytes())
    data[len(data) // 2] ^= 1
    (out / path).write_bytes(data)


def linked(out: Path, path: str) -> None:
    shutil.move(out / path, out.parent / "elsewhere")
    (out / path).symlink_to(out.parent / "elsewhere")


@pytest.mark.parametrize(
    ("change", "path", "line"),
    [
        (nothing, "packed/saved_model.pb", "packed/saved_model.pb: missing"),
        (flipped, "plain/variables/variables.index", "plain/variables/variables.index: not as recorded in export.json"),
        (flipped, "tflite_float32/float32.tflite", "tflite_float32/float32.tflite: not as recorded in export.json"),
        (flipped, "probe.npz", "probe.npz: not as recorded in export.json"),
        (linked, "plain/saved_model.pb", "plain/saved_model.pb: a link, which is not followed"),
        (linked, "plain/variables", "plain/variables/variables.index: a link, which is not followed"),
        (lambda out, path: (out / path).write_text("x"), "plain/more", "plain/more: is not recorded in export.json"),
        (lambda out, path: (out / path).symlink_to("/etc"), "plain/etc", "plain/etc: is not recorded in export.json"),
        (lambda out, path: (out / path).write_text("x" * 10**6), "packed/saved_model.pb", "packed/saved_model.pb: not"),
    ],
)
def test_a_changed_file_is_named_and_nothing_is_run(out, change, path, line, capsys, monkeypatch):
    change(out, path)
    monkeypatch.setattr(verification, "in_a_fresh_process", pytest.fail)
    assert run_command("dlth_tf.export", command.main, as_flags(check=out)) == FAILED
    said = capsys.readouterr()
    assert said.out == "" and f"dlth_tf.export: {out}/{line}" in said.err and "Traceback" not in said.err


def test_a_form_that_is_not_recorded_is_named(out, capsys):
    shutil.copytree(out / "plain", out / "compact")
    assert run_command("dlth_tf.export", command.main, as_flags(check=out)) == FAILED
    assert f"dlth_tf.export: {out}/compact: is not recorded in export.json\n" in capsys.readouterr().err


def forged(out: Path, probe: bytes) -> None:
    """Replaces the probe, together with its checksum."""
    (out / "probe.npz").write_bytes(probe)
    report = json.loads((out / "export.json").read_text())
    report["probe"] |= {"bytes": len(probe), "sha256": files.sha256(probe)}
    (out / "export.json").write_text(json.dumps(report))


def test_other_outputs_are_found(out, capsys):
    arrays = parse_probe((out / "probe.npz").read_bytes())
    forged(out, files.npz_bytes({**arrays, "output/logits": arrays["output/logits"] + np.float32(1e-3)}))
    assert run_command("dlth_tf.export", command.main, as_flags(check=out)) == FAILED
    said = capsys.readouterr()
    assert "/plain: the export's logits differ from the model's by 0.001" in said.err
    assert "packed: 4 files as recorded; outputs differ by at most 0.001" in said.out
    forged(out, files.npz_bytes({**arrays, "input/other": arrays["input/images"]}))
    assert "plain: cannot be run" in check_export(out).failed[0]


def named(report: dict, name: str, **facts: object) -> dict:
    return report | {"forms": {name: report["forms"]["plain"] | facts}}


FILE = {"bytes": 1, "sha256": "x"}


@pytest.mark.parametrize(
    "change",
    [
        lambda report: {},
        lambda report: report | {"forms": {}},
        lambda report: report | {"forms": [1]},
        lambda report: report | {"probe": {"sha256": 3}},
        lambda report: report | {"probe": {"sha256": "x", "bytes": 2**30}},
        lambda report: named(report, "../plain"),
        lambda report: named(report, "plain/../../x"),
        lambda report: named(report, "other"),
        lambda report: named(report, "plain", files={"../../../etc/hosts": FILE}),
        lambda report: named(report, "plain", files={"/etc/hosts": FILE}),
        lambda report: named(report, "plain", files={"a\x1b[2J": FILE}),
        lambda report: named(report, "plain", files={"a": {"bytes": 10**30, "sha256": "x"}}),
        lambda report: named(report, "plain", files={}),
        lambda report: named(report, "plain", probe_tolerance=True),
        lambda report: named(report, "plain", kind="tflite"),
        lambda report: named(report, "plain", kind=None),
    ],
)
def test_a_report_that_leads_elsewhere_or_is_none_is_refused(out, change, monkeypatch):
    report = json.loads((out / "export.json").read_text())
    (out / "export.json").write_text(json.dumps(change(report)))
    monkeypatch.setattr(verification, "in_a_fresh_process", pytest.fail)
    with pytest.raises(BadInput, match=r"check=.*: its export.json does not describe"):
        check_export(out)


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--check=nowhere"], "--check=nowhere: is not an export (there is no such folder)"),
        (["--check=."], "--check=.: is not an export (it has no export.json)"),
        (["--check=.", "--run_dir=x", "--seed=1"], "--check=.: cannot be combined with --run_dir, --seed"),
    ],
)
def test_what_cannot_be_checked_is_one_line(flags, line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_command("dlth_tf.export", command.main, flags) == BAD_INPUT
    assert capsys.readouterr().err == f"dlth_tf.export: {line}\n"

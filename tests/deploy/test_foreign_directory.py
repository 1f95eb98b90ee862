"""Exports into a directory of somebody else, or onto a full disk: whole or not at all, in one line."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

import dlth_tf
from dlth_tf.deploy import atomic_folder, verified_forms
from dlth_tf.deploy.report.tables import show
from dlth_tf.errors import BadInput
from tests.deploy.test_export import FAST, named
from tests.deploy.test_export import model as model

pytestmark = pytest.mark.usefixtures("checked_here")
ERRORS = [
    tf.errors.OutOfRangeError(None, None, "{{function_node __wrapped__SaveV2}} disk\nfull"),
    tf.errors.ResourceExhaustedError(None, None, "No space left on device"),
    OSError(28, "No space left on device"),
    OSError(30, "Read-only file system"),
]


@pytest.mark.fast_cases(
    "dlth_tf.deploy.verified_forms-write_forms-ResourceExhaustedError", "dlth_tf.deploy.atomic_folder-publish-OSError0"
)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(("module", "step"), [(verified_forms, "write_forms"), (atomic_folder, "publish")])
def test_a_disk_that_is_full_leaves_the_earlier_export_and_one_line(model, tmp_path, monkeypatch, module, step, error):
    dlth_tf.export(model, tmp_path / "out", **FAST)
    before = named(tmp_path)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(module, step, fail)
    with pytest.raises(BadInput, match=r"export_dir=.*: cannot be written to \(.*\)$") as refused:
        dlth_tf.export(model, tmp_path / "out", overwrite=True, **FAST)
    assert "\n" not in str(refused.value) and "function_node" not in str(refused.value)
    assert named(tmp_path) == before


def changed(report: dict[str, Any], **facts: Any) -> str:
    forms = dict.fromkeys(("packed", "tflite/float32", "\x1b[2J", "../x"), report["forms"]["plain"] | facts)
    return json.dumps(report | {"forms": forms})


@pytest.mark.timeout(120)
@pytest.mark.slow
def test_an_earlier_report_that_is_not_one_is_left_out_and_a_good_one_is_kept(model, tmp_path, capsys):
    report = dlth_tf.export(model, tmp_path / "out", **FAST)
    path = tmp_path / "out" / "export.json"
    contents = [
        "[" * 200_000,
        "{}",
        '{"forms": {}}',
        json.dumps(report | {"forms": [1]}),
        json.dumps(report | {"forms": {"packed": {}}}),
        changed(report, multiply_adds="x"),
        changed(report, notes=["\x1b[2J"]),
        changed(report, latency={"1": {}}),
        changed(report, bytes=None),
        changed(report, files=None),
    ]
    for content in contents:
        path.write_text(content)
        again = dlth_tf.export(model, tmp_path / "out", overwrite=True, **FAST)
        assert list(again["forms"]) == ["plain"]
        show(again)
    path.unlink()
    os.mkfifo(path)
    assert list(dlth_tf.export(model, tmp_path / "out", overwrite=True, **FAST)["forms"]) == ["plain"]
    path.write_text(changed(report))
    kept = dlth_tf.export(model, tmp_path / "out", overwrite=True, **FAST)["forms"]
    assert list(kept) == ["plain", "packed", "tflite/float32"]
    assert "\x1b[2J" not in capsys.readouterr().out


def test_a_link_in_the_place_of_a_form_is_replaced(model, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "mine").mkdir()
    for target in ("mine", "nothing"):
        (tmp_path / "out" / "plain").symlink_to(tmp_path / target)
        dlth_tf.export(model, tmp_path / "out", overwrite=True, **FAST)
        assert not (tmp_path / "out" / "plain").is_symlink() and (tmp_path / "out" / "plain").is_dir()
        assert not list((tmp_path / "mine").iterdir()) and not (tmp_path / "nothing").exists()
        shutil.rmtree(tmp_path / "out" / "plain")

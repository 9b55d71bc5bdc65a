"""Runs what the pages show to be copied, in a project of the custom class: test_pages.py puts it there."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from custom_xcom import pull, push, reference
from dag_runs import referred, run_dag


def test_many_files_are_counted_and_each_count_is_an_object(set_threshold: Any) -> None:
    set_threshold(1000)
    run = run_dag("many_files")
    assert run.state == "success"
    assert run.row("return_value", "add_up") == 3000
    assert all(referred(run.rows()["count_words", index, "return_value"]) for index in range(3))


def test_many_files_map_over_a_list_that_is_in_the_store(set_threshold: Any) -> None:
    set_threshold(0)
    run = run_dag("many_files")
    assert run.state == "success"
    assert referred(run.row("return_value", "list_files"))


def test_the_codec_brings_a_network_back(configure: Any) -> None:
    configure(codecs="include.my_codecs.NetworkCodec")
    row = push(ipaddress.ip_network("10.0.0.0/8"))
    assert reference(row)["paths"][0].endswith(".net.txt")
    assert pull(row) == ipaddress.ip_network("10.0.0.0/8")


def test_the_type_of_its_own_comes_back(configure: Any) -> None:
    from include.my_types import Interval

    pulled = pull(push(Interval(1, 2)))
    assert (pulled.start, pulled.end) == (1, 2)


def test_old_rows_are_read_and_new_ones_too(configure: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas as pd

    from include import old_xcoms

    frame = pd.DataFrame({"city": ["Bern", "Oslo"], "amount": [1, 2]})
    frame.to_csv(tmp_path / "data_1.csv", index=False)
    monkeypatch.setattr(old_xcoms, "OLD_STORE", f"file://{tmp_path}")
    old = SimpleNamespace(value="xcom_s3://my-old-bucket/data_1.csv")
    pd.testing.assert_frame_equal(old_xcoms.XComBackend.deserialize_value(old), frame)
    new = SimpleNamespace(value=json.loads(json.dumps(push({"a": 23}))))
    assert old_xcoms.XComBackend.deserialize_value(new) == {"a": 23}

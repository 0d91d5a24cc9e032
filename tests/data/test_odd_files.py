"""Files with odd columns, values or neighbours: read right, or refused with a name."""

import json
from decimal import Decimal

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest

from data.importing.options import ReadOptions
from data.problems import read_problems
from rewards.errors import InputError
from tests.helpers.containers import jsonl

PLAIN = [{"problem": "1+1?", "gold": "2"}]


def csv_with_repeats(folder, names, values):
    path = folder / "a.csv"
    path.write_text(",".join(names) + "\n" + ",".join(values) + "\n")
    return path


def parquet_with_repeats(folder, names, values):
    path = folder / "a.parquet"
    table = pyarrow.Table.from_arrays([pyarrow.array([value]) for value in values], names=names)
    pyarrow.parquet.write_table(table, path)
    return path


def arrow_with_repeats(folder, names, values):
    path = folder / "a.arrow"
    table = pyarrow.Table.from_arrays([pyarrow.array([value]) for value in values], names=names)
    with pyarrow.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)
    return path


@pytest.mark.parametrize("container", [csv_with_repeats, parquet_with_repeats, arrow_with_repeats])
@pytest.mark.parametrize("second", ["answer", "Answer"])
def test_two_columns_of_one_name_are_refused(tmp_path, container, second):
    path = container(tmp_path, ["problem", "answer", second], ["1+1?", "2", "3"])
    with pytest.raises(InputError, match=r"answer'.*two columns"):
        read_problems(path)


def test_a_column_that_is_there_twice_with_one_value_is_read(tmp_path):
    path = jsonl(tmp_path, [{"problem": "1+1?", "answer": "2", "Answer": "2"}])
    assert read_problems(path)[0].gold == "2"


@pytest.mark.parametrize("column", ["problem", "answer", "note"])
def test_half_of_a_surrogate_pair_is_a_bad_row(tmp_path, column):
    path = tmp_path / "a.jsonl"
    bad = {"problem": "2+2?", "answer": "4", "note": "x"} | {column: "half \ud800"}
    path.write_text(json.dumps({"problem": "1+1?", "answer": "2"}) + "\n" + json.dumps(bad) + "\n")
    with pytest.raises(InputError, match=f"row 2, field '{column}': holds half of a surrogate pair"):
        read_problems(path)
    assert len(read_problems(path, ReadOptions(bad_rows="drop"))) == 1


@pytest.mark.parametrize(("gold", "read"), [("2.50", "2.5"), ("7.00", "7"), ("12345678901234567890", None), ("0", "0")])
def test_a_decimal_of_a_database_is_a_gold(tmp_path, gold, read):
    table = pyarrow.table({"problem": ["x?"], "answer": pyarrow.array([Decimal(gold)])})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert read_problems(tmp_path / "a.parquet")[0].gold == (read or gold)


@pytest.mark.parametrize("name", ["b.jsonl.bz2", "b.csv.XZ", "b.parquet.incomplete"])
def test_a_shard_that_is_not_read_is_never_left_out(tmp_path, name):
    jsonl(tmp_path, PLAIN)
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match="which is not read"):
        read_problems(tmp_path)


def test_a_link_to_a_shard_that_is_gone_is_never_left_out(tmp_path):
    jsonl(tmp_path, PLAIN)
    (tmp_path / "b.jsonl").symlink_to("gone.jsonl")
    with pytest.raises(InputError, match="link to a file that is not there"):
        read_problems(tmp_path)

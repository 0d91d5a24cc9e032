"""Writers of rows into every kind of file that problems come in. Each returns what a command is given."""

import csv
import gzip
import json

import pyarrow.parquet


def jsonl_text(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def jsonl(folder, rows):
    (folder / "a.jsonl").write_text(jsonl_text(rows), encoding="utf-8")
    return folder / "a.jsonl"


def bom(folder, rows):
    (folder / "a.jsonl").write_text(jsonl_text(rows), encoding="utf-8-sig")
    return folder / "a.jsonl"


def json_list(folder, rows):
    (folder / "a.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder / "a.json"


def json_columns(folder, rows):
    (folder / "a.json").write_text(json.dumps({name: [row[name] for row in rows] for name in rows[0]}))
    return folder / "a.json"


def json_data(folder, rows):
    (folder / "a.json").write_text(json.dumps({"version": "1", "data": rows}))
    return folder / "a.json"


def jsonl_as_json(folder, rows):
    (folder / "a.json").write_text(jsonl_text(rows), encoding="utf-8-sig")
    return folder / "a.json"


def table(folder, rows, name="a.csv", delimiter=","):
    with (folder / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        for row in rows:
            writer.writerow({k: json.dumps(v) if isinstance(v, list | dict) else v for k, v in row.items()})
    return folder / name


def tsv(folder, rows):
    return table(folder, rows, "a.tsv", "\t")


def parquet(folder, rows, name="a.parquet"):
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / name)
    return folder / name


def arrow_stream(folder, rows):
    frame = pyarrow.Table.from_pylist(rows)
    with pyarrow.ipc.new_stream(str(folder / "a.arrow"), frame.schema) as out:
        out.write_table(frame, max_chunksize=5)
    return folder / "a.arrow"


def arrow_file(folder, rows):
    frame = pyarrow.Table.from_pylist(rows)
    with pyarrow.ipc.new_file(str(folder / "a.arrow"), frame.schema) as out:
        out.write_table(frame, max_chunksize=5)
    return folder / "a.arrow"


def gzipped(folder, rows):
    (folder / "a.jsonl.gz").write_bytes(gzip.compress(jsonl_text(rows).encode()))
    return folder / "a.jsonl.gz"


def zstd(folder, rows):
    with pyarrow.output_stream(str(folder / "a.json.zst"), compression="zstd") as out:
        out.write(json.dumps(rows).encode())
    return folder / "a.json.zst"


def folder_of_parquet(folder, rows):
    for part in range(0, len(rows), 1):
        parquet(folder, rows[part : part + 1], f"train-{part}.parquet")
    (folder / "README.md").write_text("a card")
    return folder


def glob(folder, rows):
    folder_of_parquet(folder, rows)
    parquet(folder, rows[:2], "test-0.parquet")
    return folder / "train-*.parquet"


def saved(folder, rows):
    import datasets

    datasets.Dataset.from_list(rows).save_to_disk(str(folder / "saved"))
    return folder / "saved"


def saved_split(folder, rows):
    import datasets

    splits = {"train": datasets.Dataset.from_list(rows), "test": datasets.Dataset.from_list(rows[:1])}
    datasets.DatasetDict(splits).save_to_disk(str(folder / "saved"))
    return f"{folder / 'saved'}#train"


CONTAINERS = [
    jsonl,
    bom,
    json_list,
    json_columns,
    json_data,
    jsonl_as_json,
    table,
    tsv,
    parquet,
    arrow_stream,
    arrow_file,
    gzipped,
    zstd,
    folder_of_parquet,
    glob,
    saved,
    saved_split,
]

"""Tables in files, for references, training and holdouts."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from retraind.errors import ConfigurationError
from retraind.tables import read_table

TABLE = pa.table({"x": [1, 2, None], "name": ["a", None, "c"], "y": [0.5, 1.5, 2.5]})


def written(path: Path, table: pa.Table = TABLE) -> str:
    (parquet.write_table if path.suffix == ".parquet" else csv.write_csv)(table, path)
    return str(path)


@pytest.mark.parametrize("name", ["reference.parquet", "reference.csv"])
def test_a_file_gives_its_columns_in_the_order_asked(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name)
    assert read_table(path).to_pydict() == TABLE.to_pydict()
    assert read_table(path, ("y", "x")).to_pydict() == {"y": [0.5, 1.5, 2.5], "x": [1, 2, None]}
    assert read_table(path, ()).num_columns == 0


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_glob_gives_all_its_files_in_the_order_of_their_paths(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "deep").mkdir()
    for name, value in (("b", 2), ("a", 1), ("deep/c", 3)):
        written(tmp_path / f"{name}.{suffix}", pa.table({"x": [value]}))
    (tmp_path / "README.txt").write_text("not a table")
    assert read_table(f"{tmp_path}/*.{suffix}")["x"].to_pylist() == [1, 2]
    assert read_table(f"{tmp_path}/**/*.{suffix}")["x"].to_pylist() == [1, 2, 3]
    assert read_table(str(tmp_path))["x"].to_pylist() == [1, 2, 3]


def test_whole_numbers_beside_fractions_are_widened(tmp_path: Path) -> None:
    written(tmp_path / "a.csv", pa.table({"x": [1, 2]}))
    written(tmp_path / "b.csv", pa.table({"x": [0.5]}))
    assert read_table(f"{tmp_path}/*.csv")["x"].to_pylist() == [1.0, 2.0, 0.5]


def test_files_that_do_not_agree_are_refused(tmp_path: Path) -> None:
    written(tmp_path / "a.csv", pa.table({"x": [1, 2]}))
    written(tmp_path / "b.csv", pa.table({"x": ["one"]}))
    with pytest.raises(ConfigurationError, match="do not agree on their columns"):
        read_table(f"{tmp_path}/*.csv")


def test_a_compressed_file_with_tabs_is_read(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "reference.tsv.gz"
    path.write_bytes(gzip.compress(b"x\tname\n1\ta b, c\n"))
    assert read_table(str(path)).to_pydict() == {"x": [1], "name": ["a b, c"]}


@pytest.mark.parametrize("name", ["reference.parquet", "reference.csv"])
def test_a_missing_column_names_file_and_nearest(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name)
    with pytest.raises(ConfigurationError) as caught:
        read_table(path, ("x", "nam"))
    assert str(caught.value) == f"{path} has no column 'nam' (did you mean 'name'?); it has x, name, y"


def test_no_such_file_names_the_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=f"there is no file {tmp_path}/gone.csv; "):
        read_table("gone.csv")
    with pytest.raises(ConfigurationError, match=r"no file matches .*/\*\.csv; "):
        read_table("*.csv")
    with pytest.raises(ConfigurationError, match="has no CSV and no Parquet file"):
        read_table(str(tmp_path))


def test_what_is_no_table_is_refused_in_one_line(tmp_path: Path) -> None:
    for name, content in (("a.parquet", "no parquet"), ("b.csv", ""), ("c.csv", "x,y\n1,2,3\n"), ("d.txt", "x\n1\n")):
        (tmp_path / name).write_text(content)
        with pytest.raises(ConfigurationError) as caught:
            read_table(str(tmp_path / name))
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cloud_trainer.tables import Tables
from edge_runtime.errors import ContractError, UsageError

COLUMNS = {
    "id": np.arange(3, dtype=np.int64),
    "x": np.array([1.5, -0.0, np.nan], dtype=np.float32),
    "name": ["a", None, "c"],
    "raw": [b"\0", b"", None],
    "vector": np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32),
    "ragged": [[1.0], [], [2.0, 3.0]],
}


@pytest.fixture(params=["folder", "url"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """A folder, and the same folder as a URL: what is done for object storage, without a server."""
    return tmp_path if request.param == "folder" else f"file://{tmp_path}/fleet/"


def test_what_goes_in_comes_out(place: Path | str) -> None:
    tables = Tables(place)
    assert not tables.exists("t")
    assert tables.version("t") == -1
    assert tables.append("t", COLUMNS) == 0
    rows = tables.sql("select id, name, raw, vector, ragged from t where id >= $low order by id", {"low": 1}).fetchall()
    assert rows == [(1, None, b"", [3.0, 4.0], []), (2, "c", None, [5.0, 6.0], [2.0, 3.0])]
    bits = tables.sql("select x from t order by id").fetchnumpy()["x"]
    assert np.asarray(bits).tobytes() == COLUMNS["x"].tobytes()  # type: ignore[attr-defined]


def test_a_former_version_stays_readable(place: Path | str) -> None:
    tables = Tables(place)
    tables.append("t", {"a": [1]})
    tables.append("t", {"a": [2]})
    assert tables.replace("t", {"b": ["only"]}) == 2
    assert tables.sql("select * from t").fetchall() == [("only",)]
    assert tables.sql("select a from t order by a", versions={"t": 1}).fetchall() == [(1,), (2,)]


def test_a_new_column_is_null_in_former_rows(place: Path | str) -> None:
    tables = Tables(place)
    tables.append("t", {"a": [1]})
    tables.append("t", {"a": [2], "b": ["new"]})
    assert tables.sql("select a, b from t order by a").fetchall() == [(1, None), (2, "new")]


def test_an_emptied_table_keeps_its_columns(tmp_path: Path) -> None:
    from deltalake import DeltaTable

    tables = Tables(tmp_path)
    tables.append("t", COLUMNS)
    DeltaTable(str(tables.path("t"))).delete()
    empty = tables.sql("select * from t")
    assert empty.columns == list(COLUMNS)
    assert empty.fetchall() == []


def test_a_relation_is_written_as_it_is(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    tables.append("a", {"n": [1, 2, 3]})
    tables.append("b", tables.sql("select n * 2 as twice from a"))
    assert tables.sql("select sum(twice) from b join a on a.n = b.twice").fetchall() == [(2,)]
    assert tables.names() == ["a", "b"]


def test_a_view_stands_over_tables(place: Path | str) -> None:
    tables = Tables(place)
    tables.append("raw", {"id": [1, 1, 2]})
    view = {"once": "select distinct id from raw"}
    assert tables.sql("select count(*) from once", views=view).fetchall() == [(2,)]


def test_a_query_that_cannot_be_names_the_tables(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    tables.append("t", {"a": [1]})
    with pytest.raises(ContractError) as caught:
        tables.sql("select * from missing")
    assert "missing" in str(caught.value)
    assert caught.value.hint == "tables here: t"
    with pytest.raises(ContractError, match="version 9"):
        tables.sql("select * from t", versions={"t": 9})


def test_appenders_that_meet_lose_nothing(place: Path | str) -> None:
    """Also while they make the table: Delta refuses all but one of those commits."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: Tables(place).append("t", {"a": [i]}), range(12)))
    assert Tables(place).sql("select a from t order by a").fetchall() == [(i,) for i in range(12)]


@pytest.mark.parametrize("name", ["../x", "A", "", "a-b", "1a"])
def test_a_table_name_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="want"):
        Tables(tmp_path).path(name)


def test_at_a_url_only_tables_that_a_query_reads_are_asked_for(tmp_path: Path) -> None:
    tables = Tables(f"file://{tmp_path}")
    tables.append("t", {"a": [1]})
    assert (tables.exists("t"), tables.exists("u"), tables.version("u")) == (True, False, -1)
    with pytest.raises(ContractError) as caught:
        tables.sql("select a from t join missing using (a)")
    assert caught.value.hint == "tables here: t"


def test_at_a_url_there_is_no_folder(tmp_path: Path) -> None:
    tables = Tables("s3://bucket/fleet/")
    assert tables.location("raw_records") == "s3://bucket/fleet/raw_records"
    for ask in (lambda: tables.path("t"), tables.names):
        with pytest.raises(UsageError, match="tables at s3://bucket/fleet: this needs them in a folder"):
            ask()
    with pytest.raises(UsageError, match="want a URL such as s3://bucket/fleet"):
        Tables(str(tmp_path))

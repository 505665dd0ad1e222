"""ibis, with frames of this process beside tables of the engine: memtables.py PORT USER PASSWORD DATABASE."""

import sys

import ibis
import pandas

port, user, password, database = sys.argv[1:]
connection = ibis.clickhouse.connect(host="127.0.0.1", port=int(port), user=user, password=password, database=database)
frame = ibis.memtable(pandas.DataFrame({"a": [1, 2, 3], "s": ["x", "y", "z"], "t": pandas.to_datetime(["2024-01-01"] * 3)}))


def equal(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"


equal(connection.execute(frame.filter(frame.a > 1).order_by("a"))["s"].tolist(), ["y", "z"])
equal(connection.to_pyarrow(frame).num_rows, 3)
equal(connection.execute(frame.a.sum()), 6)
if user == "readonly":
    # ibis learns the columns of a statement from a view, which this user may not make.
    sys.exit()

numbers = connection.sql("SELECT toInt64(number) AS a, toString(number) AS q FROM numbers(5)")
equal(connection.execute(numbers.join(frame, "a").order_by("a"))["q"].tolist(), ["1", "2", "3"])
table = connection.create_table("ibis_table", pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}), overwrite=True)
connection.insert("ibis_table", pandas.DataFrame({"a": [3], "b": ["it's"]}))
equal(connection.table("ibis_table").order_by("a").execute()["b"].tolist(), ["x", "y", "it's"])
equal(connection.create_table("ibis_temporary", frame, temp=True).count().execute(), 3)
connection.raw_sql("DROP TABLE ibis_table").close()

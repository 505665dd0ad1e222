"""clickhouse-connect with pandas, Arrow and external data: connect.py PORT USER PASSWORD DATABASE."""

import datetime
import sys
import uuid

import clickhouse_connect
import pandas
import pyarrow
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.external import ExternalData

port, user, password, database = sys.argv[1:]
where = dict(host="127.0.0.1", port=int(port), username=user, password=password, database=database)
client = clickhouse_connect.get_client(**where)
awkward = "it's \\ \"q\"\t\nü"


def equal(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"


def code_of(statement, **more):
    try:
        client.query(statement, **more)
    except DatabaseError as error:
        return str(error)
    raise AssertionError(f"no error: {statement}")


equal(client.query("SELECT number, toString(number) FROM numbers(2)").result_rows, [(0, "0"), (1, "1")])
equal(client.query("SELECT [1, 2], map('a', 1), (1, 'x'), NULL").result_rows, [([1, 2], {"a": 1}, (1, "x"), None)])
equal(
    client.query("SELECT '{\"a\":1,\"b\":{\"c\":[1,2]}}'::JSON, 1::Variant(Int8, String), 'x'::Dynamic, (1., 2.)::Point").result_rows,
    [({"a": 1, "b": {"c": [1, 2]}}, 1, "x", (1.0, 2.0))],
)
(zoned,) = client.query("SELECT toDateTime(0, 'America/Chicago')").result_rows[0]
equal((zoned.timestamp(), str(zoned.tzinfo)), (0, "America/Chicago"))
equal(client.query("SELECT number FROM numbers(3)").summary["result_rows"], "3")
equal(client.query("SELECT currentUser()").result_rows, [(user,)])
moment = datetime.datetime(2024, 1, 2, 3, 4, 5)
given = {"a": awkward, "b": 3, "c": moment, "d": ["x", "y'"]}
equal(
    client.query("SELECT {a:String}, {b:Int32}, {c:DateTime}, {d:Array(String)}", parameters=given).result_rows,
    [(awkward, 3, moment, ["x", "y'"])],
)
equal(client.query("SELECT %(a)s", parameters=given).result_rows, [(awkward,)])

equal(client.query_df("SELECT number, toString(number) AS s FROM numbers(3)").shape, (3, 2))
equal(client.query_arrow("SELECT number FROM numbers(3)").column(0).to_pylist(), [0, 1, 2])
with client.query_row_block_stream("SELECT number FROM numbers(200000)") as blocks:
    equal(sum(len(block) for block in blocks), 200_000)

assert "Code: 47" in code_of("SELECT nope")
assert "Code: 395" in code_of("SELECT throwIf(number = 3000000) FROM system.numbers")

table = ExternalData(file_name="ext", data=b'1,"x"\n2,"y"\n', fmt="CSV", structure=["a Int8", "b String"])
for _ in range(2):
    equal(client.query("SELECT * FROM ext ORDER BY a", external_data=table).result_rows, [(1, "x"), (2, "y")])
assert "Code: 60" in code_of("SELECT * FROM ext")

by_form = clickhouse_connect.get_client(**where, compress="zstd", form_encode_query_params=True)
equal(by_form.query("SELECT length({a:String})", parameters={"a": "x" * 300_000}).result_rows, [(300_000,)])

if user == "readonly":
    assert "Code: 164" in code_of("CREATE TABLE p (a Int8) ENGINE = Memory")
    sys.exit()

columns = "a Int32, b String, c DateTime, d Nullable(Float64), e Array(String), f UUID, g LowCardinality(String), h Decimal(10, 2)"
client.command(f"CREATE TABLE p_{user} ({columns}) ENGINE = MergeTree ORDER BY a")
row = [1, awkward, moment, None, ["x"], uuid.UUID(int=1), "l", "1.25"]
equal(client.insert(f"p_{user}", [row], column_names=list("abcdefgh")).written_rows, 1)
frame = pandas.DataFrame({"a": [2, 3], "b": ["x", "y"], "c": pandas.to_datetime(["2024-01-01", "2024-01-02"])})
equal(client.insert_df(f"p_{user}", frame).written_rows, 2)
arrow = pyarrow.table({"a": pyarrow.array([4, 5], pyarrow.int32()), "b": ["x", "y"]})
equal(client.insert_arrow(f"p_{user}", arrow).written_rows, 2)
equal(client.query(f"SELECT b, c, d FROM p_{user} ORDER BY a LIMIT 1").result_rows, [(awkward, moment, None)])
equal(client.query(f"SELECT groupArray(a) FROM (SELECT a FROM p_{user} ORDER BY a)").result_rows, [([1, 2, 3, 4, 5],)])
client.command("CREATE TEMPORARY TABLE kept (a Int8)")
client.command("INSERT INTO kept VALUES (1)")
equal(client.query("SELECT * FROM kept").result_rows, [(1,)])
client.command(f"DROP TABLE p_{user}")

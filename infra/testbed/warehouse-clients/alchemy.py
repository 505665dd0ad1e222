"""SQLAlchemy over clickhouse-connect: alchemy.py PORT USER PASSWORD DATABASE."""

import sys

import pandas
from clickhouse_connect.cc_sqlalchemy.datatypes.sqltypes import Int32, String
from clickhouse_connect.cc_sqlalchemy.ddl.tableengine import MergeTree
from sqlalchemy import URL, Column, MetaData, Table, create_engine, inspect, select, text

port, user, password, database = sys.argv[1:]
engine = create_engine(URL.create("clickhousedb", user, password, "127.0.0.1", int(port), database))
awkward = "it's \\ \n"


def equal(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"


with engine.connect() as connection:
    found = connection.execute(text("SELECT number, :s FROM numbers(3) WHERE number > :n"), {"n": 1, "s": awkward})
    equal([tuple(row) for row in found.fetchall()], [(2, awkward)])
assert database in inspect(engine).get_schema_names()
equal([column["name"] for column in inspect(engine).get_columns("one", schema="system")], ["dummy"])
if user == "readonly":
    sys.exit()

metadata = MetaData(schema=database)
table = Table("alchemy_table", metadata, Column("a", Int32), Column("b", String), MergeTree(order_by="a"))
metadata.create_all(engine)
with engine.connect() as connection:
    connection.execute(table.insert(), [{"a": 1, "b": awkward}, {"a": 2, "b": "y"}])
    rows = connection.execute(select(table.c.a, table.c.b).order_by(table.c.a)).fetchall()
    equal([tuple(row) for row in rows], [(1, awkward), (2, "y")])
    equal(pandas.read_sql(select(table.c.a), connection).shape, (2, 1))
equal(Table("alchemy_table", MetaData(schema=database), autoload_with=engine).columns.keys(), ["a", "b"])
metadata.drop_all(engine)

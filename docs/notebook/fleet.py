"""A fleet at a glance: what sends, how much, how regularly. A marimo notebook.

    pip install marimo clickhouse-connect pandas
    marimo edit fleet.py        in a browser
    python fleet.py             as a program, which prints its tables

CLICKHOUSE is the address of ClickHouse; http://127.0.0.1:8123 without it.
"""

import marimo

app = marimo.App(width="medium")


@app.cell
def _():
    import os
    from urllib.parse import urlsplit

    import clickhouse_connect
    import marimo as mo

    where = urlsplit(os.environ.get("CLICKHOUSE", "http://127.0.0.1:8123"))
    client = clickhouse_connect.get_client(
        host=where.hostname,
        port=where.port,
        username="readonly",
        password=os.environ.get("CLICKHOUSE_PASSWORD", ""),
        database="penstock",
    )
    return client, mo


@app.cell
def _(mo):
    hours = mo.ui.slider(1, 24 * 7, value=24, label="hours")
    hours
    return (hours,)


@app.cell
def _(client, hours, mo):
    devices = client.query_df(
        """
        SELECT device_id, count() AS messages, min(enqueued_at) AS first, max(enqueued_at) AS last,
               round(avg(length(body))) AS bytes_a_message
        FROM telemetry WHERE enqueued_at > now() - toIntervalHour({hours:UInt32})
        GROUP BY device_id ORDER BY messages DESC LIMIT 1000
        """,
        parameters={"hours": hours.value},
    )
    print(devices.to_string())
    mo.ui.table(devices)
    return (devices,)


@app.cell
def _(devices, mo):
    device = mo.ui.dropdown(sorted(devices["device_id"]), value=min(devices["device_id"], default=None), label="device")
    device
    return (device,)


@app.cell
def _(client, device, hours, mo):
    # Every number that the bodies of this device hold, a row each.
    fields = client.query_df(
        """
        SELECT field, count() AS values, min(value) AS least, quantile(0.5)(value) AS median, max(value) AS largest
        FROM (
            SELECT pair.1 AS field, toFloat64OrNull(pair.2) AS value
            FROM telemetry ARRAY JOIN JSONExtractKeysAndValuesRaw(body) AS pair
            WHERE device_id = {device:String} AND enqueued_at > now() - toIntervalHour({hours:UInt32})
        )
        WHERE value IS NOT NULL GROUP BY field ORDER BY field
        """,
        parameters={"device": device.value or "", "hours": hours.value},
    )
    print(fields.to_string())
    mo.ui.table(fields)
    return


if __name__ == "__main__":
    app.run()

"""The hub's own client for Python that reads events, unchanged: prints a line of JSON for each, from the oldest on, and ends after so many.

    python hub_events.py <connection string> <file of the certificate authority> <consumer group> <count>
"""

import json
import sys
import threading

from azure.eventhub import EventHubConsumerClient

connection_string, ca_file, group, count = sys.argv[1:5]
client = EventHubConsumerClient.from_connection_string(connection_string, group, connection_verify=ca_file)
read = 0
lock = threading.Lock()


def on_event(partition, event):
    global read
    if event is None:
        return
    device = event.system_properties[b"iothub-connection-device-id"].decode()
    line = {"partition": partition.partition_id, "number": event.sequence_number, "deviceId": device, "body": event.body_as_str()}
    with lock:
        print(json.dumps(line), flush=True)
        read += 1
        if read >= int(count):
            threading.Thread(target=client.close).start()


with client:
    threads = [
        threading.Thread(target=client.receive, args=(on_event,), kwargs={"partition_id": id, "starting_position": "-1", "max_wait_time": 1})
        for id in client.get_partition_ids()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

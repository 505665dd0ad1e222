"""The twin of the hub's own device SDK for Python, unchanged: as hub-twin.ts has it, but that each patch waits for its answer, and
who has nothing to report does not read its twin: what it is told, it is told unasked.

    python hub_twin.py mqtt|mqtt-ws <connection string> <file of the certificate authority>
"""
import json
import sys
import threading

from azure.iot.device import IoTHubDeviceClient

transport, target, ca_file = sys.argv[1:4]
over = threading.Event()


def say(step, what):
    print(json.dumps({step: what}), flush=True)


def on_desired(desired):
    say("desired", desired)
    if desired.get("last") is True:
        over.set()


try:
    with open(ca_file) as file:
        options = {"server_verification_cert": file.read(), "websockets": transport == "mqtt-ws", "connection_retry": False}
    client = IoTHubDeviceClient.create_from_connection_string(target, **options)
    client.connect()
    patches = json.load(sys.stdin)
    if patches:
        say("read", client.get_twin())
    client.on_twin_desired_properties_patch_received = on_desired
    for patch in patches:
        try:
            client.patch_twin_reported_properties(patch)
            say("reported", "committed")
        except Exception as error:
            say("reported", type(error).__name__)
    over.wait(30)
    client.shutdown()
except Exception as error:
    print(type(error).__name__)
    sys.exit(1)

"""The hub's own device SDK for Python, unchanged, as a device that gets commands: prints what commanded-device.ts does.

    python commanded_device.py mqtt|mqtt-ws <connection string> <file of the certificate authority> <count>
"""
import json
import sys
import threading

from azure.iot.device import IoTHubDeviceClient

transport, target, ca_file, count = sys.argv[1:5]
with open(ca_file) as file:
    options = {"server_verification_cert": file.read(), "websockets": transport == "mqtt-ws", "connection_retry": False}
client = IoTHubDeviceClient.create_from_connection_string(target, **options)
left = int(count)
ended = threading.Event()


def received(message):
    global left
    print(json.dumps({
        "body": message.data.decode(),
        "messageId": message.message_id,
        "correlationId": message.correlation_id,
        "contentType": message.content_type,
        "properties": message.custom_properties,
    }), flush=True)
    left -= 1
    if left == 0:
        ended.set()


client.on_message_received = received
client.connect()
ended.wait(60)
client.shutdown()

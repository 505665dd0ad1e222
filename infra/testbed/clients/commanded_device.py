"""The hub's own device SDK for Python, unchanged, as a device that gets commands: prints what commanded-device.ts does.

    python commanded_device.py mqtt|mqtt-ws <connection string> <file of the certificate authority> <count>
"""
import json
import sys

from azure.iot.device import IoTHubDeviceClient

transport, target, ca_file, count = sys.argv[1:5]
with open(ca_file) as file:
    options = {"server_verification_cert": file.read(), "websockets": transport == "mqtt-ws", "connection_retry": False}
client = IoTHubDeviceClient.create_from_connection_string(target, **options)
client.connect()
for _ in range(int(count)):
    # A handler runs in several threads: what it would print is in no order.
    message = client.receive_message(timeout=60)
    print(json.dumps({
        "body": message.data.decode(),
        "messageId": message.message_id,
        "correlationId": message.correlation_id,
        "contentType": message.content_type,
        "properties": message.custom_properties,
    }), flush=True)
client.shutdown()

"""The hub's own device SDK for Python, unchanged. Sends the messages of standard input, as hub-device.ts does.

    python hub_device.py mqtt|mqtt-ws <connection string> <file of the certificate authority>
    python hub_device.py mqtt|mqtt-ws <host>/<device id> <file of the authority> <certificate file> <key file>
"""
import json
import sys

from azure.iot.device import IoTHubDeviceClient, Message, X509

transport, target, ca_file = sys.argv[1:4]
with open(ca_file) as file:
    options = {"server_verification_cert": file.read(), "websockets": transport == "mqtt-ws", "connection_retry": False}
try:
    if len(sys.argv) == 6:
        host, device_id = target.split("/")
        x509 = X509(cert_file=sys.argv[4], key_file=sys.argv[5])
        client = IoTHubDeviceClient.create_from_x509_certificate(x509, host, device_id, **options)
    else:
        client = IoTHubDeviceClient.create_from_connection_string(target, **options)
    client.connect()
    for wanted in json.load(sys.stdin):
        message = Message(wanted["body"])
        message.message_id = wanted["messageId"]
        message.correlation_id = wanted["correlationId"]
        message.content_type = wanted["contentType"]
        message.content_encoding = wanted["contentEncoding"]
        message.custom_properties.update(wanted["properties"])
        client.send_message(message)
    client.shutdown()
    print("sent")
except Exception as error:
    print(type(error).__name__)
    sys.exit(1)

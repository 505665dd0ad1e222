"""Uploads standard input by the hub's own device SDK for Python, unchanged, which leaves the request for the file to its caller. Prints the
answer's status, and `notified`.

    python upload_file.py <connection string> <file of the certificate authority> <file name>
"""
import sys

import requests
from azure.iot.device import IoTHubDeviceClient

target, ca_file, name = sys.argv[1:4]
with open(ca_file) as file:
    client = IoTHubDeviceClient.create_from_connection_string(target, server_verification_cert=file.read())
client.connect()
place = client.get_storage_info_for_blob(name)
url = "https://{}/{}/{}{}".format(place["hostName"], place["containerName"], place["blobName"], place["sasToken"])
answer = requests.put(url, data=sys.stdin.buffer.read(), headers={"x-ms-blob-type": "BlockBlob"}, verify=ca_file)
print(answer.status_code)
client.notify_blob_upload_status(place["correlationId"], answer.ok, answer.status_code, answer.reason)
print("notified")
client.shutdown()

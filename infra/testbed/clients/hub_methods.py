"""The hub's own device SDK for Python, unchanged. Answers one direct method, connects anew, and answers another one. The SDK subscribes
once in its life, so the second comes only if its session was kept.

    python hub_methods.py mqtt|mqtt-ws <connection string> <file of the certificate authority>
"""
import sys
import threading

from azure.iot.device import IoTHubDeviceClient, MethodResponse

transport, target, ca_file = sys.argv[1:4]
with open(ca_file) as file:
    client = IoTHubDeviceClient.create_from_connection_string(
        target, server_verification_cert=file.read(), websockets=transport == "mqtt-ws"
    )
answered = threading.Semaphore(0)


def answer(request):
    client.send_method_response(MethodResponse.create_from_method_request(request, 200, {"echo": request.payload}))
    answered.release()


client.on_method_request_received = answer
for connection in range(2):
    client.connect()
    if not answered.acquire(timeout=30):
        sys.exit("nobody called")
    client.disconnect()
client.shutdown()
print("answered")

"""The hub's own provisioning SDK for Python, unchanged: registers one device, and prints where it was sent as JSON.

    python hub_provisioning.py mqtt|mqtt-ws <host> <id scope> <registration id> <file of the certificate authority>

What it proves itself with is piped in: {"key"} or {"certFile", "keyFile"}.
"""
import json
import sys

from azure.iot.device import ProvisioningDeviceClient, X509

transport, host, id_scope, registration_id, ca_file = sys.argv[1:6]
proof = json.load(sys.stdin)
with open(ca_file) as file:
    shared = {
        "provisioning_host": host,
        "registration_id": registration_id,
        "id_scope": id_scope,
        "server_verification_cert": file.read(),
        "websockets": transport == "mqtt-ws",
    }
if "key" in proof:
    client = ProvisioningDeviceClient.create_from_symmetric_key(symmetric_key=proof["key"], **shared)
else:
    x509 = X509(cert_file=proof["certFile"], key_file=proof["keyFile"])
    client = ProvisioningDeviceClient.create_from_x509_certificate(x509=x509, **shared)
client.provisioning_payload = {"é": "ü"}
result = client.register()
state = result.registration_state
print(json.dumps({"status": result.status, "assignedHub": state.assigned_hub, "deviceId": state.device_id}))

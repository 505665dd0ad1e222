"""The hub's own service SDK for Python, unchanged: each of its managers, against a hub with a device and a module that the device SDK connects.
Prints a line of JSON for each of them. REQUESTS_CA_BUNDLE says whom it trusts over HTTPS.

    python hub_services.py <connection string of a policy> <file of the certificate authority>
"""
import base64
import datetime
import json
import queue
import sys
import time

import certifi

owner, ca_file = sys.argv[1:3]
# Over AMQP the SDK cannot be told whom to trust; it asks this.
certifi.where = lambda: ca_file

from azure.iot.device import IoTHubDeviceClient, IoTHubModuleClient, MethodResponse
from azure.iot.hub import (
    DigitalTwinClient,
    IoTHubConfigurationManager,
    IoTHubHttpRuntimeManager,
    IoTHubJobManager,
    IoTHubRegistryManager,
)
from azure.iot.hub.models import (
    CloudToDeviceMethod,
    Configuration,
    ConfigurationContent,
    ConfigurationMetrics,
    ConfigurationQueriesTestInput,
    ExportImportDevice,
    JobProperties,
    JobRequest,
    QuerySpecification,
    Twin,
    TwinProperties,
)
from msrest.exceptions import HttpOperationError
from uamqp import TransportType

WAIT_SECONDS = 30
keys = [base64.b64encode(bytes([fill] * 32)).decode() for fill in (1, 2)]
thumbprints = ["A" * 40, "B" * 40]
host = dict(part.split("=", 1) for part in owner.split(";"))["HostName"]
registry = IoTHubRegistryManager.from_connection_string(owner)


def say(step, what):
    print(json.dumps({step: what}), flush=True)


def failure(call, *arguments, **named):
    """The status of an answer that the SDK takes for a failure."""
    try:
        call(*arguments, **named)
    except HttpOperationError as error:
        return error.response.status_code
    return None


def until(look):
    """What is looked for, once it is there."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            sys.exit("waited too long")
        time.sleep(0.05)


def plain(properties):
    return {name: value for name, value in properties.items() if not name.startswith("$")}


def identities():
    created = registry.create_device_with_sas("py", keys[0], keys[1], "enabled")
    by_thumbprint = registry.create_device_with_x509("py-x509", *thumbprints, "disabled", status_reason="why")
    by_authority = registry.create_device_with_certificate_authority("py-edge", "enabled", iot_edge=True)
    updated = registry.update_device_with_sas("py", created.etag, keys[1], keys[0], "enabled", status_reason="swapped")
    module = registry.create_module_with_sas("py", "m", "me", keys[0], keys[1])
    registry.update_module_with_sas("py", "m", "you", module.etag, keys[0], keys[1])
    registry.create_module_with_x509("py", "other", "me", *thumbprints)
    modules = {each.module_id: each.managed_by for each in registry.get_modules("py")}
    registry.delete_module("py", "other")
    return {
        "keys": updated.authentication.symmetric_key.primary_key == keys[1],
        "reason": registry.get_device("py").status_reason,
        "thumbprint": by_thumbprint.authentication.x509_thumbprint.secondary_thumbprint,
        "disabled": by_thumbprint.status,
        "edge": [by_authority.authentication.type, by_authority.capabilities.iot_edge],
        "exists": failure(registry.create_device_with_sas, "py", *keys, "enabled"),
        "stale": failure(registry.update_device_with_sas, "py", created.etag, *keys, "enabled"),
        "modules": modules,
        "module": registry.get_module("py", "m").authentication.symmetric_key.secondary_key == keys[1],
        "noModule": failure(registry.get_module, "py", "other"),
        "noDevice": failure(registry.get_device, "nobody"),
        "listed": len(registry.get_devices(2)),
    }


def bulk(mode, ids):
    result = registry.bulk_create_or_update_devices([ExportImportDevice(id=id, import_mode=mode, status="enabled") for id in ids])
    return [result.is_successful, [[error.device_id, error.error_code] for error in result.errors]]


def many():
    ids = [f"py-many-{index:02}" for index in range(20)]
    seen = {"created": bulk("create", ids), "again": bulk("create", ["py-x509", "py-extra"])}
    statistics = registry.get_device_registry_statistics()
    seen["statistics"] = [statistics.total_device_count > 20, statistics.disabled_device_count]
    query = QuerySpecification(query="SELECT * FROM devices WHERE STARTSWITH(deviceId, 'py-many')")
    pages, token = [], None
    while token is not None or not pages:
        page = registry.query_iot_hub(query, token, 8)
        pages.append([twin.device_id for twin in page.items])
        token = page.continuation_token
    seen["pages"] = [len(page) for page in pages]
    seen["queried"] = [id for page in pages for id in page] == ids
    registry.delete_device("py-extra")
    seen["deleted"] = bulk("delete", ids)
    return seen


def twins():
    fresh = registry.get_twin("py")
    patch = Twin(tags={"hall": "a"}, properties=TwinProperties(desired={"fw": {"version": "2", "url": "u"}, "gone": 1}))
    patched = registry.update_twin("py", patch, fresh.etag)
    stale = failure(registry.update_twin, "py", patch, fresh.etag)
    replacement = Twin(tags={"hall": "a", "floor": 1}, properties=TwinProperties(desired={"level": 1}))
    replaced = registry.replace_twin("py", replacement, patched.etag)
    module = registry.update_module_twin("py", "m", Twin(properties=TwinProperties(desired={"of": "module"})))
    replacement = Twin(properties=TwinProperties(desired={"of": "it"}))
    registry.replace_module_twin("py", "m", replacement, module.etag)
    count = QuerySpecification(query="SELECT tags.hall AS hall, COUNT() AS n FROM devices WHERE tags.hall = 'a' GROUP BY tags.hall")
    grouped = registry.query_iot_hub(count)
    return {
        "fresh": [fresh.version, fresh.status, fresh.authentication_type],
        "patched": plain(patched.properties.desired),
        "stale": stale,
        "replaced": [replaced.tags, plain(replaced.properties.desired)],
        "module": plain(registry.get_module_twin("py", "m").properties.desired),
        "grouped": [grouped.type, [item.additional_properties for item in grouped.items]],
        "invalid": failure(registry.update_twin, "py", Twin(tags={"a.b": 1})),
    }


class Connected:
    """A device or module that answers methods with what it was asked, and writes down what it is told."""

    def __init__(self, client):
        self.messages, self.desired = queue.Queue(), queue.Queue()
        self.client = client
        client.connect()
        client.on_method_request_received = self.answer
        client.on_message_received = self.messages.put
        client.on_twin_desired_properties_patch_received = self.desired.put

    def answer(self, request):
        answer = {"asked": request.name, "with": request.payload}
        self.client.send_method_response(MethodResponse.create_from_method_request(request, 207, answer))


def connected(kind, id, key, **options):
    with open(ca_file) as file:
        target = f"HostName={host};{id};SharedAccessKey={key}"
        return Connected(kind.create_from_connection_string(target, server_verification_cert=file.read(), **options))


def methods():
    method = CloudToDeviceMethod(
        method_name="blink", payload={"times": 3}, response_timeout_in_seconds=30, connect_timeout_in_seconds=30
    )
    at_once = CloudToDeviceMethod(method_name="blink", connect_timeout_in_seconds=0)
    answers = [registry.invoke_device_method("py", method), registry.invoke_device_module_method("py", "m", method)]
    return {
        "answers": [[answer.status, answer.payload] for answer in answers],
        "away": failure(registry.invoke_device_method, "py-edge", at_once),
        "unknown": failure(registry.invoke_device_method, "nobody", at_once),
    }


def commands(device):
    """Over AMQP, and over AMQP over WebSocket; what became of them over HTTP."""
    got, transports = [], (TransportType.Amqp, TransportType.AmqpOverWebsocket)
    for transport in transports:
        sender = IoTHubRegistryManager.from_connection_string(owner, transport)
        expiry = int(time.time() * 1000) + 60_000
        about = {"contentType": "text/plain", "correlationId": "c", "expiryTimeUtc": expiry, "iothub-ack": "full", "le vel": "ö &="}
        sender.send_c2d_message("py", "hällo", {"messageId": transport.name, **about})
        message = device.messages.get(timeout=WAIT_SECONDS)
        got.append([message.message_id, message.correlation_id, message.content_type, message.data.decode(), message.custom_properties])
        try:
            sender.send_c2d_message("nobody", "x")
        except Exception as error:
            got.append(str(error))
    return {"got": got, "feedback": feedback([transport.name for transport in transports])}


def feedback(message_ids):
    """The manager gives nothing of what it receives: that, and the lock, is in the answer."""
    runtime = IoTHubHttpRuntimeManager.from_connection_string(owner)
    operations = runtime.protocol.cloud_to_device_messages
    records, abandoned = [], False
    while len(records) < len(message_ids):
        response = until(lambda: received(operations))
        lock = response.headers["ETag"].strip('"')
        if not abandoned:
            runtime.abandon_feedback_notification(lock)
            abandoned = True
            continue
        told = [[record["originalMessageId"], record["statusCode"]] for record in response.json()]
        records += [record for record in told if record[0] in message_ids]
        runtime.complete_feedback_notification(lock)
    runtime.receive_feedback_notification()
    return sorted(records)


def received(operations):
    response = operations.receive_feedback_notification(raw=True).response
    return response if response.status_code == 200 else None


def digital_twins(device):
    client = DigitalTwinClient.from_connection_string(owner)
    device.client.patch_twin_reported_properties({"serial": "a", "lamp": {"__t": "c", "on": {"value": False, "ac": 200, "av": 1}}})
    # The model comes to be known with the presence of the device, which is gathered.
    until(lambda: "$model" in client.get_digital_twin("py")["$metadata"])
    client.update_digital_twin("py", [{"op": "add", "path": "/lamp", "value": {"on": True, "$metadata": {}}}])
    twin = client.get_digital_twin("py")
    told = until(lambda: next((patch for patch in drained(device.desired) if "lamp" in patch), None))
    for metadata in (twin["$metadata"], twin["lamp"]["$metadata"]):
        for about in metadata.values():
            if isinstance(about, dict):
                about.pop("lastUpdateTime", None)
                about.pop("desiredVersion", None)
    return {
        "twin": twin,
        "told": plain(told),
        "stale": failure(client.update_digital_twin, "py", [{"op": "remove", "path": "/lamp"}], '"AAAA"'),
        "invalid": failure(client.update_digital_twin, "py", [{"op": "move", "path": "/lamp"}]),
        "unknown": failure(client.get_digital_twin, "nobody"),
        "command": client.invoke_command("py", "reboot", {"delay": 1}, 30, 30),
        "component": client.invoke_component_command("py", "lamp", "blink", "fast", 30, 30),
        "away": failure(client.invoke_command, "py-edge", "reboot", ""),
    }


def drained(items):
    while not items.empty():
        yield items.get()


def jobs():
    manager = IoTHubJobManager.from_connection_string(owner)

    def begin(id, **content):
        now = datetime.datetime.now(datetime.timezone.utc).isoformat()
        request = {"start_time": now, "query_condition": "tags.hall = 'a'", "max_execution_time_in_seconds": 60, **content}
        return manager.create_scheduled_job(id, JobRequest(job_id=id, **request))

    def ended(id):
        until(lambda: manager.get_scheduled_job(id).end_time)
        job = manager.get_scheduled_job(id)
        counts = job.device_job_statistics
        return [job.status, counts.device_count, counts.succeeded_count, counts.failed_count]

    update = Twin(etag="*", properties=TwinProperties(desired={"job": "done"}))
    method = CloudToDeviceMethod(method_name="blink", payload=None, response_timeout_in_seconds=30, connect_timeout_in_seconds=15)
    begin("py-update", type="scheduleUpdateTwin", update_twin=update)
    begin("py-call", type="scheduleDeviceMethod", cloud_to_device_method=method)
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    begin("py-later", type="scheduleUpdateTwin", update_twin=update, start_time=later)
    seen = {
        "exists": failure(begin, "py-later", type="scheduleUpdateTwin", update_twin=update),
        "later": manager.get_scheduled_job("py-later").status,
        "cancelled": manager.cancel_scheduled_job("py-later").status,
        "update": ended("py-update"),
        "call": ended("py-call"),
        "unknown": failure(manager.get_scheduled_job, "none"),
    }
    rows = registry.query_iot_hub(QuerySpecification(query="SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'py-call'"))
    seen["rows"] = [rows.type, [[row.device_id, row.status] for row in rows.items]]
    seen["transfers"] = transfers(manager)
    return seen


def transfers(manager):
    """An export to a container that nobody serves."""
    wanted = JobProperties(type="export", output_blob_container_uri="http://127.0.0.1:9/account/fleet?sig=x", exclude_keys_in_export=True)
    begun = manager.create_import_export_job(wanted)
    manager.cancel_import_export_job(begun.job_id)
    ended = manager.get_import_export_job(begun.job_id)
    listed = manager.get_import_export_jobs()
    return [begun.type, ended.status, ended.end_time_utc is not None, [each.exclude_keys_in_export for each in listed]]


def configurations():
    manager = IoTHubConfigurationManager.from_connection_string(owner)
    content = ConfigurationContent(device_content={"properties.desired.mode": "eco"})
    metrics = ConfigurationMetrics(queries={"eco": "SELECT deviceId FROM devices WHERE properties.reported.mode = 'eco'"})
    wanted = Configuration(id="py-eco", content=content, metrics=metrics, target_condition="tags.hall = 'a'", priority=7, labels={"a": "b"})
    made = manager.create_configuration(wanted)
    made.priority = 8
    updated = manager.update_configuration(made, made.etag)
    until(lambda: manager.get_configuration("py-eco").system_metrics.results["appliedCount"] == 1)
    tested = manager.test_configuration_queries(
        ConfigurationQueriesTestInput(target_condition="tags.hall = ", custom_metric_queries={"good": "SELECT deviceId FROM devices"})
    )
    manager.apply_configuration_on_edge_device("py-edge", ConfigurationContent(device_content={"properties.desired.once": True}))
    seen = {
        "priorities": [made.labels, updated.priority],
        "stale": failure(manager.update_configuration, made, made.etag),
        "listed": [each.id for each in manager.get_configurations(10)],
        "applied": plain(registry.get_twin("py").properties.desired)["mode"],
        "tested": [tested.target_condition_error is not None, tested.custom_metric_query_errors],
        "once": plain(registry.get_twin("py-edge").properties.desired),
    }
    manager.delete_configuration("py-eco")
    seen["gone"] = failure(manager.get_configuration, "py-eco")
    return seen


say("identities", identities())
say("many", many())
say("twins", twins())
device = connected(IoTHubDeviceClient, "DeviceId=py", keys[1], product_info="dtmi:test:Lamp;1")
module = connected(IoTHubModuleClient, "DeviceId=py;ModuleId=m", keys[0])
say("methods", methods())
say("commands", commands(device))
say("digitalTwins", digital_twins(device))
say("jobs", jobs())
say("configurations", configurations())
say("connected", until(lambda: registry.get_service_statistics().connected_device_count))
for each in (device, module):
    each.client.shutdown()
for id in ("py", "py-x509", "py-edge"):
    registry.delete_device(id)
say("left", [each.device_id for each in registry.get_devices() if each.device_id.startswith("py")])

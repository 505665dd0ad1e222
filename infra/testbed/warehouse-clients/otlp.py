"""Reads requests of OTLP/HTTP JSON, one a line with its path, by the official protobuf definitions: a field that they do not have is an error.
Writes each as protobuf's own JSON, under the names of the .proto files."""

import base64
import json
import sys

from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

kinds = {"/v1/metrics": ExportMetricsServiceRequest, "/v1/traces": ExportTraceServiceRequest}


def by_protobuf(value):
    """OTLP writes ids in hexadecimal, where protobuf's JSON has base64: the one place in which they differ."""
    if isinstance(value, list):
        return [by_protobuf(each) for each in value]
    if not isinstance(value, dict):
        return value
    ids = {"traceId", "spanId", "parentSpanId"}
    return {
        key: base64.b64encode(bytes.fromhex(each)).decode() if key in ids else by_protobuf(each)
        for key, each in value.items()
    }


for line in sys.stdin:
    path, _, body = line.partition(" ")
    request = json_format.ParseDict(by_protobuf(json.loads(body)), kinds[path]())
    # Once through the bytes that a collector would hand on.
    again = kinds[path].FromString(request.SerializeToString())
    print(json.dumps({"path": path, "request": json_format.MessageToDict(again, preserving_proto_field_name=True)}))

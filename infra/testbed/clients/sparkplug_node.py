"""A node of Sparkplug B with one device: sparkplug_node.py {port} {node}. What it says is in ingest/sparkplug/sparkplug-node.integration.ts."""
import sys
from mqtt_spb_wrapper import MqttSpbEntityDevice, MqttSpbEntityEdgeNode
from mqtt_spb_wrapper.spb_base import MetricDataType

port, name = int(sys.argv[1]), sys.argv[2]

node = MqttSpbEntityEdgeNode("plant", name)
node.attributes.set_value("serial", "A-1")
node.data.set_value("level", -5, spb_data_type=MetricDataType.Int8)
if not node.connect(host="127.0.0.1", port=port, client_id=name):
    sys.exit("could not connect")
node.publish_birth(qos=1)
node.data.set_value("level", -6, spb_data_type=MetricDataType.Int8)
node.publish_data(qos=1)
node.disconnect()

pump = MqttSpbEntityDevice("plant", name, "pump")
pump.data.set_value("speed", 0.1, spb_data_type=MetricDataType.Float)
pump.data.set_value("running", True)
if not pump.connect(host="127.0.0.1", port=port, client_id=name):
    sys.exit("could not connect again")
pump.publish_birth(qos=1)
pump.disconnect()

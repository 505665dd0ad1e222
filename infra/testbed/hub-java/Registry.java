import com.microsoft.azure.sdk.iot.service.auth.AuthenticationType;
import com.microsoft.azure.sdk.iot.service.registry.Device;
import com.microsoft.azure.sdk.iot.service.registry.DeviceStatus;
import com.microsoft.azure.sdk.iot.service.registry.Module;
import com.microsoft.azure.sdk.iot.service.registry.RegistryClient;
import com.microsoft.azure.sdk.iot.service.registry.RegistryJob;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The registry, by the SDK for services. */
class Registry {
  /** Devices, and modules as `device/module`, to be made. */
  static class Wanted {
    String owner;
    String hostName;
    List<String> ids;

    /** Thumbprints of certificates by device; the others get keys. */
    Map<String, String> thumbprints = Map.of();
  }

  /** @return their connection strings */
  static Map<String, String> make(Wanted wanted) throws Exception {
    RegistryClient registry = new RegistryClient(wanted.owner);
    Map<String, String> made = new LinkedHashMap<>();
    for (String id : wanted.ids) {
      String[] parts = id.split("/");
      String who = "HostName=" + wanted.hostName + ";DeviceId=" + parts[0];
      String thumbprint = wanted.thumbprints.get(id);
      if (parts.length == 2) {
        String key = registry.addModule(new Module(parts[0], parts[1])).getPrimaryKey();
        made.put(id, who + ";ModuleId=" + parts[1] + ";SharedAccessKey=" + key);
      } else if (thumbprint != null) {
        Device device = new Device(id, AuthenticationType.SELF_SIGNED);
        device.setThumbprint(thumbprint, thumbprint);
        registry.addDevice(device);
        made.put(id, who + ";x509=true");
      } else {
        made.put(id, who + ";SharedAccessKey=" + registry.addDevice(new Device(id)).getPrimaryKey());
      }
    }
    return made;
  }

  /** A device and its module are made, read, changed and deleted. */
  static Map<String, Object> tour(Services.Tour tour) throws Exception {
    RegistryClient registry = new RegistryClient(tour.owner);
    Map<String, Object> seen = new LinkedHashMap<>();
    Device made = registry.addDevice(new Device("toured"));
    seen.put("again", HubClients.failureOf(() -> registry.addDevice(new Device("toured"))));
    Device read = registry.getDevice("toured");
    seen.put("isSame", read.getPrimaryKey().equals(made.getPrimaryKey()) && read.getETag().equals(made.getETag()));
    read.setStatus(DeviceStatus.Disabled);
    seen.put("status", registry.updateDevice(read).getStatus());
    registry.addModule(new Module("toured", "pump"));
    seen.put("modules", registry.getModulesOnDevice("toured").stream().map(Module::getId).toArray());
    registry.removeModule(registry.getModule("toured", "pump"));
    seen.put("noModule", HubClients.failureOf(() -> registry.getModule("toured", "pump")));
    seen.put("disabled", registry.getStatistics().getDisabledDeviceCount());
    seen.put("stale", HubClients.failureOf(() -> registry.removeDevice(made)));
    registry.removeDevice("toured");
    seen.put("gone", HubClients.failureOf(() -> registry.getDevice("toured")));
    // A container that nobody serves: what became of the jobs is not for this client to say.
    String container = "http://127.0.0.1:9/account/fleet?sig=x";
    RegistryJob exported = registry.getJob(registry.exportDevices(container, true).getJobId());
    RegistryJob imported = registry.getJob(registry.importDevices(container, container).getJobId());
    seen.put("export", List.of(exported.getType(), exported.getExcludeKeysInExport()));
    seen.put("import", List.of(imported.getType(), imported.getInputBlobContainerUri()));
    return seen;
  }
}

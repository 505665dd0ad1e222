import com.microsoft.azure.sdk.iot.provisioning.device.AdditionalData;
import com.microsoft.azure.sdk.iot.provisioning.device.ProvisioningDeviceClient;
import com.microsoft.azure.sdk.iot.provisioning.device.ProvisioningDeviceClientRegistrationResult;
import com.microsoft.azure.sdk.iot.provisioning.device.ProvisioningDeviceClientTransportProtocol;
import com.microsoft.azure.sdk.iot.provisioning.device.internal.exceptions.ProvisioningDeviceClientException;
import com.microsoft.azure.sdk.iot.provisioning.security.SecurityProvider;
import com.microsoft.azure.sdk.iot.provisioning.security.SecurityProviderSymmetricKey;
import com.microsoft.azure.sdk.iot.provisioning.service.ProvisioningServiceClient;
import com.microsoft.azure.sdk.iot.provisioning.service.Query;
import com.microsoft.azure.sdk.iot.provisioning.service.configs.Attestation;
import com.microsoft.azure.sdk.iot.provisioning.service.configs.BulkOperationMode;
import com.microsoft.azure.sdk.iot.provisioning.service.configs.EnrollmentGroup;
import com.microsoft.azure.sdk.iot.provisioning.service.configs.IndividualEnrollment;
import com.microsoft.azure.sdk.iot.provisioning.service.configs.ProvisioningStatus;
import com.microsoft.azure.sdk.iot.provisioning.service.configs.QuerySpecificationBuilder;
import com.microsoft.azure.sdk.iot.provisioning.service.configs.SymmetricKeyAttestation;
import com.microsoft.azure.sdk.iot.provisioning.service.configs.TwinCollection;
import com.microsoft.azure.sdk.iot.provisioning.service.configs.TwinState;
import com.microsoft.azure.sdk.iot.provisioning.service.configs.X509Attestation;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Provisioning, by its SDKs for devices and for services. */
class Provisioning {
  private static final int REGISTER_TRIES = 4;

  /** A device that registers, with a key or a certificate. */
  static class Registering {
    String transport;
    String hostName;
    String idScope;
    String registrationId;
    String key;
    String groupKey;
    String certificate;
    String privateKey;
    String payload;
  }

  /** The SDK over MQTT begins to wait only after it has sent, and loses an answer that is there before: it then registers again. */
  static Map<String, Object> register(Registering wanted) throws Exception {
    for (int triesLeft = REGISTER_TRIES - 1; ; triesLeft--) {
      try {
        return registered(wanted);
      } catch (ProvisioningDeviceClientException error) {
        if (triesLeft == 0) throw error;
      }
    }
  }

  private static Map<String, Object> registered(Registering wanted) throws Exception {
    ProvisioningDeviceClient client =
        ProvisioningDeviceClient.create(
            wanted.hostName,
            wanted.idScope,
            ProvisioningDeviceClientTransportProtocol.valueOf(wanted.transport),
            proofOf(wanted));
    AdditionalData additional = new AdditionalData();
    additional.setProvisioningPayload(wanted.payload);
    try {
      ProvisioningDeviceClientRegistrationResult result = client.registerDeviceSync(additional);
      Map<String, Object> seen = new LinkedHashMap<>();
      seen.put("status", result.getProvisioningDeviceClientStatus());
      seen.put("substatus", result.getSubstatus());
      seen.put("hub", result.getIothubUri());
      seen.put("deviceId", result.getDeviceId());
      return seen;
    } finally {
      client.close();
    }
  }

  private static SecurityProvider proofOf(Registering wanted) throws Exception {
    if (wanted.certificate != null) return new CertifiedDevice(wanted.registrationId, wanted.certificate, wanted.privateKey);
    if (wanted.groupKey == null) return new SecurityProviderSymmetricKey(wanted.key.getBytes(StandardCharsets.UTF_8), wanted.registrationId);
    byte[] groupKey = wanted.groupKey.getBytes(StandardCharsets.UTF_8);
    byte[] key = SecurityProviderSymmetricKey.ComputeDerivedSymmetricKey(groupKey, wanted.registrationId);
    return new SecurityProviderSymmetricKey(key, wanted.registrationId);
  }

  static class Enrolling {
    String owner;
    String authority;
  }

  /** Enrolments are made, read, changed, asked for page by page and deleted. Those for devices to register with are kept. */
  static Map<String, Object> enrol(Enrolling enrolling) throws Exception {
    ProvisioningServiceClient client = ProvisioningServiceClient.createFromConnectionString(enrolling.owner);
    Map<String, Object> seen = new LinkedHashMap<>();
    EnrollmentGroup keyed = new EnrollmentGroup("java-keys", new SymmetricKeyAttestation("", ""));
    TwinCollection tags = new TwinCollection();
    tags.put("line", 7);
    TwinCollection desired = new TwinCollection();
    desired.put("speed", 3);
    keyed.setInitialTwin(new TwinState(tags, desired));
    client.createOrUpdateEnrollmentGroup(keyed);
    Attestation mechanism = client.getEnrollmentGroupAttestationMechanism("java-keys").getAttestation();
    seen.put("groupKey", ((SymmetricKeyAttestation) mechanism).getPrimaryKey());
    X509Attestation certified = X509Attestation.createFromRootCertificates(enrolling.authority);
    EnrollmentGroup certificates = client.createOrUpdateEnrollmentGroup(new EnrollmentGroup("java-certificates", certified));
    seen.put("subject", ((X509Attestation) certificates.getAttestation()).getPrimaryX509CertificateInfo().getSubjectName());
    seen.put("single", single(client));
    seen.put("bulk", bulk(client));
    return seen;
  }

  /** @return the key of the one that is kept, and what became of changes */
  private static Map<String, Object> single(ProvisioningServiceClient client) throws Exception {
    Map<String, Object> seen = new LinkedHashMap<>();
    IndividualEnrollment wanted = new IndividualEnrollment("java-single", new SymmetricKeyAttestation("", ""));
    wanted.setDeviceId("java-single-device");
    IndividualEnrollment made = client.createOrUpdateIndividualEnrollment(wanted);
    seen.put("key", ((SymmetricKeyAttestation) made.getAttestation()).getPrimaryKey());
    IndividualEnrollment read = client.getIndividualEnrollment("java-single");
    read.setProvisioningStatus(ProvisioningStatus.DISABLED);
    IndividualEnrollment changed = client.createOrUpdateIndividualEnrollment(read);
    seen.put("status", changed.getProvisioningStatus());
    seen.put("stale", HubClients.failureOf(() -> client.createOrUpdateIndividualEnrollment(read)));
    changed.setProvisioningStatus(ProvisioningStatus.ENABLED);
    seen.put("enabled", client.createOrUpdateIndividualEnrollment(changed).getProvisioningStatus());
    return seen;
  }

  private static Map<String, Object> bulk(ProvisioningServiceClient client) throws Exception {
    Map<String, Object> seen = new LinkedHashMap<>();
    List<IndividualEnrollment> wanted = new ArrayList<>();
    for (String id : List.of("java-a", "java-b", "java-c")) wanted.add(new IndividualEnrollment(id, new SymmetricKeyAttestation("", "")));
    seen.put("made", client.runBulkEnrollmentOperation(BulkOperationMode.CREATE, wanted).getSuccessful());
    Query query =
        client.createIndividualEnrollmentQuery(
            new QuerySpecificationBuilder("*", QuerySpecificationBuilder.FromType.ENROLLMENTS).createSqlQuery(), 3);
    List<List<String>> pages = new ArrayList<>();
    while (query.hasNext()) {
      List<String> page = new ArrayList<>();
      for (Object item : query.next().getItems()) page.add(((IndividualEnrollment) item).getRegistrationId());
      pages.add(page);
    }
    seen.put("pages", pages);
    seen.put("deleted", client.runBulkEnrollmentOperation(BulkOperationMode.DELETE, wanted).getSuccessful());
    seen.put("gone", HubClients.failureOf(() -> client.getIndividualEnrollment("java-a")));
    return seen;
  }

  static class Registered {
    String owner;
    String registrationId;
  }

  /** What became of a device, which is then forgotten. */
  static Map<String, Object> registration(Registered asked) throws Exception {
    ProvisioningServiceClient client = ProvisioningServiceClient.createFromConnectionString(asked.owner);
    Map<String, Object> seen = new LinkedHashMap<>();
    seen.put("deviceId", client.getDeviceRegistrationState(asked.registrationId).getDeviceId());
    client.deleteDeviceRegistrationState(asked.registrationId);
    seen.put("gone", HubClients.failureOf(() -> client.getDeviceRegistrationState(asked.registrationId)));
    return seen;
  }
}
